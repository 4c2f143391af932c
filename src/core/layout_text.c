/*
 * layout_text.c
 *		The text form of layouts: parser and formatter.
 *
 * The text of a layout is a list of words, separated by white space: the fields
 * from the most significant bit as name:bits, or name:bits=value for a fixed
 * part of the node, then the options epoch=... and tick=...  The name of a
 * preset stands for its fields and options; options that follow it replace its
 * own.
 *
 * Each layout has one canonical text: the name of its preset if it has one, else
 * the full form with both options.  flake_layout_format() writes it, and
 * flake_layout_parse() gets the same layout from it.
 *
 * Pure, see layout.h.  So errors are returned as texts, which show the word that
 * is wrong.
 */
#include "postgres.h"

#include "core/layout_text.h"

/* Use libc's, because pg_vsnprintf() would have to be linked. */
#undef vsnprintf
#undef PG_PRINTF_ATTRIBUTE
#define PG_PRINTF_ATTRIBUTE	__printf__

/* 2025-01-01T00:00:00Z and one millisecond */
#define DEFAULT_EPOCH_US	(20089 * US_PER_DAY)
#define DEFAULT_TICK_US		US_PER_MS

/* An error message shows at most this many bytes of a word. */
#define MAX_SHOWN		48

typedef struct Parser
{
	FlakeLayout *layout;
	FlakeLayoutError *error;
	bool		fields_done;	/* an option or a preset has been parsed */
	bool		has_epoch;		/* the option has been parsed */
	bool		has_tick;
	char		shown[MAX_SHOWN + 4];	/* a word for an error message */
} Parser;

static void append(char *buf, size_t size, size_t *len,
				   const char *format, ...) pg_attribute_printf(4, 5);
static bool refuse(FlakeLayoutError *error,
				   const char *format, ...) pg_attribute_printf(2, 3);
static void add_detail(FlakeLayoutError *error,
					   const char *format, ...) pg_attribute_printf(2, 3);
static void add_hint(FlakeLayoutError *error,
					 const char *format, ...) pg_attribute_printf(2, 3);

/* Append to the text; *len also counts what does not fit. */
static void
append(char *buf, size_t size, size_t *len, const char *format, ...)
{
	va_list		args;
	int			n;

	va_start(args, format);
	n = *len < size ? vsnprintf(buf + *len, size - *len, format, args) :
		vsnprintf(NULL, 0, format, args);
	va_end(args);
	*len += n;
}

/* Set the primary message, and return false for "return refuse(...)". */
static bool
refuse(FlakeLayoutError *error, const char *format, ...)
{
	va_list		args;

	va_start(args, format);
	vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	return false;
}

static void
add_detail(FlakeLayoutError *error, const char *format, ...)
{
	va_list		args;

	va_start(args, format);
	vsnprintf(error->detail, sizeof(error->detail), format, args);
	va_end(args);
}

static void
add_hint(FlakeLayoutError *error, const char *format, ...)
{
	va_list		args;

	va_start(args, format);
	vsnprintf(error->hint, sizeof(error->hint), format, args);
	va_end(args);
}

/* The word for an error message, cut if it is long. */
static const char *
show(Parser *p, Slice word)
{
	size_t		len = word.len;

	if (len > MAX_SHOWN)
	{
		/*
		 * Don't cut a multibyte character.  In every server encoding all its
		 * bytes have the high bit set.
		 */
		len = MAX_SHOWN;
		while (len > 0 && IS_HIGHBIT_SET(word.text[len - 1]))
			len--;
	}
	memcpy(p->shown, word.text, len);
	memcpy(p->shown + len, len < word.len ? "..." : "", len < word.len ? 4 : 1);
	return p->shown;
}

/* Refuse a first word that is not the time. */
static bool
refuse_first(Parser *p, Slice word)
{
	refuse(p->error, "layout begins with \"%s\" instead of field \"time\"",
		   show(p, word));
	add_detail(p->error, "Field \"time\" is required, comes first and can have 1 to %d bits.",
			   FLAKE_ID_BITS);
	return false;
}

static bool
parse_epoch(Parser *p, Slice value)
{
	EpochStatus status = flake_epoch_parse(value, &p->layout->epoch_us);

	if (status == EPOCH_VALID)
		return true;
	refuse(p->error, status == EPOCH_OUT_OF_RANGE ?
		   "epoch out of range in layout: \"%s\"" :
		   "invalid epoch in layout: \"%s\"", show(p, value));
	add_detail(p->error, "An epoch is a date, a timestamp with offset or Unix milliseconds, such as 2025-01-01, 2025-01-01T00:00:00Z or 1735689600000, in the years 0001 to 9999.");
	if (status == EPOCH_WITHOUT_OFFSET)
		add_hint(p->error, "Append \"Z\" for UTC, or an offset such as \"+02:00\".");
	return false;
}

