/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* compat.h: what kernels differ in, each difference tested by BTF, never by version. */
#ifndef TETRAGON_LIB_COMPAT_H
#define TETRAGON_LIB_COMPAT_H

#include "lib/core.h"

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
		return now->__parent;
	return before->parent;
}

/* The login uid; kernels without auditing have none. */
static __always_inline u32 task_auid(struct task_struct *task)
{
	if (bpf_core_field_exists(task->loginuid))
		return task->loginuid.val;
	return (u32)-1;
}

/* commit e9ea1e7f53b8 added bpf_loop ("bpf: Add bpf_loop helper", v5.17) */
static __always_inline bool has_bpf_loop(void)
{
	return !without_bpf_loop && bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_loop);
}

/* A tracepoint leaves the struct of its trace event in BTF. */
struct trace_event_raw_sched_process_exit {
	bool group_dead;
} __attribute__((preserve_access_index));

struct trace_event_raw_sched_prepare_exec {
	int pid;
} __attribute__((preserve_access_index));

/*
 * Whether sched_process_exit has a second argument, the kernel's own "last thread of its group".
 * commit 3e816361e94a ("sched/tracepoints: Move and extend the sched_process_exit() tracepoint",
 * v6.16)
 */
static __always_inline bool exit_has_group_dead(void)
{
	return bpf_core_field_exists(struct trace_event_raw_sched_process_exit, group_dead);
}

/* commit 5c5fad46e48c ("tracing: Add sched_prepare_exec tracepoint", v6.10) */
static __always_inline bool has_prepare_exec(void)
{
	return bpf_core_type_exists(struct trace_event_raw_sched_prepare_exec);
}

#endif
