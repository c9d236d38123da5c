/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* text.h: the five texts of an exec record: filename, cwd, cgroup, args, envs.
 *
 * They are appended to the record in the lower half of a heap. The upper half is scratch: there a
 * path is walked, and there the pieces of a text too long for the record are built.
 */
#ifndef TETRAGON_LIB_TEXT_H
#define TETRAGON_LIB_TEXT_H

#include "lib/path.h"
#include "lib/task.h"

#define TEXT_LIMIT 16383 /* an exec record is at most so long; also a mask */
#define TEXT_MASK (EXEC_TEXT_MAX - 1)
#define CGROUP_NAME_SIZE 128 /* NUL included; longer names are cut */

/*
 * Send a number by way of the record, so that the verifier forgets all it knows of it. Else it
 * walks what follows once for every way in which the number came about, and ways multiply.
 */
static __always_inline u32 verifier_forget(u32 *field, u32 number)
{
	*(volatile u32 *)field = number;
	return *(volatile u32 *)field;
}

/* Where the record ends so far. */
static __always_inline u32 record_end(struct exec_event *event)
{
	return *(volatile u32 *)&event->header.size & TEXT_LIMIT;
}

static __always_inline void record_grow(struct exec_event *event, u32 size)
{
	*(volatile u32 *)&event->header.size += size;
}

/* Append at most size - 1 bytes of a kernel string, without its NUL. Returns its length. */
static __always_inline u32 append_string(struct exec_event *event, const void *from, u32 size)
{
	u8 *end = (u8 *)event + record_end(event);
	long length = bpf_probe_read_kernel_str(end, size, from);
	u32 kept = length > 0 ? (length - 1) & TEXT_MASK : 0;

	record_grow(event, kept);
	return kept;
}

static __always_inline u32 append_cwd(struct exec_event *event, struct task_struct *task)
{
	struct path_buffer *scratch = (void *)event + TEXT_LIMIT + 1;
	struct fs_struct *fs = task->fs;
	bool truncated = false;
	u32 size;

	if (!fs) {
		event->flags |= PROCESS_FLAG_ERROR_CWD;
		return 0;
	}
	size = PATH_SIZE - path_text(&fs->pwd, &fs->root, scratch, &truncated);
	size = verifier_forget(&event->cwd_size, size);
	if (truncated)
		event->flags |= PROCESS_FLAG_ERROR_PATH_CWD;
	else if (!size)
		event->flags |= PROCESS_FLAG_ROOT_CWD;
	size &= PATH_SIZE - 1;
	bpf_probe_read_kernel((u8 *)event + record_end(event), size,
			      scratch->bytes + ((PATH_SIZE - size) & (PATH_SIZE - 1)));
	record_grow(event, size);
	return size;
}

/* "parent/leaf": the parent's name matters where the leaf's is no container id. */
static __always_inline u32 append_cgroup(struct exec_event *event, struct task_struct *task)
{
	struct kernfs_node *node = task_cgroup(task)->kn;
	struct kernfs_node *above;
	u32 begin = record_end(event);

	if (!node) {
		event->flags |= PROCESS_FLAG_ERROR_CGROUPS;
		return 0;
	}
	event->cgroup_id = node->id;
	above = kernfs_parent(node);
	if (above) {
		append_string(event, above->name, CGROUP_NAME_SIZE);
		*((u8 *)event + record_end(event)) = '/';
		record_grow(event, 1);
	}
	append_string(event, node->name, CGROUP_NAME_SIZE);
	return record_end(event) - begin;
}

struct text_source {
	unsigned long start; /* user address */
	u32 total;	     /* bytes there */
	u32 kind;	     /* enum data_kind */
	u32 failed;	     /* flag of an unreadable text */
};

struct chunk_walk {
	struct data_event *data; /* text goes behind it */
	unsigned long start;	 /* user address of the whole text */
	u32 total;
	u32 left;
	bool failed;
};

