/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* path.h: the text of a struct path, walked from its end to the process's root.
 *
 * Names are written from the end of the buffer towards its start, so the text comes out whole at
 * buffer + walk.start. Mount points are crossed. A path longer than the buffer or the step limit
 * loses its leading part and says so.
 */
#ifndef TETRAGON_LIB_PATH_H
#define TETRAGON_LIB_PATH_H

#include "lib/compat.h"

#define PATH_SIZE 4096
#define PATH_SLACK 256 /* room for the verifier's view of the last name */
#define PATH_STEPS 2048
#define PATH_STEPS_UNROLLED 96 /* without bpf_loop */

struct path_walk {
	struct dentry *dentry;
	struct vfsmount *vfsmnt;
	struct dentry *root_dentry;
	struct vfsmount *root_vfsmnt;
	u8 *buffer; /* PATH_SIZE + PATH_SLACK bytes */
	u32 start;
	bool done;
	bool failed;
};

/* One step up. Returns 1 when the walk ended. */
static __always_inline long path_step(struct path_walk *walk)
{
	struct dentry *dentry = walk->dentry;
	struct vfsmount *vfsmnt = walk->vfsmnt;
	struct dentry *parent;
	const unsigned char *name;
	u32 length, start = walk->start;
	u8 *buffer = walk->buffer;

	if (dentry == walk->root_dentry && vfsmnt == walk->root_vfsmnt) {
		walk->done = true;
		return 1;
	}
	parent = BPF_CORE_READ(dentry, d_parent);
	if (dentry == parent || dentry == BPF_CORE_READ(vfsmnt, mnt_root)) {
		struct mount *mount =
			(void *)vfsmnt - bpf_core_field_offset(struct mount, mnt);
		struct mount *above = BPF_CORE_READ(mount, mnt_parent);

		if (!above || above == mount) {
			walk->done = true; /* the top of a mount tree, or a detached one */
			return 1;
		}
		walk->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		walk->vfsmnt = (void *)above + bpf_core_field_offset(struct mount, mnt);
		return 0;
	}
	length = BPF_CORE_READ(dentry, d_name.len);
	name = BPF_CORE_READ(dentry, d_name.name);
	if (length > 255 || start > PATH_SIZE || start < length + 1) {
		walk->failed = true;
		return 1;
	}
	start -= length + 1;
	start &= PATH_SIZE - 1;
	buffer[start] = '/';
	if (length && bpf_probe_read_kernel(buffer + start + 1, length & 255, name)) {
		walk->failed = true;
		return 1;
	}
	walk->start = start;
	walk->dentry = parent;
	return 0;
}

static long path_step_loop(u32 index, struct path_walk *walk)
{
	return path_step(walk);
}

/*
 * Walk from (dentry, vfsmnt) up to the root of task. buffer has PATH_SIZE + PATH_SLACK bytes.
 * Returns where the text starts in buffer; it ends at PATH_SIZE. The root itself gives an empty
 * text. *truncated is set when leading parts are missing.
 */
static __always_inline u32 path_text(struct path_walk *walk, struct task_struct *task,
				     struct path *path, u8 *buffer, bool *truncated)
{
	int step;

	walk->dentry = BPF_CORE_READ(path, dentry);
	walk->vfsmnt = BPF_CORE_READ(path, mnt);
	walk->root_dentry = BPF_CORE_READ(task, fs, root.dentry);
	walk->root_vfsmnt = BPF_CORE_READ(task, fs, root.mnt);
	walk->buffer = buffer;
	walk->start = PATH_SIZE;
	walk->done = false;
	walk->failed = false;
	if (has_bpf_loop()) {
		bpf_loop(PATH_STEPS, path_step_loop, walk, 0);
	} else {
		for (step = 0; step < PATH_STEPS_UNROLLED; step++)
			if (path_step(walk))
				break;
	}
	*truncated = !walk->done;
	return walk->start;
}

#endif
