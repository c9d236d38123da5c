/* fast.h: what the parts of tetragon.model._fast offer one another. */
#ifndef TETRAGON_FAST_H
#define TETRAGON_FAST_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Write v without leading zeros. Returns the end. */
static inline char *put_number(char *to, uint64_t v)
{
	char digits[20];
	int n = 0;

	do {
		digits[n++] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	while (n)
		*to++ = digits[--n];
	return to;
}

/* text.c: a time in, RFC 3339 out; the size is returned, or -1. */
#define TIMESTAMP_MAX 32
int put_timestamp(char *to, PyObject *unix_ns);

/* text.c: argv in, its text out, as text_plain.join_arguments says. */
PyObject *arguments_text(const char *raw, Py_ssize_t size, bool trim);

/* The functions Python sees; text_plain.py describes each. */
PyObject *exec_id(PyObject *self, PyObject *const *args, Py_ssize_t count);
PyObject *exec_fields(PyObject *self, PyObject *const *args, Py_ssize_t count);
PyObject *join_arguments(PyObject *self, PyObject *const *args, Py_ssize_t count);
PyObject *join_line(PyObject *self, PyObject *const *args, Py_ssize_t count);
PyObject *json_object(PyObject *self, PyObject *const *args, Py_ssize_t count);
PyObject *timestamp(PyObject *self, PyObject *unix_ns);

#endif