static bool
parse_tick(Parser *p, Slice value)
{
	size_t		digits = count_digits(value);
	Slice		unit = tail(value, digits);
	int64		count = number_of(head(value, digits));
	int64		unit_us = equals(unit, "us") ? 1 :
		equals(unit, "ms") ? US_PER_MS :
		equals(unit, "s") ? US_PER_SEC : 0;

	if (digits == 0 || unit_us == 0)
		refuse(p->error, "invalid tick in layout: \"%s\"", show(p, value));
	else if (count < 1 || count > FLAKE_MAX_TICK_US / unit_us)
		refuse(p->error, "tick out of range in layout: \"%s\"", show(p, value));
	else
	{
		p->layout->tick_us = count * unit_us;
		return true;
	}
	add_detail(p->error, "A tick is a whole number of us, ms or s, from 1us to 86400s.");
	return false;
}

static bool
parse_option(Parser *p, Slice word, Slice name, Slice value)
{
	bool	   *given;
	bool		is_epoch = equals(name, "epoch");

	if (!is_epoch && !equals(name, "tick"))
	{
		refuse(p->error, "unrecognized option \"%s\" in layout", show(p, name));
		add_detail(p->error, "Options are \"epoch\" and \"tick\".");
		add_hint(p->error, "A field is written as name:bits, a fixed part of the node as name:bits=value.");
		return false;
	}
	if (p->layout->nfields == 0)
		return refuse_first(p, word);

	given = is_epoch ? &p->has_epoch : &p->has_tick;
	if (*given)
		return refuse(p->error, "duplicate option \"%s\" in layout", show(p, name));
	*given = true;
	p->fields_done = true;
	return is_epoch ? parse_epoch(p, value) : parse_tick(p, value);
}

static bool
check_name(Parser *p, Slice word, Slice name)
{
	bool		valid = name.len > 0 && name.len <= FLAKE_FIELD_NAME_MAX &&
		is_lower(name.text[0]);

	for (size_t i = 0; valid && i < name.len; i++)
		valid = is_lower(name.text[i]) || is_digit(name.text[i]) ||
			name.text[i] == '_';

	if (!valid)
	{
		refuse(p->error, "invalid field name in layout: \"%s\"", show(p, word));
		add_detail(p->error, "A field name begins with a lower-case letter, followed by lower-case letters, digits and underscores, and has at most %d characters.",
				   FLAKE_FIELD_NAME_MAX);
		return false;
	}
	if (equals(name, "epoch") || equals(name, "tick"))
	{
		refuse(p->error, "invalid field name in layout: \"%s\"", show(p, name));
		add_hint(p->error, "An option is written as %s=value.", p->shown);
		return false;
	}
	for (int i = 0; i < p->layout->nfields; i++)
		if (equals(name, p->layout->fields[i].name))
			return refuse(p->error, "duplicate field \"%s\" in layout",
						  show(p, name));
	return true;
}

static bool
parse_bits(Parser *p, Slice word, const FlakeField *field, Slice digits,
		   int *bits)
{
	int			max = field->kind == FLAKE_FIELD_TIME ? FLAKE_ID_BITS :
		field->kind == FLAKE_FIELD_SLOT ? FLAKE_MAX_SLOT_BITS :
		field->kind == FLAKE_FIELD_SEQUENCE ? FLAKE_MAX_SEQUENCE_BITS :
		FLAKE_MAX_NODE_BITS;
	int64		number = number_of(digits);

	if (digits.len == 0 || count_digits(digits) != digits.len)
		refuse(p->error, "invalid number of bits in layout: \"%s\"",
			   show(p, word));
	else if (number < 1 || number > max)
		refuse(p->error, "number of bits out of range in layout: \"%s\"",
			   show(p, word));
	else
	{
		*bits = (int) number;
		return true;
	}
	add_detail(p->error, "Field \"%s\" can have 1 to %d bits.", field->name, max);
	return false;
}

/* Do this field and all before it fit into an id? */
static bool
check_sum(Parser *p, Slice word, FlakeFieldKind kind, int bits)
{
	int			all = bits;
	int			node = kind == FLAKE_FIELD_NODE ? bits : 0;

	for (int i = 0; i < p->layout->nfields; i++)
	{
		const FlakeField *field = &p->layout->fields[i];

		all += field->bits;
		node += field->kind == FLAKE_FIELD_NODE ? field->bits : 0;
	}
	if (node > FLAKE_MAX_NODE_BITS)
	{
		refuse(p->error, "too many node bits in layout at \"%s\"", show(p, word));
		add_detail(p->error, "The parts of the node id have %d bits up to here, and can have at most %d together.",
				   node, FLAKE_MAX_NODE_BITS);
		return false;
	}
	if (all > FLAKE_ID_BITS)
	{
		refuse(p->error, "too many bits in layout at \"%s\"", show(p, word));
		add_detail(p->error, "The fields have %d bits up to here, and can have at most %d together.",
				   all, FLAKE_ID_BITS);
		return false;
	}
	return true;
}

