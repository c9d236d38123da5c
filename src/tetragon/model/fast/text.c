/* text: ids, times and arguments: numbers and bytes in, str out. */
#include "fast.h"

#define NS_PER_SECOND 1000000000LL

/* Write v as exactly width digits. Returns the end. */
static char *put_padded(char *to, uint32_t v, int width)
{
	int i;

	for (i = width - 1; i >= 0; i--) {
		to[i] = (char)('0' + v % 10);
		v /= 10;
	}
	return to + width;
}

static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void put_base64(char *to, const uint8_t *from, Py_ssize_t size)
{
	for (; size >= 3; size -= 3, from += 3, to += 4) {
		uint32_t v = (uint32_t)from[0] << 16 | (uint32_t)from[1] << 8 | from[2];

		to[0] = base64_digits[v >> 18];
		to[1] = base64_digits[v >> 12 & 63];
		to[2] = base64_digits[v >> 6 & 63];
		to[3] = base64_digits[v & 63];
	}
	if (size) {
		uint32_t v = (uint32_t)from[0] << 16 | (size == 2 ? (uint32_t)from[1] << 8 : 0);

		to[0] = base64_digits[v >> 18];
		to[1] = base64_digits[v >> 12 & 63];
		to[2] = size == 2 ? base64_digits[v >> 6 & 63] : '=';
		to[3] = '=';
	}
}

PyObject *exec_id(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	char stack[320], *plain = stack, *end;
	unsigned long long ktime, pid;
	Py_ssize_t node_size, size;
	const char *node;
	PyObject *id;

	(void)self;
	if (count != 3) {
		PyErr_SetString(PyExc_TypeError, "exec_id takes node name, ktime and pid");
		return NULL;
	}
	node = PyUnicode_AsUTF8AndSize(args[0], &node_size);
	if (!node)
		return NULL;
	ktime = PyLong_AsUnsignedLongLong(args[1]);
	if (ktime == (unsigned long long)-1 && PyErr_Occurred())
		return NULL;
	pid = PyLong_AsUnsignedLongLong(args[2]);
	if (pid == (unsigned long long)-1 && PyErr_Occurred())
		return NULL;
	if (node_size > (Py_ssize_t)sizeof(stack) - 48) { /* two numbers of 20 digits, two colons */
		plain = PyMem_Malloc((size_t)node_size + 48);
		if (!plain)
			return PyErr_NoMemory();
	}
	memcpy(plain, node, (size_t)node_size);
	end = plain + node_size;
	*end++ = ':';
	end = put_number(end, ktime);
	*end++ = ':';
	end = put_number(end, pid);
	size = end - plain;
	id = PyUnicode_New((size + 2) / 3 * 4, 127);
	if (id)
		put_base64(PyUnicode_DATA(id), (uint8_t *)plain, size);
	if (plain != stack)
		PyMem_Free(plain);
	return id;
}

/* Days since 1970-01-01 to a date of the Gregorian calendar. */
static void civil_date(int64_t days, int64_t *year, uint32_t *month, uint32_t *day)
{
	/* Years begin in March here, so that the leap day is the last; 400 years repeat. */
	int64_t since = days + 719468; /* days from 0000-03-01 to 1970-01-01 */
	int64_t era = (since >= 0 ? since : since - 146096) / 146097;
	uint32_t of_era = (uint32_t)(since - era * 146097);
	uint32_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	uint32_t of_year = of_era - (365 * y + y / 4 - y / 100);
	uint32_t m = (5 * of_year + 2) / 153;

	*day = of_year - (153 * m + 2) / 5 + 1;
	*month = m < 10 ? m + 3 : m - 9;
	*year = (int64_t)y + era * 400 + (*month <= 2);
}

/* Split ns into whole seconds and the rest, both through int64; any size of int. */
static int split_time(PyObject *unix_ns, int64_t *seconds, uint32_t *ns)
{
	PyObject *divisor, *pair;
	int overflow;
	long long whole = PyLong_AsLongLongAndOverflow(unix_ns, &overflow);

	if (whole == -1 && PyErr_Occurred())
		return -1;
	if (!overflow) {
		*seconds = whole / NS_PER_SECOND - (whole % NS_PER_SECOND < 0);
		*ns = (uint32_t)(whole - *seconds * NS_PER_SECOND);
		return 0;
	}
	divisor = PyLong_FromLongLong(NS_PER_SECOND);
	pair = divisor ? PyNumber_Divmod(unix_ns, divisor) : NULL;
	Py_XDECREF(divisor);
	if (!pair)
		return -1;
	*seconds = PyLong_AsLongLong(PyTuple_GET_ITEM(pair, 0));
	*ns = (uint32_t)PyLong_AsUnsignedLong(PyTuple_GET_ITEM(pair, 1));
	Py_DECREF(pair);
	return PyErr_Occurred() ? -1 : 0;
}

