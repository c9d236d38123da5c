/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* compat.h: what kernels differ in, each difference tested by BTF, never by version. */
#ifndef TETRAGON_LIB_COMPAT_H
#define TETRAGON_LIB_COMPAT_H

#include "lib/core.h"

struct signal_struct___exec_task {
	struct task_struct *group_exec_task;
} __attribute__((preserve_access_index));

struct signal_struct___exit_task {
	struct task_struct *group_exit_task;
} __attribute__((preserve_access_index));

struct kernfs_node___parent {
	struct kernfs_node *parent;
} __attribute__((preserve_access_index));

struct kernfs_node___rcu_parent {
	struct kernfs_node *__parent;
} __attribute__((preserve_access_index));

/* commit 633488947ef6 ("kernfs: Use RCU to access kernfs_node::parent.", v6.15) */
static __always_inline struct kernfs_node *kernfs_parent(struct kernfs_node *node)
{
	struct kernfs_node___rcu_parent *now = (void *)node;
	struct kernfs_node___parent *before = (void *)node;

	if (bpf_core_field_exists(now->__parent))
		return BPF_CORE_READ(now, __parent);
	return BPF_CORE_READ(before, parent);
}

/* The login uid; kernels without auditing have none. */
static __always_inline u32 task_auid(struct task_struct *task)
{
	if (bpf_core_field_exists(task->loginuid))
		return BPF_CORE_READ(task, loginuid.val);
	return (u32)-1;
}

/* commit e9ea1e7f53b8 added bpf_loop ("bpf: Add bpf_loop helper", v5.17) */
static __always_inline bool has_bpf_loop(void)
{
	return bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_loop);
}

#endif
