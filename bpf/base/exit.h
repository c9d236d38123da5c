/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* exit: one record when a process, that is its last thread, ends.
 *
 * Hook   tp_btf/sched_process_exit: every thread, signal->live already without it.
 * Maps   process_map (find), spare_map (find, keep, delete), lifecycle_ring
 * Since  v5.15
 *
 * The state stays in its storage: the kernel frees both with the task.
 */
#ifndef TETRAGON_BASE_EXIT_H
#define TETRAGON_BASE_EXIT_H

#include "lib/state.h"

/*
 * Whether this thread is its group's last. Without the kernel's own word for it, two threads that
 * end at once may both find no live one.
 */
static __always_inline bool is_last(u64 *ctx, struct task_struct *task)
{
	if (exit_has_group_dead())
		return *(volatile u64 *)&ctx[1] & 1;
	return task->signal->live.counter == 0;
}

/* What wait(2) tells: the group's code if a signal or exit_group ended it, else the leader's. */
static __always_inline u32 wait_status(struct task_struct *task)
{
	struct signal_struct *signal = task->signal;

	if (signal->flags & SIGNAL_GROUP_EXIT)
		return signal->group_exit_code;
	return task->group_leader->exit_code;
}

/* The leader ends before other threads: if one of them execs, nothing leads there from its task. */
static __always_inline void keep_state(struct task_struct *leader)
{
	struct process_state *state = state_find(leader);
	u32 tgid = leader->tgid;

	if (!state)
		return;
	announce(state); /* so that what the threads do from now on changes nothing in state */
	if (!without_storage)
		bpf_map_update_elem(&spare_map, &tgid, state, BPF_ANY);
}

/*
 * Whether one ends that nobody was told of nor needs to be: a kernel thread, they come and go by
 * the dozen; a process that ran before the hooks and ends before the scan.
 */
static __always_inline bool is_quiet(struct task_struct *task, struct process_state *state)
{
	return state->announced == ANNOUNCED_NO &&
	       (task->flags & PF_KTHREAD || state->flags & PROCESS_FLAG_PROCFS);
}

SEC("tp_btf/sched_process_exit")
int process_exit(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	struct exit_event event = {
		.header = {
			.op = EVENT_OP_EXIT,
			.size = sizeof(event),
			.ktime = bpf_ktime_get_boot_ns(),
		},
	};
	bool leads = task->pid == task->tgid, spare;
	struct process_state *state;
	u32 tgid = task->tgid;

	if (!is_last(ctx, task)) {
		if (leads && !has_prepare_exec())
			keep_state(task);
		return 0;
	}
	state = storage_get(task->group_leader, 0);
	spare = !state || !state_is_set(state);
	if (spare)
		state = spare_find(tgid);
	if (!state) {
		if (scanned)
			count(OP_SLOT_EXIT, COUNTER_STATE_LOST);
		return 0;
	}
	if (__sync_lock_test_and_set(&state->ended, 1) || is_quiet(task, state))
		return 0;
	event.key = state->key;
	event.parent = state->parent;
	event.flags = state->flags;
	if (state->announced == ANNOUNCED_LOST)
		event.flags |= PROCESS_FLAG_MISS;
	event.nspid = state->nspid;
	event.announced = state->announced;
	event.code = wait_status(task);
	event.tid = task->pid;
	emit(OP_SLOT_EXIT, &event, sizeof(event));
	if (spare || (!leads && !has_prepare_exec()))
		bpf_map_delete_elem(&spare_map, &tgid);
	return 0;
}

#endif
