/*
 * layout_epoch.c
 *		The epoch in the text of a layout: parsing and formatting.
 *
 * Dates are in the proleptic Gregorian calendar, as PostgreSQL's.  libc's
 * functions depend on the environment, and the server's must not be needed
 * (see layout.h), so the arithmetic is done here.
 *
 * Years begin in March, so that the leap day is the last day of the year, and
 * are counted in eras of 400 years.  The first era begins on 0000-03-01.
 */
#include "postgres.h"

#include "core/layout_text.h"

/* Use libc's, because pg_snprintf() would have to be linked. */
#undef snprintf

/* The beginning of the years 0001 and 10000 */
#define MIN_EPOCH_US	(-719162 * US_PER_DAY)
#define END_EPOCH_US	(2932897 * US_PER_DAY)

#define DAYS_PER_ERA	146097
#define DAYS_TO_1970	719468	/* from 0000-03-01 */

static int64
floor_div(int64 a, int64 b)
{
	return a / b - (a % b < 0);
}

static int64
days_from_civil(int year, int month, int day)
{
	int			y = month > 2 ? year : year - 1;
	int			year_of_era = y % 400;
	int			month_from_march = (month + 9) % 12;
	int			day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
	int			day_of_era = year_of_era * 365 + year_of_era / 4 -
		year_of_era / 100 + day_of_year;

	return (int64) (y / 400) * DAYS_PER_ERA + day_of_era - DAYS_TO_1970;
}

static void
civil_from_days(int64 days, int *year, int *month, int *day)
{
	int64		from_march_0000 = days + DAYS_TO_1970;
	int			era = from_march_0000 / DAYS_PER_ERA;
	int			day_of_era = from_march_0000 % DAYS_PER_ERA;
	int			year_of_era = (day_of_era - day_of_era / 1460 +
							   day_of_era / 36524 - day_of_era / 146096) / 365;
	int			day_of_year = day_of_era - (365 * year_of_era +
											year_of_era / 4 - year_of_era / 100);
	int			month_from_march = (5 * day_of_year + 2) / 153;

	*day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
	*month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
	*year = era * 400 + year_of_era + (*month <= 2);
}

static int
days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool		leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (leap && month == 2);
}

/* Take two digits off *s; false if they exceed max. */
static bool
take_two(Slice *s, int max, int *value)
{
	if (s->len < 2 || !is_digit(s->text[0]) || !is_digit(s->text[1]))
		return false;
	*value = (int) number_of(head(*s, 2));
	*s = tail(*s, 2);
	return *value <= max;
}

static bool
take_char(Slice *s, char c)
{
	if (s->len == 0 || *s->text != c)
		return false;
	*s = tail(*s, 1);
	return true;
}

/* YYYY-MM-DD, in microseconds. */
static bool
take_date(Slice *s, int64 *us)
{
	int			year;
	int			month;
	int			day;

	if (count_digits(*s) != 4)
		return false;
	year = (int) number_of(head(*s, 4));
	*s = tail(*s, 4);
	if (!take_char(s, '-') || !take_two(s, 12, &month) || month == 0 ||
		!take_char(s, '-') || !take_two(s, 31, &day) || day == 0 ||
		day > days_in_month(year, month))
		return false;

	/*
	 * days before 0000-03-01 have no era; all of the year 0000 is out of
	 * range
	 */
	*us = year == 0 ? MIN_EPOCH_US - US_PER_DAY * 366 :
		days_from_civil(year, month, day) * US_PER_DAY;
	return true;
}

