// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* process: the base sensor: exec, fork and exit of every process, and the tasks found at start.
 *
 * Hook   tp_btf/sched_process_exec: past the point of no return, new image in place.
 *        tp_btf/sched_process_fork: before the child first runs.
 *        tp_btf/sched_process_exit: every thread; the last one of its group reports.
 *        tp_btf/sched_prepare_exec, or where the kernel lacks it fentry or kprobe of
 *        security_bprm_committing_creds: capabilities before the exec changes them.
 *        iter/task: once, at start.
 * Maps   process_map, leaderless_map (lib/task.h), before_map; lifecycle_ring
 * Since  v5.15
 *
 * A process that forks and never execs is announced (clone record) only when something refers
 * to it: most children exec or exit at once, and then one record tells all.
 */
#include "kernel.h"

#include "abi/process.h"
#include "lib/path.h"
#include "lib/task.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Task that execs -> its capabilities before; filled at the point of no return. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct exec_before);
} before_map SEC(".maps");

/* Where the texts of an exec record end, for the verifier: fixed part, blocks, five texts. */
#define TEXT_LIMIT 16383

static __always_inline u32 append_credentials(u8 *record, u32 end, struct task_struct *task)
{
	read_credentials((void *)record + end, BPF_CORE_READ(task, cred));
	return end + sizeof(struct credentials);
}

static __always_inline u32 append_namespaces(u8 *record, u32 end, struct task_struct *task)
{
	read_namespaces((void *)record + end, task);
	return end + sizeof(struct namespaces);
}

/* Append at most 4095 bytes of a kernel string, without its NUL. Returns its length. */
static __always_inline u32 append_string(u8 *record, u32 end, const void *from, u32 size)
{
	long length = bpf_probe_read_kernel_str(record + (end & TEXT_LIMIT), size, from);

	return length > 0 ? (length - 1) & (EXEC_TEXT_MAX - 1) : 0;
}

static __always_inline u32 append_cwd(struct exec_event *event, u8 *record, u32 end,
				      struct task_struct *task)
{
	struct fs_struct *fs = BPF_CORE_READ(task, fs);
	struct path_walk walk = {};
	u8 *scratch = record + TEXT_LIMIT + 1; /* the unused upper half of the heap */
	bool truncated = false;
	u32 start, size;

	if (!fs) {
		event->flags |= PROCESS_FLAG_ERROR_CWD;
		return 0;
	}
	start = path_text(&walk, task, &fs->pwd, scratch, &truncated);
	if (truncated)
		event->flags |= PROCESS_FLAG_ERROR_PATH_CWD;
	size = PATH_SIZE - start;
	if (size == 0) {
		event->flags |= PROCESS_FLAG_ROOT_CWD;
		return 0;
	}
	start &= PATH_SIZE - 1;
	size &= PATH_SIZE - 1;
	bpf_probe_read_kernel(record + (end & TEXT_LIMIT), size, scratch + start);
	return size;
}

/* "parent/leaf": the parent's name matters where the leaf's is no container id. */
static __always_inline u32 append_cgroup(struct exec_event *event, u8 *record, u32 end,
					 struct task_struct *task)
{
	struct kernfs_node *node = BPF_CORE_READ(task_cgroup(task), kn);
	struct kernfs_node *above;
	u32 length = 0;

	if (!node) {
		event->flags |= PROCESS_FLAG_ERROR_CGROUPS;
		return 0;
	}
	event->cgroup_id = BPF_CORE_READ(node, id);
	above = kernfs_parent(node);
	if (above) {
		length = append_string(record, end, BPF_CORE_READ(above, name), 127);
		length &= 127;
		end = (end + length) & TEXT_LIMIT;
		record[end] = '/';
		length++;
		end = (end + 1) & TEXT_LIMIT;
	}
	return length + (append_string(record, end, BPF_CORE_READ(node, name), 128) & 127);
}

struct text_source {
	unsigned long start; /* user address */
	u32 total;	     /* bytes there */
	u32 kind;	     /* enum data_kind */
	u32 failed;	     /* flag of an unreadable text */
};

struct chunk_walk {
	struct data_event *data; /* text goes behind it */
	unsigned long start;	 /* user address of the whole text */
	u32 total;
	u32 left;
	bool failed;
};

