/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* state.h: what is remembered of each process, where it is kept, and who is told of it.
 *
 * It lives in task storage of the thread group leader: no capacity to exhaust, freed by the kernel
 * with the task. Storage can be refused for a moment (its lock is taken, no memory), and it is
 * lost when another thread's exec makes that thread the leader: then the state is in spare_map.
 */
#ifndef TETRAGON_LIB_STATE_H
#define TETRAGON_LIB_STATE_H

#include "lib/task.h"

/* Thread group leader -> its process; made by fork, exec, exit or the iterator, whoever is first. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct process_state);
} process_map SEC(".maps");

/* tgid -> state of a process that storage could not hold, see above. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u32);
	__type(value, struct process_state);
} spare_map SEC(".maps");

static __always_inline bool state_is_set(struct process_state *state)
{
	return state->key.pid != 0;
}

static __always_inline struct process_state *storage_get(struct task_struct *leader, u64 flags)
{
	if (without_storage)
		return NULL;
	return bpf_task_storage_get(&process_map, leader, NULL, flags);
}

static __always_inline struct process_state *spare_find(u32 tgid)
{
	struct process_state *state = bpf_map_lookup_elem(&spare_map, &tgid);

	return state && state_is_set(state) ? state : NULL;
}

/* State of the process led by leader, or NULL. */
static __always_inline struct process_state *state_find(struct task_struct *leader)
{
	struct process_state *state = storage_get(leader, 0);

	if (state && state_is_set(state))
		return state;
	return spare_find(leader->tgid);
}

/* Say who is the parent of the process led by leader, as far as the task itself tells. */
static __always_inline u32 read_parent(struct process_key *key, struct task_struct *leader)
{
	struct task_struct *above = leader->real_parent->group_leader;
	struct process_state *parent = state_find(above);

	if (parent) {
		*key = parent->key;
		return parent->flags & PROCESS_FLAG_IN_INIT_TREE;
	}
	key->pid = above->tgid; /* the key it will get when adopted in turn */
	key->ktime = task_start_ktime(above);
	return 0;
}

/*
 * Fill state for a process no fork hook told of: it ran before the hooks (user space learns of it
 * when it scans), or its state got lost (then it is announced like one that only forked).
 */
static __always_inline void adopt(struct process_state *state, struct task_struct *leader)
{
	bool before = ran_before(leader);

	state->flags = before ? PROCESS_FLAG_PROCFS : PROCESS_FLAG_CLONE;
	state->flags |= read_parent(&state->parent, leader);
	state->nspid = task_nspid(leader);
	if (state->nspid == 1)
		state->flags |= PROCESS_FLAG_IN_INIT_TREE;
	state->announced = before && scanned ? ANNOUNCED_YES : ANNOUNCED_NO;
	state->key.ktime = task_start_ktime(leader);
	state->key.pid = leader->tgid; /* last: it says that the rest is set */
}

/* An entry of the spare map, zero if new; NULL only when the map is contended. */
static __noinline struct process_state *spare_get(u32 tgid)
{
	struct process_state empty = {};
	struct process_state *state = bpf_map_lookup_elem(&spare_map, &tgid);

	if (state)
		return state;
	bpf_map_update_elem(&spare_map, &tgid, &empty, BPF_NOEXIST);
	return bpf_map_lookup_elem(&spare_map, &tgid);
}

/* A place for the state of the process led by leader, perhaps not set yet. */
static __always_inline struct process_state *state_make(enum op_slot op, struct task_struct *leader)
{
	struct process_state *state = storage_get(leader, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (state)
		return state;
	count(op, COUNTER_STORAGE_BUSY);
	return spare_get(leader->tgid);
}

/* State of the process led by leader, found or adopted; NULL when there is no place for it. */
static __always_inline struct process_state *state_get(enum op_slot op, struct task_struct *leader)
{
	struct process_state *state = state_make(op, leader), *spare;
	u32 tgid;

	if (!state || state_is_set(state))
		return state;
	tgid = leader->tgid;
	spare = spare_find(tgid);
	if (spare) {
		*state = *spare;
		bpf_map_delete_elem(&spare_map, &tgid);
		return state;
	}
	adopt(state, leader);
	return state;
}

/*
 * Name a process that only forked, before the first thing that refers to it. Global, so that the
 * verifier walks it once.
 */
__noinline int announce(struct process_state *state)
{
	struct clone_event event = {
		.header = {
			.op = EVENT_OP_CLONE,
			.size = sizeof(event),
		},
	};
	u32 before;

	if (!state || state->announced == ANNOUNCED_YES || state->flags & PROCESS_FLAG_PROCFS)
		return 0; /* the scan names those that ran before */
	before = __sync_lock_test_and_set(&state->announced, ANNOUNCED_YES);
	if (before == ANNOUNCED_YES)
		return 0;
	event.header.ktime = state->key.ktime;
	event.key = state->key;
	event.parent = state->parent;
	event.flags = state->flags;
	if (before == ANNOUNCED_LOST)
		event.flags |= PROCESS_FLAG_MISS; /* its image is not its parent's */
	event.nspid = state->nspid;
	if (emit(OP_SLOT_CLONE, &event, sizeof(event)))
		state->announced = before;
	return 0;
}

#endif
