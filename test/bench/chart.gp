# The chart: calls per second by number of sessions; rows per second, and bytes of index and
# of WAL per row, by kind of key.  Run by test/bench/run with "data", a directory of
# files from "report chart", and "out", the SVG file.
#
# No background, and a grey and colours that can be read on white and on black.

set terminal svg size 900,680 dynamic font 'Helvetica,Arial,sans-serif,13'
set output out

grey = '#7a828c'
set border 3 linecolor rgb grey
set tics nomirror textcolor rgb grey
set title textcolor rgb grey font ',15'
set key textcolor rgb grey
set xlabel textcolor rgb grey
set grid ytics linecolor rgb grey linewidth 0.4 dashtype 3

contenders = 'constant flake_wide flake flake_ordered nextval_1000 nextval uuidv7 uuid'
colours = '#8b949e #8a5cf0 #2f81f7 #c2419a #b8912c #d9672b #1f9e9e #2f9e5b'
array names[8] = ['constant C function', 'flake, layout wide', 'flake', 'flake, layout ordered', 'nextval(), CACHE 1000', \
    'nextval()', 'uuidv7()', 'gen\_random\_uuid()']
file(i) = data . '/total.' . word(contenders, i)
colour(i) = word(colours, i)

# Not every server has every function.
here = ''
do for [i = 1:words(contenders)] {
    if (system("test -e '" . file(i) . "' && echo yes") eq 'yes') { here = here . ' ' . i }
}
nth(k) = int(word(here, k))

stats data . '/rows' using 2 name 'rows' nooutput
stats data . '/sizes' using 2 name 'sizes' nooutput

# no blank patch below points
set pointintervalbox 0

set multiplot

# ---- calls per second: medians, with minimum and maximum

set lmargin at screen 0.06
set rmargin at screen 0.72
set tmargin at screen 0.94
set bmargin at screen 0.53
set title 'Calls per second of all sessions together, millions'
set logscale x 2
set xrange [0.92:17.4]
set yrange [0:*]
set xtics (1, 2, 4, 8, 16)
set xlabel 'sessions at once' offset 0, 0.5
set key at screen 0.98, screen 0.92 right top Left reverse samplen 2 spacing 1.4
plot for [k = 1:words(here)] file(nth(k)) using 1:2:3:4 with yerrorlines \
    linecolor rgb colour(nth(k)) linewidth 2 pointtype 7 pointsize 0.4 title names[nth(k)]
unset logscale
unset xlabel

# ---- by kind of key: bars from zero, one colour for one load

set style fill solid 0.85 noborder
set boxwidth 0.75
set xtics autofreq scale 0 rotate by -35 font ',11'
set tmargin at screen 0.40
set bmargin at screen 0.14
set xrange [-0.6:rows_records - 0.4]
set ytics font ',11'

set lmargin at screen 0.06
set rmargin at screen 0.33
set title 'Million rows inserted per second'
plot data . '/rows' using 0:2:xtic(1) with boxes linecolor rgb colour(3) notitle, \
    '' using 0:3:(0):($4 - $3) with vectors nohead linecolor rgb grey linewidth 1.5 notitle

set style data histograms
set xrange [-0.6:sizes_records - 0.4]
set style histogram clustered gap 1
set boxwidth 0.9 relative
set key at screen 0.98, screen 0.57 right top Left reverse samplen 1.2 spacing 1.4
set lmargin at screen 0.39
set rmargin at screen 0.66
set title 'Index, bytes per row'
plot data . '/sizes' using 2:xtic(1) linecolor rgb colour(3) title 'rows by one statement', \
    '' using 5 linecolor rgb colour(6) title 'rows by 16 sessions'

unset key
set lmargin at screen 0.72
set rmargin at screen 0.99
set title 'WAL, bytes per row'
plot data . '/sizes' using 8:xtic(1) linecolor rgb colour(3), '' using 11 linecolor rgb colour(6)

unset multiplot