/* Send the next piece. Returns 1 when it was the last, or failed. */
static __always_inline long chunk_step(struct chunk_walk *walk)
{
	struct data_event *data = walk->data;
	u32 left = walk->left;
	u32 size = left < DATA_CHUNK_MAX ? left : DATA_CHUNK_MAX;

	barrier_var(size);
	if (!size || size > DATA_CHUNK_MAX)
		return 1;
	data->header.size = sizeof(*data) + size;
	if (bpf_probe_read_user(data + 1, size, (void *)walk->start + (walk->total - left)) ||
	    emit(OP_SLOT_DATA, data, sizeof(*data) + size)) {
		walk->failed = true;
		return 1;
	}
	data->chunk++;
	walk->left = left - size;
	return 0;
}

static long chunk_step_loop(u32 index, struct chunk_walk *walk)
{
	return chunk_step(walk);
}

/* Send a text too long for the exec record ahead of it. Returns flags for the exec record. */
static __always_inline u32 send_chunks(struct exec_event *exec, u8 *record,
				       const struct text_source *source)
{
	struct chunk_walk walk = {
		.data = (void *)record + TEXT_LIMIT + 1, /* the exec record is in the lower half */
		.start = source->start,
		.total = source->total,
		.left = source->total,
	};
	int chunk;

	*walk.data = (struct data_event){
		.header = { .op = EVENT_OP_DATA, .ktime = exec->header.ktime },
		.key = exec->key,
		.kind = source->kind,
	};
	if (has_bpf_loop()) {
		bpf_loop(DATA_CHUNKS_MAX, chunk_step_loop, &walk, 0);
	} else {
		for (chunk = 0; chunk < DATA_CHUNKS_MAX; chunk++)
			if (chunk_step(&walk))
				break;
	}
	if (walk.failed)
		return source->failed | PROCESS_FLAG_DATA_ARGS;
	return walk.left ? PROCESS_FLAG_TRUNC_ARGS | PROCESS_FLAG_DATA_ARGS : PROCESS_FLAG_DATA_ARGS;
}

/* Append a user text, or send it in data records when it is too long. Returns its inline size. */
static __always_inline u32 append_user(struct exec_event *event, u8 *record, u32 end,
				       const struct text_source *source)
{
	u32 size = source->total;

	if (size > EXEC_TEXT_MAX - 1) {
		u32 flags = send_chunks(event, record, source);

		if (source->kind != DATA_KIND_ARGS)
			flags &= source->failed;
		event->flags |= flags;
		return 0;
	}
	size &= EXEC_TEXT_MAX - 1;
	if (size && bpf_probe_read_user(record + (end & TEXT_LIMIT), size,
					(void *)source->start)) {
		event->flags |= source->failed;
		return 0;
	}
	return size;
}

static __always_inline void read_texts(struct exec_event *event, u8 *record, u32 end,
				       struct task_struct *task, struct linux_binprm *bprm)
{
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	struct text_source args = {
		.start = BPF_CORE_READ(mm, arg_start),
		.kind = DATA_KIND_ARGS,
		.failed = PROCESS_FLAG_ERROR_ARGS,
	};
	struct text_source envs = {
		.start = BPF_CORE_READ(mm, env_start),
		.kind = DATA_KIND_ENVS,
		.failed = PROCESS_FLAG_ERROR_ENVS,
	};

	args.total = BPF_CORE_READ(mm, arg_end) - args.start;
	envs.total = BPF_CORE_READ(mm, env_end) - envs.start;
	event->args_total = args.total;
	event->envs_total = envs.total;

	event->filename_size =
		append_string(record, end, BPF_CORE_READ(bprm, filename), EXEC_TEXT_MAX);
	if (!event->filename_size)
		event->flags |= PROCESS_FLAG_ERROR_FILENAME;
	end += event->filename_size;
	event->cwd_size = append_cwd(event, record, end, task);
	end += event->cwd_size;
	event->cgroup_size = append_cgroup(event, record, end, task);
	end += event->cgroup_size;
	event->args_size = append_user(event, record, end, &args);
	end += event->args_size;
	event->envs_size = 0;
	if (collect_environment)
		event->envs_size = append_user(event, record, end, &envs);
	end += event->envs_size;
	event->header.size = end;
}

/*
 * What the exec changed in privilege. The kernel sets bprm->per_clear only for an exec that
 * gains by set-id bits or file capabilities. An exec leaves the real ids alone, so they tell what
 * the effective ids would be without it; only gained capabilities need a look before.
 */
static __always_inline void read_privileges(struct exec_event *event, struct task_struct *task,
					    struct linux_binprm *bprm)
{
	struct exec_before *before = bpf_task_storage_get(&before_map, task, NULL, 0);
	const struct cred *cred = BPF_CORE_READ(task, cred);
	struct inode *inode = BPF_CORE_READ(bprm, file, f_inode);
	u32 uid = BPF_CORE_READ(cred, uid.val), euid = BPF_CORE_READ(cred, euid.val);
	u32 gid = BPF_CORE_READ(cred, gid.val), egid = BPF_CORE_READ(cred, egid.val);
	u64 permitted = 0, ambient = 0, gained;

