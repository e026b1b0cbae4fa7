/* The part of JSON Schema that our schemas use: see schema.h. Must never skip a word it does not
 * know. */
#include "harness/record/schema.h"

#include "harness/base/embedded.h"
#include "harness/base/fs.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

/* Deeper than any document of ours; bounds the recursion on hostile input. */
#define MAX_DEPTH 64

/* Where in the document we are: a chain of stack frames, so that nothing is built while all is
 * well. */
struct place {
	const struct place *parent;
	const char *key; /* NULL: an array element */
	size_t index;
	unsigned depth;
};

struct checker {
	const json_t *root; /* the schema, for $ref */
};

static struct error *check(const struct checker *checker, const json_t *schema, const json_t *value,
	const struct place *place);

static char *place_text(const struct place *place)
{
	_cleanup_free_ char *parent = NULL;

	if (!place->parent)
		return format_string("%s", "");
	parent = place_text(place->parent);
	if (!place->key)
		return format_string("%s[%zu]", parent, place->index);
	return format_string("%s%s%.80s", parent, *parent ? "." : "", place->key);
}

static struct error *refuse(const struct place *place, const char *format, ...)
	__attribute__((format(printf, 2, 3), returns_nonnull));

static struct error *refuse(const struct place *place, const char *format, ...)
{
	_cleanup_free_ char *path = place_text(place);
	_cleanup_free_ char *reason = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&reason, format, args) < 0)
		reason = NULL;
	va_end(args);
	return error_new(ERROR_USAGE, "%s %s", *path ? path : "the document",
		reason ? reason : "is invalid");
}

/* A value as a message shows it: short, and safe for a terminal. */
static char *value_text(const json_t *value)
{
	char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII | JSON_COMPACT);

	if (!text)
		return format_string("a value");
	if (strlen(text) > 60)
		memcpy(text + 57, "...", 4);
	return text;
}

static bool is_type(const json_t *value, const char *type)
{
	if (strcmp(type, "object") == 0)
		return json_is_object(value);
	if (strcmp(type, "array") == 0)
		return json_is_array(value);
	if (strcmp(type, "string") == 0)
		return json_is_string(value);
	if (strcmp(type, "number") == 0)
		return json_is_number(value);
	if (strcmp(type, "integer") == 0)
		return json_is_integer(value);
	if (strcmp(type, "boolean") == 0)
		return json_is_boolean(value);
	return strcmp(type, "null") == 0 && json_is_null(value);
}

static struct error *check_type(const json_t *rule, const json_t *value, const struct place *place)
{
	_cleanup_free_ char *shown = NULL;
	_cleanup_free_ char *wanted = NULL;
	const json_t *type;
	size_t i;

	if (json_is_string(rule) && is_type(value, json_string_value(rule)))
		return NULL;
	json_array_foreach (rule, i, type) {
		if (is_type(value, json_string_value(type)))
			return NULL;
	}
	shown = value_text(value);
	wanted = value_text(rule);
	return refuse(place, "is %s, expected %s", shown, wanted);
}

static struct error *check_choice(
	const json_t *choices, const json_t *value, const struct place *place)
{
	_cleanup_free_ char *shown = NULL;
	_cleanup_free_ char *wanted = NULL;
	const json_t *choice;
	size_t i;

	if (json_is_array(choices)) {
		json_array_foreach (choices, i, choice) {
			if (json_equal(choice, value))
				return NULL;
		}
	} else if (json_equal(choices, value)) {
		return NULL;
	}
	shown = value_text(value);
	wanted = json_dumps(choices, JSON_ENCODE_ANY);
	return refuse(place, "is %s, expected %s%s", shown, json_is_array(choices) ? "one of " : "",
		wanted ? wanted : "another value");
}

static struct error *check_any(const struct checker *checker, const json_t *schemas,
	const json_t *value, const struct place *place)
{
	_cleanup_free_ char *shown = NULL;
	const json_t *schema;
	size_t i;

	json_array_foreach (schemas, i, schema) {
		_cleanup_error_ struct error *err = check(checker, schema, value, place);

		if (!err)
			return NULL;
	}
	shown = value_text(value);
	return refuse(place, "is %s, which has none of the allowed forms", shown);
}

/* Length of a string in characters, of an array in elements; false for other values. */
static bool length_of(const json_t *value, size_t *length)
{
	if (json_is_array(value)) {
		*length = json_array_size(value);
		return true;
	}
	if (!json_is_string(value))
		return false;
	*length = 0;
	for (const char *p = json_string_value(value); *p; p++)
		*length += ((unsigned char)*p & 0xC0) != 0x80;
	return true;
}

static struct error *check_limit(
	const char *word, const json_t *limit, const json_t *value, const struct place *place)
{
	bool least = strncmp(word, "min", 3) == 0;
	double bound = json_number_value(limit);
	double actual;
	size_t length;

	if (strcmp(word, "minimum") == 0 || strcmp(word, "maximum") == 0) {
		if (!json_is_number(value))
			return NULL;
		actual = json_number_value(value);
	} else {
		if (json_is_array(value) != (strstr(word, "Items") != NULL))
			return NULL;
		if (!length_of(value, &length))
			return NULL;
		actual = (double)length;
		if (least ? actual >= bound : actual <= bound)
			return NULL;
		return refuse(place, "has %zu %s, expected at %s %g", length,
			json_is_array(value) ? "elements" : "characters", least ? "least" : "most",
			bound);
	}
	if (least ? actual >= bound : actual <= bound)
		return NULL;
	return refuse(place, "is %g, expected at %s %g", actual, least ? "least" : "most", bound);
}

