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
#define PATH_ROUNDS 16 /* without bpf_loop: calls that go some steps each */
#define PATH_ROUND_STEPS 6
#define NAME_SIZE_MAX 255

struct path_walk {
	struct dentry *dentry;
	struct vfsmount *vfsmnt;
	struct dentry *mount_root; /* of vfsmnt */
	struct dentry *root_dentry;
	struct vfsmount *root_vfsmnt;
	void *buffer; /* struct path_buffer */
	u32 start; /* of the text in the buffer */
	u32 done;  /* 1: the root was reached */
	u32 ended;
};

struct path_buffer {
	u8 bytes[PATH_SIZE + PATH_SLACK];
};

/* The neighbours in struct dentry that a step needs. */
struct dentry_part {
	struct dentry *parent;
	struct qstr_part {
		u32 hash;
		u32 length;
		const unsigned char *text;
	} name;
};

/* Read them at once where the kernel has them side by side, as all do but randomised ones. */
static __always_inline void read_dentry(struct dentry_part *part, struct dentry *dentry)
{
	u32 parent = bpf_core_field_offset(struct dentry, d_parent);

	if (bpf_core_field_offset(struct dentry, d_name) == parent + 8 &&
	    bpf_core_field_offset(struct qstr, len) == 4 &&
	    bpf_core_field_offset(struct qstr, name) == 8) {
		if (bpf_probe_read_kernel(part, sizeof(*part), (void *)dentry + parent))
			part->parent = NULL;
		return;
	}
	part->parent = BPF_CORE_READ(dentry, d_parent);
	part->name.length = BPF_CORE_READ(dentry, d_name.len);
	part->name.text = BPF_CORE_READ(dentry, d_name.name);
}

/* Go from the root of a mount to where it is mounted. Returns 1 at the top of all. */
static __always_inline long cross_mount(struct path_walk *walk)
{
	struct mount *mount = (void *)walk->vfsmnt - bpf_core_field_offset(struct mount, mnt);
	struct mount *above = BPF_CORE_READ(mount, mnt_parent);

	if (!above || above == mount) {
		walk->done = 1; /* the top of a mount tree, or a detached one */
		return 1;
	}
	walk->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
	walk->vfsmnt = (void *)above + bpf_core_field_offset(struct mount, mnt);
	walk->mount_root = BPF_CORE_READ(above, mnt.mnt_root);
	return 0;
}

/* One step up. Returns 1 when the walk ended. */
static __always_inline long path_step(struct path_walk *walk, struct path_buffer *buffer)
{
	struct dentry *dentry = walk->dentry;
	u32 length, start = walk->start;
	struct dentry_part part = {};

	if (dentry == walk->root_dentry && walk->vfsmnt == walk->root_vfsmnt) {
		walk->done = 1;
		return 1;
	}
	if (dentry == walk->mount_root)
		return cross_mount(walk);
	read_dentry(&part, dentry);
	if (part.parent == dentry)
		return cross_mount(walk); /* not below the mount's root any more */
	length = part.name.length;
	if (!part.parent || !length || length > NAME_SIZE_MAX || start > PATH_SIZE ||
	    start <= length + 1)
		return 1;
	start -= length + 1;
	start &= PATH_SIZE - 1;
	buffer->bytes[start] = '/';
	if (bpf_probe_read_kernel(buffer->bytes + start + 1, length & NAME_SIZE_MAX, part.name.text))
		return 1;
	walk->start = start;
	walk->dentry = part.parent;
	return 0;
}

static long path_step_loop(u32 index, struct path_walk *walk)
{
	return path_step(walk, walk->buffer);
}

/* Some steps. Global, so that the verifier walks them once, however often it is called. */
__noinline int path_round(struct path_walk *walk, struct path_buffer *buffer)
{
	int step;

	if (!walk || !buffer)
		return 0;
	for (step = 0; step < PATH_ROUND_STEPS && !walk->ended; step++)
		walk->ended = path_step(walk, buffer);
	return 0;
}

/* A kernel pointer as a plain number, by way of memory: the walk's states differ less so. */
static __always_inline void *plain(struct path_buffer *scratch, const void *pointer)
{
	*(volatile u64 *)scratch = (u64)pointer;
	return (void *)*(volatile u64 *)scratch;
}

/*
 * Walk from path up to root, both of them a process's. Returns where the text starts in buffer,
 * more than 0; it ends at PATH_SIZE. The root itself gives an empty text. *truncated is set when
 * leading parts are missing.
 */
static __always_inline u32 path_text(struct path *path, struct path *root,
				     struct path_buffer *buffer, bool *truncated)
{
	struct path_walk walk = {
		.dentry = plain(buffer, path->dentry),
		.vfsmnt = plain(buffer, path->mnt),
		.mount_root = plain(buffer, path->mnt->mnt_root),
		.root_dentry = plain(buffer, root->dentry),
		.root_vfsmnt = plain(buffer, root->mnt),
		.buffer = buffer,
		.start = PATH_SIZE,
	};
	int round;

	if (has_bpf_loop()) {
		bpf_loop(PATH_STEPS, path_step_loop, &walk, 0);
	} else {
		for (round = 0; round < PATH_ROUNDS && !walk.ended; round++)
			path_round(&walk, buffer);
	}
	*truncated = !walk.done;
	return walk.start;
}

#endif
