# The chart: calls per second by number of sessions; rows per second, and bytes of index and
# of WAL per row, by kind of key.  Run by test/bench/run with "data", a directory of
# files from "report chart", and "out", the SVG file.
#
# No background, and a grey that can be read on white and on black.

set terminal svg size 900,640 dynamic font 'Helvetica,Arial,sans-serif,13'
set output out

grey = '#7a828c'
faint = '#7a828c'
set border 3 linecolor rgb grey
set tics nomirror textcolor rgb grey
set title textcolor rgb grey font ',15'
set key textcolor rgb grey
set xlabel textcolor rgb grey
set ylabel textcolor rgb grey
set grid ytics linecolor rgb faint linewidth 0.4 dashtype 3

flake = '#2f81f7'
wide = '#8a5cf0'
sequence = '#d97b29'
cached = '#b8912c'
uuid = '#2f9e5b'
uuidv7 = '#1f9e9e'
floor = '#8b949e'

there(c) = system(sprintf("test -e '%s/total.%s' && echo 1 || echo 0", data, c)) + 0
file(c) = data . '/total.' . c

set multiplot

# ---- calls per second

set origin 0, 0.44
set size 1, 0.56
set lmargin at screen 0.07
set rmargin at screen 0.70
set title 'Calls per second, all sessions together (millions)'
set logscale x 2
set xrange [0.9:18]
set yrange [0:*]
set xtics (1, 2, 4, 8, 16)
set xlabel 'sessions at once' offset 0, 0.5
set key at screen 0.98, 0.95 right top Left reverse samplen 2 spacing 1.3
contenders = 'constant flake_wide flake nextval_1000 nextval uuidv7 uuid'
names = '"constant C function" "flake, layout wide" "flake" "nextval(), CACHE 1000" "nextval()" "uuidv7()" "gen\_random\_uuid()"'
colours = floor . ' ' . wide . ' ' . flake . ' ' . cached . ' ' . sequence . ' ' . uuidv7 . ' ' . uuid
plot for [i = 1:words(contenders)] c = word(contenders, i) \
    (there(c) ? file(c) : '/dev/null') using 1:2 with lines \
        linecolor rgb word(colours, i) linewidth 2 title word(names, i)
unset logscale