static struct error *check_required(
	const json_t *names, const json_t *value, const struct place *place)
{
	const json_t *name;
	size_t i;

	if (!json_is_object(value))
		return NULL;
	json_array_foreach (names, i, name) {
		if (!json_object_get(value, json_string_value(name)))
			return refuse(place, "lacks \"%s\"", json_string_value(name));
	}
	return NULL;
}

static struct error *check_members(const struct checker *checker, const json_t *schema,
	const json_t *object, const struct place *place)
{
	const json_t *properties = json_object_get(schema, "properties");
	const json_t *others = json_object_get(schema, "additionalProperties");
	const char *key;
	json_t *member;

	if (!json_is_object(object))
		return NULL;
	json_object_foreach ((json_t *)object, key, member) {
		const struct place below = {place, key, 0, place->depth + 1};
		const json_t *rule = json_object_get(properties, key);

		if (!rule)
			rule = others;
		if (json_is_false(rule))
			return refuse(&below, "is not a known field");
		if (json_is_object(rule))
			try_(check(checker, rule, member, &below));
	}
	return NULL;
}

static struct error *check_items(const struct checker *checker, const json_t *rule,
	const json_t *array, const struct place *place)
{
	const json_t *item;
	size_t i;

	json_array_foreach (array, i, item) {
		const struct place below = {place, NULL, i, place->depth + 1};

		try_(check(checker, rule, item, &below));
	}
	return NULL;
}

static struct error *check_reference(const struct checker *checker, const json_t *rule,
	const json_t *value, const struct place *place)
{
	static const char prefix[] = "#/$defs/";
	const char *name = json_string_value(rule);
	const json_t *target = NULL;

	if (name && strncmp(name, prefix, strlen(prefix)) == 0)
		target = json_object_get(
			json_object_get(checker->root, "$defs"), name + strlen(prefix));
	if (!target)
		return error_new(ERROR_INTERNAL, "the schema refers to %s, which it does not have",
			name ? name : "nothing");
	return check(checker, target, value, place);
}

static bool is_limit(const char *word)
{
	static const char *const limits[] = {
		"minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems"};

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		if (strcmp(word, limits[i]) == 0)
			return true;
	}
	return false;
}

/* The words of most values come first: there may be a hundred thousand records to check. */
static struct error *check_word(const struct checker *checker, const char *word,
	const json_t *schema, const json_t *rule, const json_t *value, const struct place *place)
{
	if (strcmp(word, "$ref") == 0)
		return check_reference(checker, rule, value, place);
	if (is_limit(word))
		return check_limit(word, rule, value, place);
	if (strcmp(word, "required") == 0)
		return check_required(rule, value, place);
	if (strcmp(word, "properties") == 0)
		return check_members(checker, schema, value, place);
	if (strcmp(word, "additionalProperties") == 0)
		return json_object_get(schema, "properties")
			       ? NULL
			       : check_members(checker, schema, value, place);
	if (strcmp(word, "items") == 0)
		return check_items(checker, rule, value, place);
	if (strcmp(word, "const") == 0 || strcmp(word, "enum") == 0)
		return check_choice(rule, value, place);
	if (strcmp(word, "anyOf") == 0)
		return check_any(checker, rule, value, place);
	if (strcmp(word, "$comment") == 0 || strcmp(word, "$defs") == 0)
		return NULL;
	return error_new(ERROR_INTERNAL, "the schema uses \"%s\", which is not understood", word);
}

/* "type" goes first whatever the schema's order: its message says most. */
static struct error *check(const struct checker *checker, const json_t *schema, const json_t *value,
	const struct place *place)
{
	const json_t *type = json_object_get(schema, "type");
	const char *word;
	json_t *rule;

	if (place->depth > MAX_DEPTH)
		return refuse(place, "is nested too deeply");
	if (type)
		try_(check_type(type, value, place));
	json_object_foreach ((json_t *)schema, word, rule) {
		if (rule != type)
			try_(check_word(checker, word, schema, rule, value, place));
	}
	return NULL;
}

struct error *schema_check_against(const json_t *schema, const json_t *value)
{
	const struct checker checker = {schema};
	const struct place top = {0};

	return check(&checker, schema, value, &top);
}

/* The lock is held. */
static struct error *parse_once(const char *name, const json_t **schema)
{
	static json_t *parsed; /* by name */
	_cleanup_free_ char *path = format_string("schema/%s.schema.json", name);
	const struct embedded_file *file = embedded_find(path);
	json_error_t why;
	json_t *made;

	parsed = parsed ? parsed : json_object();
	*schema = json_object_get(parsed, name);
	if (*schema)
		return NULL;
	if (!file)
		return error_new(ERROR_INTERNAL, "there is no schema %s", path);
	made = json_loadb(file->data, file->size, JSON_REJECT_DUPLICATES, &why);
	if (!made)
		return error_new(
			ERROR_INTERNAL, "schema %s: line %d: %s", path, why.line, why.text);
	json_object_set_new(parsed, name, made);
	*schema = made;
	return NULL;
}

/* Parsed once, and kept for all threads. *schema is borrowed. */
static struct error *find_schema(const char *name, const json_t **schema)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

	pthread_mutex_lock(&lock);
	struct error *err = parse_once(name, schema);

	pthread_mutex_unlock(&lock);
	return err;
}

struct error *schema_check(const char *name, const json_t *value)
{
	const json_t *schema;

	try_(find_schema(name, &schema));
	return schema_check_against(schema, value);
}

struct error *schema_check_part(const char *name, const char *part, const json_t *value)
{
	_cleanup_free_ char *reference = format_string("#/$defs/%s", part);
	_cleanup_json_ json_t *rule = json_string(reference);
	const struct place top = {0};
	const json_t *schema;

	try_(find_schema(name, &schema));
	const struct checker checker = {schema};

	return check_reference(&checker, rule, value, &top);
}