	event->inode = BPF_CORE_READ(inode, i_nlink) ? 0 : BPF_CORE_READ(inode, i_ino);
	event->euid = euid;
	event->egid = egid;
	if (!BPF_CORE_READ(bprm, per_clear))
		goto out;
	if (euid != uid)
		event->privileges |= PRIVILEGE_SETUID | (euid ? 0 : PRIVILEGE_SETUID_ROOT);
	if (egid != gid)
		event->privileges |= PRIVILEGE_SETGID | (egid ? 0 : PRIVILEGE_SETGID_ROOT);
	bpf_core_read(&permitted, sizeof(permitted), &cred->cap_permitted);
	bpf_core_read(&ambient, sizeof(ambient), &cred->cap_ambient);
	if (before && before->valid)
		gained = permitted & ~before->permitted;
	else /* no hook told: who is not root holds none but from the file */
		gained = uid ? permitted : 0;
	if (gained && !ambient && euid == uid)
		event->privileges |= PRIVILEGE_FILE_CAPS;
out:
	if (before)
		before->valid = 0;
}

/* Give the process its new identity and say who came before. */
static __always_inline void turn_over(struct exec_event *event, struct process_state *state)
{
	bool forked = state->flags & PROCESS_FLAG_CLONE;

	if (state->announced)
		event->cleanup = state->key;
	if (forked) {
		event->parent = state->parent;
		event->flags |= PROCESS_FLAG_CLONE;
	} else {
		event->parent = state->key;
	}
	state->key = event->key;
	state->parent = event->parent;
	state->flags &= PROCESS_FLAG_IN_INIT_TREE;
	state->announced = 1;
	event->flags |= state->flags;
	event->nspid = state->nspid;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	struct process_state *state = state_get(OP_SLOT_EXEC, task->group_leader);
	struct heap *heap = heap_get(OP_SLOT_EXEC);
	struct exec_event *event = (void *)heap;
	u32 end = sizeof(*event);

	if (!heap)
		return 0;
	__builtin_memset(event, 0, sizeof(*event));
	event->header.op = EVENT_OP_EXEC;
	event->header.ktime = bpf_ktime_get_boot_ns();
	event->key.pid = BPF_CORE_READ(task, tgid);
	event->key.ktime = event->header.ktime;
	event->flags = PROCESS_FLAG_EXECVE;
	if (state)
		turn_over(event, state);
	else
		event->flags |= PROCESS_FLAG_MISS;
	event->uid = BPF_CORE_READ(task, cred, euid.val);
	event->auid = task_auid(task);
	read_privileges(event, task, bprm);
	if (collect_credentials) {
		event->header.blocks |= RECORD_BLOCK_CREDENTIALS;
		end = append_credentials((void *)heap, end, task);
	}
	if (collect_namespaces) {
		event->header.blocks |= RECORD_BLOCK_NAMESPACES;
		end = append_namespaces((void *)heap, end, task);
	}
	read_texts(event, (void *)heap, end, task, bprm);
	emit(OP_SLOT_EXEC, event, event->header.size & TEXT_LIMIT);
	heap_put();
	return 0;
}

static __always_inline void remember_caps(struct task_struct *task)
{
	struct exec_before *before = bpf_task_storage_get(&before_map, task, NULL,
							  BPF_LOCAL_STORAGE_GET_F_CREATE);
	const struct cred *cred = BPF_CORE_READ(task, cred);

	if (!before)
		return;
	bpf_core_read(&before->permitted, sizeof(u64), &cred->cap_permitted);
	before->valid = 1;
}

/* commit 5c5fad46e48c ("tracing: Add sched_prepare_exec tracepoint", v6.10) */
SEC("tp_btf/sched_prepare_exec")
int BPF_PROG(exec_caps_tracepoint, struct task_struct *task, struct linux_binprm *bprm)
{
	/* Most execs gain nothing, and per_clear says so already. */
	if (BPF_CORE_READ(bprm, per_clear))
		remember_caps(task);
	return 0;
}

