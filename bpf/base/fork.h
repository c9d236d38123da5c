/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* fork: the state of a new process, before it first runs; no record of its own.
 *
 * Hook   tp_btf/sched_process_fork: in the task that creates, whoever becomes the parent.
 * Maps   process_map, spare_map (find, make); lifecycle_ring: a creator never named before
 * Since  v5.15
 */
#ifndef TETRAGON_BASE_FORK_H
#define TETRAGON_BASE_FORK_H

#include "lib/state.h"

SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	struct process_state *creator, *state;

	if (child->pid != child->tgid)
		return 0; /* a thread */
	creator = state_get(OP_SLOT_FORK, parent->group_leader);
	state = state_make(OP_SLOT_FORK, child);
	if (!creator || !state)
		return 0; /* counted; the child is adopted at its exec */
	announce(creator);
	state->key.ktime = bpf_ktime_get_boot_ns();
	state->parent = creator->key;
	state->flags = PROCESS_FLAG_CLONE | (creator->flags & PROCESS_FLAG_IN_INIT_TREE);
	state->nspid = task_nspid(child);
	if (state->nspid == 1)
		state->flags |= PROCESS_FLAG_IN_INIT_TREE;
	state->announced = ANNOUNCED_NO;
	state->ended = 0;
	state->has_permitted = 0;
	state->key.pid = child->tgid; /* last: it says that the rest is set */
	return 0;
}

#endif
