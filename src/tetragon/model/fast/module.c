/* module: tetragon.model._fast, twins in C of functions that every event needs.
 *
 * Same signature, same result; the Python ones are the reference (model/text_plain.py,
 * event/record_plain.py), and one test suite runs both. Bytes and numbers in, values and texts out:
 * no rule about events lives here. Measured gain: docs/performance.md.
 */
#include "fast.h"

#define FASTCALL(function) (PyCFunction)(void (*)(void))function, METH_FASTCALL

static PyMethodDef methods[] = {
	{ "exec_fields", FASTCALL(exec_fields), NULL },
	{ "exec_id", FASTCALL(exec_id), NULL },
	{ "join_arguments", FASTCALL(join_arguments), NULL },
	{ "join_line", FASTCALL(join_line), NULL },
	{ "json_object", FASTCALL(json_object), NULL },
	{ "timestamp", timestamp, METH_O, NULL },
	{ NULL, NULL, 0, NULL },
};

static PyModuleDef_Slot slots[] = {
	{ 0, NULL },
};

static struct PyModuleDef module = {
	PyModuleDef_HEAD_INIT,
	.m_name = "tetragon.model._fast",
	.m_doc = "Twins in C of functions of text_plain.py and record_plain.py.",
	.m_methods = methods,
	.m_slots = slots,
};

PyMODINIT_FUNC PyInit__fast(void)
{
	return PyModuleDef_Init(&module);
}