SEC("fentry/security_bprm_committing_creds")
int BPF_PROG(exec_caps_fentry, struct linux_binprm *bprm)
{
	if (BPF_CORE_READ(bprm, per_clear))
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

/* Name a process that only forked, before the first thing that refers to it. */
static __always_inline void announce(struct process_state *state)
{
	struct clone_event event = {
		.header = {
			.op = EVENT_OP_CLONE,
			.size = sizeof(event),
			.ktime = state->key.ktime,
		},
	};

	if (__sync_lock_test_and_set(&state->announced, 1))
		return;
	event.key = state->key;
	event.parent = state->parent;
	event.flags = state->flags;
	event.nspid = state->nspid;
	emit(OP_SLOT_CLONE, &event, sizeof(event));
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	struct process_state *creator, *state;

	if (BPF_CORE_READ(child, pid) != BPF_CORE_READ(child, tgid))
		return 0; /* a thread */
	creator = state_get(OP_SLOT_FORK, parent->group_leader);
	if (!creator)
		return 0;
	state = bpf_task_storage_get(&process_map, child, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!state) {
		count(OP_SLOT_FORK, COUNTER_STORAGE_BUSY);
		return 0;
	}
	announce(creator);
	state->key.pid = BPF_CORE_READ(child, tgid);
	state->key.ktime = bpf_ktime_get_boot_ns();
	state->parent = creator->key;
	state->flags = PROCESS_FLAG_CLONE | (creator->flags & PROCESS_FLAG_IN_INIT_TREE);
	state->nspid = task_nspid(child);
	if (state->nspid == 1)
		state->flags |= PROCESS_FLAG_IN_INIT_TREE;
	state->announced = 0;
	return 0;
}

/* What wait(2) tells: the group's code if a signal or exit_group ended it, else the leader's. */
static __always_inline u32 wait_status(struct task_struct *task)
{
	struct signal_struct *signal = BPF_CORE_READ(task, signal);

	if (BPF_CORE_READ(signal, flags) & SIGNAL_GROUP_EXIT)
		return BPF_CORE_READ(signal, group_exit_code);
	return BPF_CORE_READ(task, group_leader, exit_code);
}

static __always_inline void keep_leaderless(struct process_state *state, u32 tgid)
{
	if (state && state_is_set(state))
		bpf_map_update_elem(&leaderless_map, &tgid, state, BPF_ANY);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	struct exit_event event = {
		.header = {
			.op = EVENT_OP_EXIT,
			.size = sizeof(event),
			.ktime = bpf_ktime_get_boot_ns(),
		},
	};
	u32 tgid = BPF_CORE_READ(task, tgid);
	struct process_state *state;

	if (BPF_CORE_READ(task, signal, live.counter) != 0) {
		if (BPF_CORE_READ(task, pid) == tgid)
			keep_leaderless(bpf_task_storage_get(&process_map, task, NULL, 0), tgid);
		return 0;
	}
	state = state_get(OP_SLOT_EXIT, task->group_leader);
	if (!state)
		return 0;
	event.key = state->key;
	event.parent = state->parent;
	event.flags = state->flags;
	event.nspid = state->nspid;
	event.announced = state->announced;
	event.code = wait_status(task);
	event.tid = BPF_CORE_READ(task, pid);
	/* Two threads may both see no live one: who deletes the state reports. */
	if (bpf_task_storage_delete(&process_map, task->group_leader))
		return 0;
	bpf_map_delete_elem(&leaderless_map, &tgid);
	emit(OP_SLOT_EXIT, &event, sizeof(event));
	return 0;
}

SEC("iter/task")
int process_scan(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct task_record record = {};
	struct process_state *state, *above;

	if (!task || BPF_CORE_READ(task, pid) != BPF_CORE_READ(task, tgid))
		return 0;
	state = bpf_task_storage_get(&process_map, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!state) {
		count(OP_SLOT_FORK, COUNTER_STORAGE_BUSY);
		return 0;
	}
	if (!state_is_set(state)) {
		adopt(state, task);
		above = bpf_task_storage_get(&process_map, task->real_parent->group_leader, NULL,
					     0);
		if (above) /* tasks come by ascending pid, so mostly parents first */
			state->flags |= above->flags & PROCESS_FLAG_IN_INIT_TREE;
	}
	if (state->flags & PROCESS_FLAG_PROCFS)
		state->announced = 1;
	record.key = state->key;
	record.parent = state->parent;
	record.flags = state->flags;
	record.nspid = state->nspid;
	record.kthread = !!(BPF_CORE_READ(task, flags) & PF_KTHREAD);
	record.uid = BPF_CORE_READ(task, cred, euid.val);
	record.auid = task_auid(task);
	bpf_core_read(&record.comm, sizeof(record.comm), &task->comm);
	read_credentials(&record.credentials, BPF_CORE_READ(task, cred));
	read_namespaces(&record.namespaces, task);
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}
