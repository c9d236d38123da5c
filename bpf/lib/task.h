/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* task.h: what a task is: ids, credentials, namespaces, cgroup.
 *
 * Pointers come from BTF-typed hooks, so fields are read by plain loads: several times cheaper than
 * a helper call each. Only where an address is computed does a helper read it.
 */
#ifndef TETRAGON_LIB_TASK_H
#define TETRAGON_LIB_TASK_H

#include "lib/compat.h"

/* Ticks of 10 ms: what field 22 of /proc/PID/stat lets user space see of a start time. */
#define START_TICK 10000000ULL
#define PID_LEVEL_MAX 32

/* Whether a task began before the hooks were there, so that no fork told of it. */
static __always_inline bool ran_before(struct task_struct *task)
{
	return !hooked_ktime || task->start_boottime < hooked_ktime;
}

/* The start of a process no hook told of: for one that ran before, as /proc shows it. */
static __always_inline u64 task_start_ktime(struct task_struct *task)
{
	u64 start = task->start_boottime;

	return ran_before(task) ? start - start % START_TICK : start;
}

/* Read pid and pid namespace of a task at its own, the deepest, level. Returns that. */
static __always_inline u32 read_upid(struct upid *upid, struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	u32 level = BPF_CORE_READ(pid, level);

	if (level > PID_LEVEL_MAX)
		return 0;
	bpf_core_read(upid, sizeof(*upid),
		      (void *)pid + bpf_core_field_offset(struct pid, numbers) +
			      level * bpf_core_type_size(struct upid));
	return level;
}

/* Pid in the task's own pid namespace; 0 in the host's. */
static __always_inline u32 task_nspid(struct task_struct *task)
{
	struct upid upid = {};

	if (!task->thread_pid->level)
		return 0;
	return read_upid(&upid, task) ? upid.nr : 0;
}

static __always_inline u32 task_pid_ns(struct task_struct *task)
{
	struct upid upid = {};

	read_upid(&upid, task);
	return BPF_CORE_READ(upid.ns, ns.inum);
}

static __always_inline void read_credentials(struct credentials *to, const struct cred *cred)
{
	to->uid = cred->uid.val;
	to->gid = cred->gid.val;
	to->euid = cred->euid.val;
	to->egid = cred->egid.val;
	to->suid = cred->suid.val;
	to->sgid = cred->sgid.val;
	to->fsuid = cred->fsuid.val;
	to->fsgid = cred->fsgid.val;
	to->securebits = cred->securebits;
	to->user_ns_level = cred->user_ns->level;
	bpf_core_read(&to->permitted, sizeof(u64), &cred->cap_permitted);
	bpf_core_read(&to->effective, sizeof(u64), &cred->cap_effective);
	bpf_core_read(&to->inheritable, sizeof(u64), &cred->cap_inheritable);
}

static __always_inline void read_namespaces(struct namespaces *to, struct task_struct *task)
{
	struct nsproxy *proxy = task->nsproxy;

	to->uts = proxy->uts_ns->ns.inum;
	to->ipc = proxy->ipc_ns->ns.inum;
	to->mnt = proxy->mnt_ns->ns.inum;
	to->pid = task_pid_ns(task);
	to->pid_for_children = proxy->pid_ns_for_children->ns.inum;
	to->net = proxy->net_ns->ns.inum;
	to->time = 0;
	to->time_for_children = 0;
	if (bpf_core_field_exists(proxy->time_ns)) {
		to->time = proxy->time_ns->ns.inum;
		to->time_for_children = proxy->time_ns_for_children->ns.inum;
	}
	to->cgroup = proxy->cgroup_ns->ns.inum;
	to->user = task->cred->user_ns->ns.inum;
}

/* The cgroup whose name tells the container: of the chosen v1 controller, or the unified one. */
static __always_inline struct cgroup *task_cgroup(struct task_struct *task)
{
	u64 place = bpf_core_field_offset(struct css_set, subsys);
	struct css_set *set = task->cgroups;
	struct cgroup_subsys_state *css;

	switch (cgroup_controller) {
	case CGROUP_MEMORY:
		place += sizeof(css) * bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);
		break;
	case CGROUP_PIDS:
		place += sizeof(css) * bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id);
		break;
	case CGROUP_CPUSET:
		place += sizeof(css) * bpf_core_enum_value(enum cgroup_subsys_id, cpuset_cgrp_id);
		break;
	default:
		return set->dfl_cgrp;
	}
	css = *(struct cgroup_subsys_state **)((void *)set + place);
	return css->cgroup;
}

#endif
