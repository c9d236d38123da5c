/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* task.h: what a task is: ids, credentials, namespaces, cgroup, and the process state kept of it. */
#ifndef TETRAGON_LIB_TASK_H
#define TETRAGON_LIB_TASK_H

#include "lib/compat.h"

/* Thread group leader -> its process; made by fork, exec, exit or the iterator, whoever is first. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct process_state);
} process_map SEC(".maps");

/* tgid -> state of a process whose leader ended before its other threads: if one of them execs,
 * it becomes the leader, with another task_struct and so without its storage. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u32);
	__type(value, struct process_state);
} leaderless_map SEC(".maps");

/* Ticks of 10 ms: what field 22 of /proc/PID/stat lets user space see of a start time. */
#define START_TICK 10000000ULL

static __always_inline u64 task_start_ktime(struct task_struct *task)
{
	u64 start = BPF_CORE_READ(task, start_boottime);

	return start - start % START_TICK;
}

static __always_inline u32 task_nspid(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	u32 level = BPF_CORE_READ(pid, level);
	struct upid upid = {};

	if (!level || level > 32)
		return 0;
	bpf_core_read(&upid, sizeof(upid),
		      (void *)pid + bpf_core_field_offset(struct pid, numbers) +
			      level * bpf_core_type_size(struct upid));
	return upid.nr;
}

static __always_inline u32 task_pid_ns(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	u32 level = BPF_CORE_READ(pid, level);
	struct upid upid = {};

	if (level > 32)
		return 0;
	bpf_core_read(&upid, sizeof(upid),
		      (void *)pid + bpf_core_field_offset(struct pid, numbers) +
			      level * bpf_core_type_size(struct upid));
	return BPF_CORE_READ(upid.ns, ns.inum);
}

static __always_inline void read_credentials(struct credentials *to, const struct cred *cred)
{
	to->uid = BPF_CORE_READ(cred, uid.val);
	to->gid = BPF_CORE_READ(cred, gid.val);
	to->euid = BPF_CORE_READ(cred, euid.val);
	to->egid = BPF_CORE_READ(cred, egid.val);
	to->suid = BPF_CORE_READ(cred, suid.val);
	to->sgid = BPF_CORE_READ(cred, sgid.val);
	to->fsuid = BPF_CORE_READ(cred, fsuid.val);
	to->fsgid = BPF_CORE_READ(cred, fsgid.val);
	to->securebits = BPF_CORE_READ(cred, securebits);
	to->user_ns_level = BPF_CORE_READ(cred, user_ns, level);
	bpf_core_read(&to->permitted, sizeof(u64), &cred->cap_permitted);
	bpf_core_read(&to->effective, sizeof(u64), &cred->cap_effective);
	bpf_core_read(&to->inheritable, sizeof(u64), &cred->cap_inheritable);
}

static __always_inline void read_namespaces(struct namespaces *to, struct task_struct *task)
{
	struct nsproxy *proxy = BPF_CORE_READ(task, nsproxy);

	to->uts = BPF_CORE_READ(proxy, uts_ns, ns.inum);
	to->ipc = BPF_CORE_READ(proxy, ipc_ns, ns.inum);
	to->mnt = BPF_CORE_READ(proxy, mnt_ns, ns.inum);
	to->pid = task_pid_ns(task);
	to->pid_for_children = BPF_CORE_READ(proxy, pid_ns_for_children, ns.inum);
	to->net = BPF_CORE_READ(proxy, net_ns, ns.inum);
	to->time = 0;
	to->time_for_children = 0;
	if (bpf_core_field_exists(proxy->time_ns)) {
		to->time = BPF_CORE_READ(proxy, time_ns, ns.inum);
		to->time_for_children = BPF_CORE_READ(proxy, time_ns_for_children, ns.inum);
	}
	to->cgroup = BPF_CORE_READ(proxy, cgroup_ns, ns.inum);
	to->user = BPF_CORE_READ(task, cred, user_ns, ns.inum);
}

/* The cgroup whose name tells the container: of the chosen v1 controller, or the unified one. */
static __always_inline struct cgroup *task_cgroup(struct task_struct *task)
{
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct cgroup_subsys_state *css = NULL;

	if (cgroup_subsys < 0)
		return BPF_CORE_READ(set, dfl_cgrp);
	bpf_core_read(&css, sizeof(css),
		      (void *)set + bpf_core_field_offset(struct css_set, subsys) +
			      cgroup_subsys * sizeof(void *));
	return BPF_CORE_READ(css, cgroup);
}

static __always_inline bool state_is_set(struct process_state *state)
{
	return state->key.pid != 0;
}

/* Fill state for a process no hook saw begin, with what /proc would tell of it. */
static __always_inline void adopt(struct process_state *state, struct task_struct *leader)
{
	struct task_struct *parent = BPF_CORE_READ(leader, real_parent);
	struct task_struct *parent_leader = BPF_CORE_READ(parent, group_leader);

	state->key.pid = BPF_CORE_READ(leader, tgid);
	state->key.ktime = task_start_ktime(leader);
	state->parent.pid = BPF_CORE_READ(parent_leader, tgid);
	state->parent.ktime = 0; /* user space knows it from its own scan */
	state->flags = PROCESS_FLAG_PROCFS;
	state->nspid = task_nspid(leader);
	if (state->nspid == 1)
		state->flags |= PROCESS_FLAG_IN_INIT_TREE;
	state->announced = 0;
}

/*
 * State of the process led by leader, adopted if need be; leader is a pointer the verifier
 * trusts. NULL when the kernel could not give storage: counted.
 */
static __always_inline struct process_state *state_get(enum op_slot op, struct task_struct *leader)
{
	struct process_state *state, *left;
	u32 tgid;

	state = bpf_task_storage_get(&process_map, leader, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!state) {
		count(op, COUNTER_STORAGE_BUSY);
		return NULL;
	}
	if (state_is_set(state))
		return state;
	tgid = BPF_CORE_READ(leader, tgid);
	left = bpf_map_lookup_elem(&leaderless_map, &tgid);
	if (left) {
		*state = *left;
		bpf_map_delete_elem(&leaderless_map, &tgid);
		return state;
	}
	adopt(state, leader);
	return state;
}

#endif
