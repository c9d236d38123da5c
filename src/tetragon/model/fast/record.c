/* record: the bytes of a ring record in, its fields out. Layout: bpf/abi/process.h. */
#include "fast.h"

#include "abi/process.h"

static PyObject *key_of(const struct process_key *key)
{
	PyObject *pair = PyTuple_New(2), *pid, *ktime;

	if (!pair)
		return NULL;
	pid = PyLong_FromUnsignedLong(key->pid);
	ktime = PyLong_FromUnsignedLongLong(key->ktime);
	PyTuple_SET_ITEM(pair, 0, pid);
	PyTuple_SET_ITEM(pair, 1, ktime);
	if (!pid || !ktime)
		Py_CLEAR(pair);
	return pair;
}

static PyObject *changes_of(const struct exec_event *event)
{
	if (!event->privileges && !event->inode)
		Py_RETURN_NONE;
	return Py_BuildValue("IIIK", event->privileges, event->euid, event->egid,
			     (unsigned long long)event->inode);
}

/* What execs of a host repeat, as the key of a memo. */
static PyObject *place_of(const struct exec_event *event, const char *texts)
{
	Py_ssize_t size = (Py_ssize_t)event->filename_size + event->cwd_size + event->cgroup_size;
	PyObject *place = PyTuple_New(4);
	int i;

	if (!place)
		return NULL;
	PyTuple_SET_ITEM(place, 0, PyBytes_FromStringAndSize(texts, size));
	PyTuple_SET_ITEM(place, 1, PyLong_FromUnsignedLong(event->filename_size));
	PyTuple_SET_ITEM(place, 2, PyLong_FromUnsignedLong(event->cwd_size));
	PyTuple_SET_ITEM(place, 3, PyLong_FromUnsignedLong(event->flags));
	for (i = 0; i < 4; i++) {
		if (!PyTuple_GET_ITEM(place, i)) {
			Py_DECREF(place);
			return NULL;
		}
	}
	return place;
}

static PyObject *fields_of(const struct exec_event *event, const char *texts)
{
	const char *args = texts + event->filename_size + event->cwd_size + event->cgroup_size;
	PyObject *fields[] = {
		key_of(&event->key),
		key_of(&event->parent),
		event->cleanup.pid ? key_of(&event->cleanup) : Py_NewRef(Py_None),
		PyLong_FromUnsignedLong(event->header.blocks),
		PyLong_FromUnsignedLong(event->nspid),
		PyLong_FromUnsignedLong(event->uid),
		PyLong_FromUnsignedLong(event->auid),
		changes_of(event),
		PyLong_FromUnsignedLongLong(event->cgroup_id),
		place_of(event, texts),
		arguments_text(args, event->args_size, event->cwd_size == 0),
		PyBytes_FromStringAndSize(args + event->args_size, event->envs_size),
	};
	enum { COUNT = sizeof(fields) / sizeof(*fields) };
	PyObject *made = PyTuple_New(COUNT);
	bool failed = !made;
	int i;

	for (i = 0; i < COUNT; i++)
		failed |= !fields[i];
	for (i = 0; i < COUNT; i++) {
		if (failed)
			Py_XDECREF(fields[i]);
		else
			PyTuple_SET_ITEM(made, i, fields[i]);
	}
	if (failed)
		Py_CLEAR(made);
	return made;
}

PyObject *exec_fields(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	struct exec_event event;
	Py_ssize_t start, end, size;
	uint64_t texts, needed;
	char *data;

	(void)self;
	if (count != 3) {
		PyErr_SetString(PyExc_TypeError, "exec_fields takes data, start and end");
		return NULL;
	}
	if (PyBytes_AsStringAndSize(args[0], &data, &size))
		return NULL;
	start = PyLong_AsSsize_t(args[1]);
	end = PyLong_AsSsize_t(args[2]);
	if (PyErr_Occurred())
		return NULL;
	if (start < 0 || end > size || end - start < (Py_ssize_t)sizeof(event)) {
		PyErr_Format(PyExc_ValueError, "exec record of %zd bytes, layout has %zu",
			     end - start, sizeof(event));
		return NULL;
	}
	memcpy(&event, data + start, sizeof(event));
	texts = sizeof(event);
	if (event.header.blocks & RECORD_BLOCK_CREDENTIALS)
		texts += sizeof(struct credentials);
	if (event.header.blocks & RECORD_BLOCK_NAMESPACES)
		texts += sizeof(struct namespaces);
	needed = texts + event.filename_size + event.cwd_size + event.cgroup_size +
		 event.args_size + event.envs_size;
	if (needed > (uint64_t)(end - start)) {
		PyErr_Format(PyExc_ValueError, "exec record of %zd bytes: its texts are cut",
			     end - start);
		return NULL;
	}
	return fields_of(&event, data + start + texts);
}