/* Parse the value of a fixed part, whose number of bits is known. */
static bool
parse_value(Parser *p, Slice word, FlakeField *field, Slice digits)
{
	int64		number = number_of(digits);

	if (field->kind != FLAKE_FIELD_NODE)
	{
		refuse(p->error, "field \"%s\" cannot be fixed in layout: \"%s\"",
			   field->name, show(p, word));
		add_detail(p->error, "Only a part of the node can have a fixed value.");
		return false;
	}
	if (digits.len == 0 || count_digits(digits) != digits.len)
		refuse(p->error, "invalid fixed value in layout: \"%s\"",
			   show(p, word));
	else if (number > flake_mask(field->bits))
		refuse(p->error, "fixed value out of range in layout: \"%s\"",
			   show(p, word));
	else
	{
		field->fixed = true;
		field->value = number;
		return true;
	}
	add_detail(p->error, "Field \"%s\" can have the values 0 to %lld.",
			   field->name, (long long) flake_mask(field->bits));
	return false;
}

/* Parse a field; "rest" follows the colon: bits, or bits=value. */
static bool
parse_field(Parser *p, Slice word, Slice name, Slice rest)
{
	FlakeField	field = {0};
	size_t		at = find_separator(rest);
	bool		fixed = at < rest.len && rest.text[at] == '=';
	Slice		digits = fixed ? head(rest, at) : rest;
	int			bits;

	if (p->fields_done)
	{
		refuse(p->error, "misplaced field in layout: \"%s\"", show(p, word));
		add_detail(p->error, "Fields come before the options, and none can be added to a preset.");
		return false;
	}
	if (!check_name(p, word, name))
		return false;
	memcpy(field.name, name.text, name.len);
	field.kind = equals(name, "time") ? FLAKE_FIELD_TIME :
		equals(name, "slot") ? FLAKE_FIELD_SLOT :
		equals(name, "sequence") ? FLAKE_FIELD_SEQUENCE : FLAKE_FIELD_NODE;

	if (p->layout->nfields == 0 && field.kind != FLAKE_FIELD_TIME)
		return refuse_first(p, word);
	if (!parse_bits(p, word, &field, digits, &bits) ||
		!check_sum(p, word, field.kind, bits))
		return false;

	field.bits = bits;
	if (fixed && !parse_value(p, word, &field, tail(rest, at + 1)))
		return false;
	p->layout->fields[p->layout->nfields++] = field;
	return true;
}

/* Parse fields and options up to the end of the text. */
static bool
parse_words(Parser *p, Slice rest)
{
	Slice		word;

	while (next_word(&rest, &word))
	{
		size_t		at = find_separator(word);
		Slice		name = head(word, at);

		if (at == word.len)
		{
			refuse(p->error, "unrecognized word in layout: \"%s\"", show(p, word));
			add_hint(p->error, "A field is written as name:bits, an option as name=value.");
			return false;
		}
		if (word.text[at] == ':' ?
			!parse_field(p, word, name, tail(word, at + 1)) :
			!parse_option(p, word, name, tail(word, at + 1)))
			return false;
	}
	return true;
}

static void
list_presets(char *buf, size_t size)
{
	size_t		len = 0;

	append(buf, size, &len, "Presets are");
	for (int i = 0; i < flake_layout_preset_count; i++)
		append(buf, size, &len, "%s %s", i == 0 ? "" : ",",
			   flake_layout_presets[i].name);
	append(buf, size, &len, ".");
}

/* Parse the text of a preset. */
static bool
parse_preset(Parser *p, Slice name)
{
	for (int i = 0; i < flake_layout_preset_count; i++)
	{
		const LayoutPreset *preset = &flake_layout_presets[i];

		if (equals(name, preset->name))
		{
			Slice		words = {preset->text, strlen(preset->text)};

			if (!parse_words(p, words))
				return false;
			p->fields_done = true;
			p->has_epoch = p->has_tick = false; /* may be replaced */
			return true;
		}
	}

	refuse(p->error, "unrecognized layout \"%s\"", show(p, name));
	list_presets(p->error->detail, sizeof(p->error->detail));
	add_hint(p->error, "Other layouts are written as fields from the most significant bit, such as \"time:41 node:8 slot:6 sequence:8\".");
	return false;
}