/* Send the next piece. Returns 1 when it was the last, or failed. */
static __always_inline long chunk_step(struct chunk_walk *walk)
{
	struct data_event *data = walk->data;
	u32 left = walk->left;
	u32 size = left < DATA_CHUNK_MAX ? left : DATA_CHUNK_MAX;

	barrier_var(size);
	if (!size || size > DATA_CHUNK_MAX)
		return 1;
	data->header.size = sizeof(*data) + size;
	if (bpf_probe_read_user(data + 1, size, (void *)walk->start + (walk->total - left)) ||
	    emit(OP_SLOT_DATA, data, sizeof(*data) + size)) {
		walk->failed = true;
		return 1;
	}
	data->chunk++;
	walk->left = left - size;
	return 0;
}

static __noinline long chunk_step_loop(u32 index, struct chunk_walk *walk)
{
	return chunk_step(walk);
}

/* Send a text too long for the exec record ahead of it. Returns flags for the exec record. */
static __always_inline u32 send_chunks(struct exec_event *event, const struct text_source *source)
{
	struct chunk_walk walk = {
		.data = (void *)event + TEXT_LIMIT + 1,
		.start = source->start,
		.total = source->total,
		.left = source->total,
	};
	int chunk;

	*walk.data = (struct data_event){
		.header = { .op = EVENT_OP_DATA, .ktime = event->header.ktime },
		.key = event->key,
		.kind = source->kind,
	};
	if (has_bpf_loop()) {
		bpf_loop(DATA_CHUNKS_MAX, chunk_step_loop, &walk, 0);
	} else {
		for (chunk = 0; chunk < DATA_CHUNKS_MAX; chunk++)
			if (chunk_step_loop(chunk, &walk))
				break;
	}
	if (walk.failed)
		return source->failed | PROCESS_FLAG_DATA_ARGS;
	return walk.left ? PROCESS_FLAG_TRUNC_ARGS | PROCESS_FLAG_DATA_ARGS : PROCESS_FLAG_DATA_ARGS;
}

/* Append a user text, or send it in data records when it is too long. Returns its inline size. */
static __always_inline u32 append_user(struct exec_event *event, const struct text_source *source)
{
	u32 end = record_end(event), size = source->total;

	if (size > TEXT_MASK || end + size > TEXT_LIMIT) {
		u32 flags = send_chunks(event, source);

		if (source->kind != DATA_KIND_ARGS)
			flags &= source->failed;
		event->flags |= flags;
		return 0;
	}
	size &= TEXT_MASK;
	if (size && bpf_probe_read_user((u8 *)event + end, size, (void *)source->start)) {
		event->flags |= source->failed;
		return 0;
	}
	record_grow(event, size);
	return size;
}

/* Append all five behind what event->header.size says is there. */
static __always_inline void append_texts(struct exec_event *event, struct task_struct *task,
					 struct linux_binprm *bprm)
{
	struct mm_struct *mm = task->mm;
	struct text_source args = {
		.start = mm->arg_start,
		.kind = DATA_KIND_ARGS,
		.failed = PROCESS_FLAG_ERROR_ARGS,
	};
	struct text_source envs = {
		.start = mm->env_start,
		.kind = DATA_KIND_ENVS,
		.failed = PROCESS_FLAG_ERROR_ENVS,
	};

	args.total = mm->arg_end - args.start;
	envs.total = mm->env_end - envs.start;
	event->args_total = args.total;
	event->envs_total = envs.total;

	event->filename_size = append_string(event, bprm->filename, EXEC_TEXT_MAX);
	if (!event->filename_size)
		event->flags |= PROCESS_FLAG_ERROR_FILENAME;
	event->cwd_size = append_cwd(event, task);
	event->cgroup_size = append_cgroup(event, task);
	event->args_size = append_user(event, &args);
	if (collect_environment)
		event->envs_size = append_user(event, &envs);
}

#endif
