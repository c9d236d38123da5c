/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* exec: one record when a process runs a new image.
 *
 * Hook   tp_btf/sched_process_exec: past the point of no return, new image in place, one thread.
 *        tp_btf/sched_prepare_exec: before other threads and credentials go; or, where the
 *        kernel lacks it, fentry or kprobe of security_bprm_committing_creds.
 * Maps   process_map, spare_map (find, make), record_heap, lifecycle_ring
 * Since  v5.15
 */
#ifndef TETRAGON_BASE_EXEC_H
#define TETRAGON_BASE_EXEC_H

#include "lib/state.h"
#include "lib/text.h"

/*
 * What the exec changed in privilege. The kernel sets bprm->per_clear only for an exec that
 * gains by set-id bits or file capabilities. An exec leaves the real ids alone, so they tell what
 * the effective ids would be without it; only gained capabilities need a look before.
 */
static __always_inline u32 privileges(const struct cred *cred, struct process_state *state)
{
	u32 uid = cred->uid.val, euid = cred->euid.val;
	u32 gid = cred->gid.val, egid = cred->egid.val;
	u64 permitted = 0, ambient = 0, gained;
	u32 found = 0;

	if (euid != uid)
		found |= PRIVILEGE_SETUID | (euid ? 0 : PRIVILEGE_SETUID_ROOT);
	if (egid != gid)
		found |= PRIVILEGE_SETGID | (egid ? 0 : PRIVILEGE_SETGID_ROOT);
	bpf_core_read(&permitted, sizeof(permitted), &cred->cap_permitted);
	bpf_core_read(&ambient, sizeof(ambient), &cred->cap_ambient);
	if (state && state->has_permitted)
		gained = permitted & ~state->permitted;
	else /* no hook told: who is not root holds none but from the file */
		gained = uid ? permitted : 0;
	if (gained && !ambient && euid == uid)
		found |= PRIVILEGE_FILE_CAPS;
	return found;
}

/* Give the process its new identity and say who came before. */
static __always_inline void turn_over(struct exec_event *event, struct process_state *state)
{
	if (state->announced == ANNOUNCED_LOST)
		announce(state);
	if (state->announced == ANNOUNCED_YES)
		event->cleanup = state->key;
	if (state->flags & PROCESS_FLAG_CLONE)
		event->flags |= PROCESS_FLAG_CLONE;
	/* Its own former image, if anybody was told of that; else who forked it. */
	if (state->flags & PROCESS_FLAG_CLONE || state->announced == ANNOUNCED_NO)
		event->parent = state->parent;
	else
		event->parent = state->key;
	event->flags |= state->flags & PROCESS_FLAG_IN_INIT_TREE;
	event->nspid = state->nspid;
	state->key = event->key;
	state->parent = event->parent;
	state->flags &= PROCESS_FLAG_IN_INIT_TREE;
	state->has_permitted = 0;
	state->announced = ANNOUNCED_YES;
}

/* Fill the fixed part. */
static __always_inline void fill_exec(struct exec_event *event, struct process_state *state,
				      struct task_struct *task, struct linux_binprm *bprm)
{
	const struct cred *cred = task->cred;
	struct inode *inode = bprm->file->f_inode;

	__builtin_memset(event, 0, sizeof(*event));
	event->header.op = EVENT_OP_EXEC;
	event->header.size = sizeof(*event);
	event->header.ktime = bpf_ktime_get_boot_ns();
	event->key.pid = task->tgid;
	event->key.ktime = event->header.ktime;
	event->flags = PROCESS_FLAG_EXECVE;
	event->uid = cred->euid.val;
	event->auid = task_auid(task);
	event->euid = cred->euid.val;
	event->egid = cred->egid.val;
	if (!inode->i_nlink)
		event->inode = inode->i_ino;
	if (bprm->per_clear)
		event->privileges = privileges(cred, state);
	if (state) {
		turn_over(event, state);
		return;
	}
	event->flags |= PROCESS_FLAG_MISS | read_parent(&event->parent, task);
}

/* With texts and the blocks that options ask for. */
static __always_inline long emit_whole(struct heap *heap, struct process_state *state,
				       struct task_struct *task, struct linux_binprm *bprm)
{
	struct exec_event *event = (void *)heap;

	fill_exec(event, state, task, bprm);
	if (collect_credentials) {
		event->header.blocks |= RECORD_BLOCK_CREDENTIALS;
		read_credentials((void *)event + record_end(event), task->cred);
		record_grow(event, sizeof(struct credentials));
	}
	if (collect_namespaces) {
		event->header.blocks |= RECORD_BLOCK_NAMESPACES;
		read_namespaces((void *)event + record_end(event), task);
		record_grow(event, sizeof(struct namespaces));
	}
	append_texts(event, task, bprm);
	return emit(OP_SLOT_EXEC, event, record_end(event));
}

/* Without scratch for texts: who execs, though not what. Better than nothing. */
static __always_inline long emit_bare(struct process_state *state, struct task_struct *task,
				      struct linux_binprm *bprm)
{
	struct exec_event event;

	fill_exec(&event, state, task, bprm);
	event.flags |= PROCESS_FLAG_ERROR_FILENAME | PROCESS_FLAG_ERROR_ARGS |
		       PROCESS_FLAG_ERROR_CWD;
	return emit(OP_SLOT_EXEC, &event, sizeof(event));
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	struct process_state *state = state_get(OP_SLOT_EXEC, task->group_leader);
	struct heap *heap = heap_get(OP_SLOT_EXEC);
	long error;

	if (heap) {
		error = emit_whole(heap, state, task, bprm);
		heap_put(heap);
	} else {
		error = emit_bare(state, task, bprm);
	}
	if (error && state)
		state->announced = ANNOUNCED_LOST;
	return 0;
}

/* Keep what only the time before the exec knows. */
static __always_inline void remember_caps(struct task_struct *task)
{
	struct process_state *state = state_get(OP_SLOT_EXEC, task);

	if (!state)
		return;
	bpf_core_read(&state->permitted, sizeof(u64), &task->cred->cap_permitted);
	state->has_permitted = 1;
}

/* The thread that execs becomes the leader: its task takes over the state of the one before. */
static __always_inline void move_state(struct task_struct *thread)
{
	struct process_state *from = state_get(OP_SLOT_EXEC, thread->group_leader);
	struct process_state *to = state_make(OP_SLOT_EXEC, thread);

	if (!from || !to || from == to)
		return;
	announce(from); /* so that what its last threads may still do changes nothing in from */
	*to = *from;
}

/* Most execs gain nothing, and per_clear says so already. */
SEC("tp_btf/sched_prepare_exec")
int BPF_PROG(exec_prepare, struct task_struct *task, struct linux_binprm *bprm)
{
	if (task->pid != task->tgid)
		move_state(task);
	if (bprm->per_clear)
		remember_caps(task);
	return 0;
}

/* Called when the other threads have gone and the one that execs leads. */
SEC("fentry/security_bprm_committing_creds")
int BPF_PROG(exec_caps_fentry, struct linux_binprm *bprm)
{
	if (bprm->per_clear)
		remember_caps(bpf_get_current_task_btf());
	return 0;
}

SEC("kprobe/security_bprm_committing_creds")
int BPF_KPROBE(exec_caps_kprobe, struct linux_binprm *bprm)
{
	if (BPF_CORE_READ(bprm, per_clear))
		remember_caps(bpf_get_current_task_btf());
	return 0;
}

#endif