/* HH:MM[:SS[.ffffff]], in microseconds. */
static bool
take_time(Slice *s, int64 *us)
{
	int			hour;
	int			minute;
	int			second = 0;
	int64		fraction = 0;

	if (!take_two(s, 23, &hour) || !take_char(s, ':') ||
		!take_two(s, 59, &minute))
		return false;
	if (take_char(s, ':'))
	{
		if (!take_two(s, 59, &second))
			return false;
		if (take_char(s, '.'))
		{
			size_t		digits = count_digits(*s);

			if (digits < 1 || digits > 6)
				return false;
			fraction = number_of(head(*s, digits));
			*s = tail(*s, digits);
			for (; digits < 6; digits++)
				fraction *= 10;
		}
	}
	*us = (hour * 60 + minute) * US_PER_MINUTE + second * US_PER_SEC + fraction;
	return true;
}

/* Z or +HH[:MM] or -HH[:MM], in microseconds ahead of UTC. */
static bool
take_offset(Slice *s, int64 *us)
{
	bool		behind;
	int			hours;
	int			minutes = 0;

	*us = 0;
	if (take_char(s, 'Z'))
		return true;
	behind = take_char(s, '-');
	if (!behind && !take_char(s, '+'))
		return false;
	if (!take_two(s, 23, &hours) ||
		(take_char(s, ':') && !take_two(s, 59, &minutes)))
		return false;
	*us = (hours * 60 + minutes) * (behind ? -US_PER_MINUTE : US_PER_MINUTE);
	return true;
}

/* A date, or a timestamp with offset. */
static EpochStatus
read_timestamp(Slice s, int64 *us)
{
	int64		time;
	int64		offset;

	if (!take_date(&s, us))
		return EPOCH_INVALID;
	if (s.len == 0)
		return EPOCH_VALID;
	if (!take_char(&s, 'T') || !take_time(&s, &time))
		return EPOCH_INVALID;
	if (s.len == 0)
		return EPOCH_WITHOUT_OFFSET;
	if (!take_offset(&s, &offset) || s.len > 0)
		return EPOCH_INVALID;
	*us += time - offset;
	return EPOCH_VALID;
}

/* Unix milliseconds.  Clamping avoids an overflow; the result is still out of range. */
static bool
read_unix_ms(Slice s, int64 *us)
{
	bool		negative = take_char(&s, '-');
	int64		ms = Min(number_of(head(s, count_digits(s))),
						 END_EPOCH_US / US_PER_MS);

	if (s.len == 0 || count_digits(s) != s.len)
		return false;
	*us = negative ? -ms * US_PER_MS : ms * US_PER_MS;
	return true;
}

/*
 * flake_epoch_parse parses a date, a timestamp with offset, or Unix
 * milliseconds.
 */
EpochStatus
flake_epoch_parse(Slice value, int64 *unix_us)
{
	EpochStatus status = read_unix_ms(value, unix_us) ? EPOCH_VALID :
		read_timestamp(value, unix_us);

	if (status == EPOCH_VALID &&
		(*unix_us < MIN_EPOCH_US || *unix_us >= END_EPOCH_US))
		return EPOCH_OUT_OF_RANGE;
	return status;
}

/*
 * flake_epoch_format writes a timestamp in UTC, with as many fractional digits
 * as needed.
 */
void
flake_epoch_format(int64 unix_us, char buf[EPOCH_TEXT_MAX])
{
	int64		days = floor_div(unix_us, US_PER_DAY);
	int64		time = unix_us - days * US_PER_DAY;
	int			seconds = time / US_PER_SEC;
	int			fraction = time % US_PER_SEC;
	int			digits = 6;
	int			year;
	int			month;
	int			day;
	int			len;

	civil_from_days(days, &year, &month, &day);
	len = snprintf(buf, EPOCH_TEXT_MAX, "%04d-%02d-%02dT%02d:%02d:%02d",
				   year, month, day,
				   seconds / 3600, seconds / 60 % 60, seconds % 60);
	if (fraction != 0)
	{
		for (; fraction % 10 == 0; fraction /= 10)
			digits--;
		len += snprintf(buf + len, EPOCH_TEXT_MAX - len, ".%0*d",
						digits, fraction);
	}
	snprintf(buf + len, EPOCH_TEXT_MAX - len, "Z");
}
