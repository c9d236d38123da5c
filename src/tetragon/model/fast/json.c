/* json: values in, the bytes of a JSON object out; parts of a line in, the line out. */
#include "fast.h"

#define MEMBERS_MAX 48

/* One member of an object: its key, ready to copy, and what its value takes. */
struct member {
	PyObject *key;
	const char *text; /* of a str: UTF-8; of bytes: JSON */
	Py_ssize_t size;
	Py_ssize_t escaped; /* size as a JSON string; -1 when it is copied as it is */
	PyObject *owned;
	char number[24];
};

static const char hex_digits[] = "0123456789abcdef";

/* Sixteen bytes that compilers handle at once, on any machine. */
typedef uint8_t block __attribute__((vector_size(16)));
#define BLOCK ((Py_ssize_t)sizeof(block))

/* Mark the bytes that cannot stand in a JSON string as they are. */
static inline block specials(const char *text)
{
	block bytes;

	memcpy(&bytes, text, sizeof(bytes));
	return (block)(bytes < 0x20) | (block)(bytes == '"') | (block)(bytes == '\\');
}

static inline bool is_zero(block marks)
{
	uint64_t halves[2];

	memcpy(halves, &marks, sizeof(marks));
	return (halves[0] | halves[1]) == 0;
}

/* How many bytes to skip, in whole blocks, as none of them is special. */
static inline Py_ssize_t plain_run(const char *text, Py_ssize_t size)
{
	const char *at = text, *end = text + size;

	while (end - at >= 4 * BLOCK &&
	       is_zero(specials(at) | specials(at + BLOCK) | specials(at + 2 * BLOCK) |
		       specials(at + 3 * BLOCK)))
		at += 4 * BLOCK;
	while (end - at >= BLOCK && is_zero(specials(at)))
		at += BLOCK;
	return at - text;
}

/* How many bytes more a byte takes in a JSON string: a backslash, or all of \u00xx. */
static const uint8_t escape_extra[256] = {
	[0 ... 7] = 5,	  [8 ... 10] = 1, /* \b \t \n */
	[11] = 5,	  [12 ... 13] = 1, /* \f \r */
	[14 ... 31] = 5,  ['"'] = 1,	  ['\\'] = 1,
};

static inline Py_ssize_t escapes_in(const char *text, Py_ssize_t size)
{
	Py_ssize_t extra = 0, i;

	for (i = 0; i < size; i++)
		extra += escape_extra[(uint8_t)text[i]];
	return extra;
}

/* Bytes that a text takes between the quotes of a JSON string. */
static Py_ssize_t escaped_size(const char *text, Py_ssize_t size)
{
	Py_ssize_t total = size, step;

	while (size) {
		step = plain_run(text, size);
		text += step;
		size -= step;
		step = size < BLOCK ? size : BLOCK;
		total += escapes_in(text, step);
		text += step;
		size -= step;
	}
	return total;
}

static char *put_escaped_bytes(char *to, const char *text, Py_ssize_t size)
{
	static const char shorts[] = "btn?fr";
	Py_ssize_t i;

	for (i = 0; i < size; i++) {
		uint8_t c = (uint8_t)text[i];

		switch (escape_extra[c]) {
		case 0:
			*to++ = (char)c;
			break;
		case 1:
			*to++ = '\\';
			*to++ = c < 0x20 ? shorts[c - '\b'] : (char)c;
			break;
		default:
			memcpy(to, "\\u00", 4);
			to[4] = hex_digits[c >> 4];
			to[5] = hex_digits[c & 15];
			to += 6;
		}
	}
	return to;
}

static char *put_escaped(char *to, const char *text, Py_ssize_t size)
{
	Py_ssize_t step;

	while (size) {
		step = plain_run(text, size);
		memcpy(to, text, (size_t)step);
		to += step;
		text += step;
		size -= step;
		step = size < BLOCK ? size : BLOCK;
		to = put_escaped_bytes(to, text, step);
		text += step;
		size -= step;
	}
	return to;
}

static int take_str(struct member *member, PyObject *value)
{
	if (PyUnicode_IS_COMPACT_ASCII(value)) {
		member->text = PyUnicode_DATA(value);
		member->size = PyUnicode_GET_LENGTH(value);
	} else {
		member->owned = PyUnicode_AsUTF8String(value);
		if (!member->owned)
			return -1;
		member->text = PyBytes_AS_STRING(member->owned);
		member->size = PyBytes_GET_SIZE(member->owned);
	}
	member->escaped = escaped_size(member->text, member->size);
	return 0;
}

static int take_int(struct member *member, PyObject *value)
{
	char *to = member->number;
	long long v = PyLong_AsLongLong(value);
	uint64_t digits = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	if (v == -1 && PyErr_Occurred())
		return -1;
	if (v < 0)
		*to++ = '-';
	member->text = member->number;
	member->size = put_number(to, digits) - member->number;
	return 0;
}