/* Set what follows from the fields: positions and sums of bits. */
static void
place_fields(FlakeLayout *layout)
{
	int			shift = 0;

	for (int i = layout->nfields - 1; i >= 0; i--)
	{
		FlakeField *field = &layout->fields[i];

		field->shift = shift;
		switch (field->kind)
		{
			case FLAKE_FIELD_TIME:
				layout->time_bits = field->bits;
				layout->time_shift = shift;
				break;
			case FLAKE_FIELD_NODE:
				layout->node_bits += field->bits;
				if (!field->fixed)
					layout->free_node_bits += field->bits;
				layout->fixed_id |= field->value << shift;
				break;
			case FLAKE_FIELD_SLOT:
				layout->slot_bits = field->bits;
				layout->slot_shift = shift;
				break;
			case FLAKE_FIELD_SEQUENCE:
				layout->seq_bits = field->bits;
				layout->seq_shift = shift;
				break;
		}
		shift += field->bits;
	}
}

/*
 * flake_layout_parse parses the text of a layout, which need not be terminated.
 *
 * On failure it returns false and sets *error, and *layout is undefined.
 */
bool
flake_layout_parse(const char *text, size_t len,
				   FlakeLayout *layout, FlakeLayoutError *error)
{
	Parser		p = {.layout = layout, .error = error};
	Slice		whole = {text, len};
	Slice		rest = whole;
	Slice		first;

	memset(layout, 0, sizeof(*layout));
	memset(error, 0, sizeof(*error));
	layout->epoch_us = DEFAULT_EPOCH_US;
	layout->tick_us = DEFAULT_TICK_US;

	if (!next_word(&rest, &first))
	{
		refuse(error, "layout is empty");
		add_hint(error, "A layout is a preset such as \"flake\", or a list of fields such as \"time:41 node:8 slot:6 sequence:8\".");
		return false;
	}
	if (find_separator(first) < first.len)
		rest = whole;
	else if (!parse_preset(&p, first))
		return false;

	if (!parse_words(&p, rest))
		return false;
	place_fields(layout);
	return true;
}

/* Are two layouts the same, including the names of their fields? */
static bool
same_layout(const FlakeLayout *a, const FlakeLayout *b)
{
	if (a->epoch_us != b->epoch_us || a->tick_us != b->tick_us ||
		a->nfields != b->nfields)
		return false;
	for (int i = 0; i < a->nfields; i++)
	{
		const FlakeField *x = &a->fields[i];
		const FlakeField *y = &b->fields[i];

		if (strcmp(x->name, y->name) != 0 || x->bits != y->bits ||
			x->fixed != y->fixed || x->value != y->value)
			return false;
	}
	return true;
}

/* The name of the preset that a layout is equal to, or NULL. */
static const char *
preset_name(const FlakeLayout *layout)
{
	for (int i = 0; i < flake_layout_preset_count; i++)
	{
		const LayoutPreset *preset = &flake_layout_presets[i];
		FlakeLayout candidate;
		FlakeLayoutError error;

		if (flake_layout_parse(preset->text, strlen(preset->text),
							   &candidate, &error) &&
			same_layout(layout, &candidate))
			return preset->name;
	}
	return NULL;
}

/*
 * flake_layout_format writes the canonical text of a layout.
 *
 * FLAKE_LAYOUT_TEXT_MAX bytes are always enough.  Like snprintf(), it returns
 * the length of the whole text; if that is not less than "size", the text was
 * truncated.
 */
size_t
flake_layout_format(const FlakeLayout *layout, char *buf, size_t size)
{
	const char *name = preset_name(layout);
	size_t		len = 0;

	if (name == NULL)
		return flake_layout_format_full(layout, buf, size);
	append(buf, size, &len, "%s", name);
	return len;
}

/*
 * flake_layout_format_full does the same, but writes the full form even of a
 * preset.
 */
size_t
flake_layout_format_full(const FlakeLayout *layout, char *buf, size_t size)
{
	static const struct
	{
		int64		us;
		const char *name;
	}			units[] = {{US_PER_SEC, "s"}, {US_PER_MS, "ms"}, {1, "us"}};
	size_t		len = 0;
	int			unit = 0;
	char		epoch[EPOCH_TEXT_MAX];

	for (int i = 0; i < layout->nfields; i++)
	{
		const FlakeField *field = &layout->fields[i];

		append(buf, size, &len, "%s:%d", field->name, field->bits);
		if (field->fixed)
			append(buf, size, &len, "=%lld", (long long) field->value);
		append(buf, size, &len, " ");
	}

	flake_epoch_format(layout->epoch_us, epoch);
	while (layout->tick_us % units[unit].us != 0)
		unit++;
	append(buf, size, &len, "epoch=%s tick=%lld%s", epoch,
		   (long long) (layout->tick_us / units[unit].us), units[unit].name);
	return len;
}