/* Write a time as RFC 3339. to has room for TIMESTAMP_MAX. Returns its size, or -1. */
int put_timestamp(char *to, PyObject *unix_ns)
{
	char *end = to;
	int64_t seconds, days, year;
	uint32_t ns, month, day, of_day;

	if (split_time(unix_ns, &seconds, &ns))
		return -1;
	days = seconds / 86400 - (seconds % 86400 < 0);
	of_day = (uint32_t)(seconds - days * 86400);
	civil_date(days, &year, &month, &day);
	if (year < 0 || year > 9999) {
		PyErr_SetString(PyExc_ValueError, "timestamp outside of years 0 to 9999");
		return -1;
	}
	end = put_padded(end, (uint32_t)year, 4);
	*end++ = '-';
	end = put_padded(end, month, 2);
	*end++ = '-';
	end = put_padded(end, day, 2);
	*end++ = 'T';
	end = put_padded(end, of_day / 3600, 2);
	*end++ = ':';
	end = put_padded(end, of_day / 60 % 60, 2);
	*end++ = ':';
	end = put_padded(end, of_day % 60, 2);
	if (ns) {
		*end++ = '.';
		if (ns % 1000)
			end = put_padded(end, ns, 9);
		else if (ns % 1000000)
			end = put_padded(end, ns / 1000, 6);
		else
			end = put_padded(end, ns / 1000000, 3);
	}
	*end++ = 'Z';
	return (int)(end - to);
}

PyObject *timestamp(PyObject *self, PyObject *unix_ns)
{
	char text[TIMESTAMP_MAX];
	int size = put_timestamp(text, unix_ns);
	PyObject *made = size < 0 ? NULL : PyUnicode_New(size, 127);

	(void)self;
	if (made)
		memcpy(PyUnicode_DATA(made), text, (size_t)size);
	return made;
}

/* Make each run of lone surrogates, which stand for bytes that are not UTF-8, one U+FFFD. */
static PyObject *replace_runs(PyObject *escaped)
{
	Py_ssize_t length = PyUnicode_GET_LENGTH(escaped), i, n = 0;
	int kind = PyUnicode_KIND(escaped);
	const void *data = PyUnicode_DATA(escaped);
	Py_UCS4 *text = PyMem_Malloc(sizeof(*text) * (size_t)(length ? length : 1));
	bool in_run = false;
	PyObject *made;

	if (!text)
		return PyErr_NoMemory();
	for (i = 0; i < length; i++) {
		Py_UCS4 c = PyUnicode_READ(kind, data, i);
		bool invalid = c >= 0xdc80 && c <= 0xdcff;

		if (!invalid)
			text[n++] = c;
		else if (!in_run)
			text[n++] = 0xfffd;
		in_run = invalid;
	}
	made = PyUnicode_FromKindAndData(PyUnicode_4BYTE_KIND, text, n);
	PyMem_Free(text);
	return made;
}

static PyObject *clean_text(const char *raw, Py_ssize_t size)
{
	PyObject *text = PyUnicode_DecodeUTF8(raw, size, NULL), *escaped;

	if (text || !PyErr_ExceptionMatches(PyExc_UnicodeDecodeError))
		return text;
	PyErr_Clear();
	escaped = PyUnicode_DecodeUTF8(raw, size, "surrogateescape");
	if (!escaped)
		return NULL;
	text = replace_runs(escaped);
	Py_DECREF(escaped);
	return text;
}

/* Write one argument behind those before it. Returns the end. */
static char *put_argument(char *to, const char *start, const char *token, size_t size)
{
	bool spaced = memchr(token, ' ', size) != NULL;

	if (spaced) {
		*to++ = ' ';
		*to++ = '"';
	} else if (to != start) {
		*to++ = ' ';
	}
	memcpy(to, token, size);
	to += size;
	if (spaced)
		*to++ = '"';
	return to;
}

/* Without a space in any of them, arguments need no quotes. */
static char *put_plain_arguments(char *to, const char *at, const char *end)
{
	while (at < end && !*at)
		at++;
	for (; at < end; at++)
		*to++ = *at ? *at : ' ';
	return to;
}

/* Write argv behind its first, as text. to has room for 3 bytes more per argument. */
static char *put_arguments(char *to, const char *at, const char *end)
{
	char *start = to;

	if (!memchr(at, ' ', (size_t)(end - at)))
		return put_plain_arguments(to, at, end);
	for (;;) {
		const char *stop = memchr(at, 0, (size_t)(end - at));

		if (!stop)
			return put_argument(to, start, at, (size_t)(end - at));
		to = put_argument(to, start, at, (size_t)(stop - at));
		at = stop + 1;
	}
}

static size_t count_zeros(const char *at, const char *end)
{
	size_t n = 0;

	for (; at < end; at++)
		n += !*at;
	return n;
}

PyObject *arguments_text(const char *raw, Py_ssize_t size, bool trim)
{
	const char *end = raw + size, *at = memchr(raw, 0, (size_t)size);
	char stack[1024], *text = stack;
	PyObject *made;
	size_t room;

	if (!at)
		return PyUnicode_New(0, 0);
	at++;
	if (end > at && !end[-1])
		end--;
	while (trim && end > at && !end[-1])
		end--;
	room = (size_t)(end - at) + 3 * (count_zeros(at, end) + 1);
	if (room > sizeof(stack)) {
		text = PyMem_Malloc(room);
		if (!text)
			return PyErr_NoMemory();
	}
	made = clean_text(text, put_arguments(text, at, end) - text);
	if (text != stack)
		PyMem_Free(text);
	return made;
}

PyObject *join_arguments(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	Py_ssize_t size;
	int trim = 1;
	char *raw;

	(void)self;
	if (count < 1 || count > 2) {
		PyErr_SetString(PyExc_TypeError, "join_arguments takes argv and perhaps trim");
		return NULL;
	}
	if (PyBytes_AsStringAndSize(args[0], &raw, &size))
		return NULL;
	if (count == 2 && (trim = PyObject_IsTrue(args[1])) < 0)
		return NULL;
	return arguments_text(raw, size, trim);
}