/* Describe one member. Returns 1 if it is there, 0 if it is to be left out, -1 on error. */
static int take_member(struct member *member, PyObject *key, PyObject *value)
{
	if (value == Py_None)
		return 0;
	if (!PyBytes_Check(key)) {
		PyErr_SetString(PyExc_TypeError, "json_object: a key is not bytes");
		return -1;
	}
	member->key = key;
	member->owned = NULL;
	member->escaped = -1;
	if (PyUnicode_Check(value))
		return PyUnicode_GET_LENGTH(value) == 0 ? 0 : take_str(member, value) ? -1 : 1;
	if (PyBool_Check(value)) {
		member->text = value == Py_True ? "true" : "false";
		member->size = value == Py_True ? 4 : 5;
		return 1;
	}
	if (PyLong_Check(value))
		return take_int(member, value) ? -1 : 1;
	if (PyBytes_Check(value)) {
		member->text = PyBytes_AS_STRING(value);
		member->size = PyBytes_GET_SIZE(value);
		return 1;
	}
	PyErr_Format(PyExc_TypeError, "json_object: no form for %s", Py_TYPE(value)->tp_name);
	return -1;
}

static char *put_member(char *to, const struct member *member)
{
	Py_ssize_t size = PyBytes_GET_SIZE(member->key);

	memcpy(to, PyBytes_AS_STRING(member->key), (size_t)size);
	to += size;
	if (member->escaped >= 0)
		*to++ = '"';
	if (member->escaped > member->size) {
		to = put_escaped(to, member->text, member->size);
	} else {
		memcpy(to, member->text, (size_t)member->size);
		to += member->size;
	}
	if (member->escaped >= 0)
		*to++ = '"';
	return to;
}

static PyObject *write_object(const struct member *members, int n)
{
	Py_ssize_t total = n ? n + 1 : 2; /* braces and commas */
	PyObject *made;
	char *to;
	int i;

	for (i = 0; i < n; i++) {
		const struct member *member = &members[i];

		total += PyBytes_GET_SIZE(member->key);
		total += member->escaped >= 0 ? member->escaped + 2 : member->size;
	}
	made = PyBytes_FromStringAndSize(NULL, total);
	if (!made)
		return NULL;
	to = PyBytes_AS_STRING(made);
	*to++ = '{';
	for (i = 0; i < n; i++) {
		if (i)
			*to++ = ',';
		to = put_member(to, &members[i]);
	}
	*to = '}';
	return made;
}

PyObject *json_object(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	struct member members[MEMBERS_MAX];
	PyObject *made = NULL;
	int i, n = 0, found = 0;

	(void)self;
	if (count < 1 || count > MEMBERS_MAX + 1 || !PyTuple_Check(args[0]) ||
	    PyTuple_GET_SIZE(args[0]) != count - 1) {
		PyErr_Format(PyExc_TypeError, "json_object takes a tuple of up to %d keys and a "
			     "value for each", MEMBERS_MAX);
		return NULL;
	}
	for (i = 0; i < count - 1 && found >= 0; i++) {
		found = take_member(&members[n], PyTuple_GET_ITEM(args[0], i), args[i + 1]);
		n += found > 0;
	}
	if (found >= 0)
		made = write_object(members, n);
	while (n)
		Py_XDECREF(members[--n].owned);
	return made;
}

/* ---- lines ---------------------------------------------------------------------------------- */

#define PARTS_MAX 16

/* One part of a line: bytes, or the text of a time. */
struct part {
	const char *text;
	Py_ssize_t size;
	char time[TIMESTAMP_MAX];
};

static int take_part(struct part *part, PyObject *value)
{
	if (PyBytes_Check(value)) {
		part->text = PyBytes_AS_STRING(value);
		part->size = PyBytes_GET_SIZE(value);
		return 0;
	}
	if (!PyLong_Check(value)) {
		PyErr_Format(PyExc_TypeError, "join_line: no form for %s", Py_TYPE(value)->tp_name);
		return -1;
	}
	part->text = part->time;
	part->size = put_timestamp(part->time, value);
	return part->size < 0 ? -1 : 0;
}

PyObject *join_line(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	struct part parts[PARTS_MAX];
	Py_ssize_t total = 0, i;
	PyObject *made;
	char *to;

	(void)self;
	if (count > PARTS_MAX) {
		PyErr_Format(PyExc_TypeError, "join_line takes up to %d parts", PARTS_MAX);
		return NULL;
	}
	for (i = 0; i < count; i++) {
		if (take_part(&parts[i], args[i]))
			return NULL;
		total += parts[i].size;
	}
	made = PyBytes_FromStringAndSize(NULL, total);
	if (!made)
		return NULL;
	to = PyBytes_AS_STRING(made);
	for (i = 0; i < count; i++) {
		memcpy(to, parts[i].text, (size_t)parts[i].size);
		to += parts[i].size;
	}
	return made;
}
