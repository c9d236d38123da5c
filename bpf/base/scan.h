/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* scan: the kernel's own list of processes, and the ones nobody was told of yet.
 *
 * Hook   iter/task: run by user space reading a file; process_scan at start, process_announce now
 *        and then.
 * Maps   process_map, spare_map (find, make); lifecycle_ring: process_announce
 * Since  v5.15
 */
#ifndef TETRAGON_BASE_SCAN_H
#define TETRAGON_BASE_SCAN_H

#include "lib/state.h"

#define SILENT_MAX_NS 1000000000ULL /* a child that neither execs nor exits so long is announced */

/* Whether task leads a process of which some thread lives. */
static __always_inline bool leads_living(struct task_struct *task)
{
	return task->pid == task->tgid && task->signal->live.counter > 0;
}

SEC("iter/task")
int process_scan(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct task_record record = {};
	struct process_state *state;

	if (!task || !leads_living(task))
		return 0;
	state = state_get(OP_SLOT_FORK, task);
	if (!state)
		return 0;
	if (state->flags & PROCESS_FLAG_PROCFS)
		state->announced = ANNOUNCED_YES; /* by the record that follows */
	record.key = state->key;
	record.parent = state->parent;
	record.flags = state->flags;
	record.nspid = state->nspid;
	record.kthread = !!(task->flags & PF_KTHREAD);
	record.uid = task->cred->euid.val;
	record.auid = task_auid(task);
	bpf_core_read(&record.comm, sizeof(record.comm), &task->comm);
	read_credentials(&record.credentials, task->cred);
	read_namespaces(&record.namespaces, task);
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

/*
 * Announce the children that live on without an exec, while user space still knows who forked
 * them: a process that ended is not kept for ever. Adopts those whose state got lost.
 */
SEC("iter/task")
int process_announce(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct process_state *state;

	if (!task || !leads_living(task))
		return 0;
	state = state_get(OP_SLOT_FORK, task);
	if (state && state->announced != ANNOUNCED_YES &&
	    state->key.ktime + SILENT_MAX_NS < bpf_ktime_get_boot_ns())
		announce(state);
	return 0;
}

#endif
