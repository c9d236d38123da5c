/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* process.h: the records of a process's life: exec, exit, clone, data, and the task iterator's. */
#ifndef TETRAGON_ABI_PROCESS_H
#define TETRAGON_ABI_PROCESS_H

#include "abi/event.h"

enum exec_limit {
	EXEC_TEXT_MAX = 4096,	 /* bytes of each text inside the exec record */
	EXEC_CGROUP_MAX = 256,	 /* bytes of the cgroup's name and its parent's */
	DATA_CHUNK_MAX = 16336,	 /* bytes of text in one data record */
	DATA_CHUNKS_MAX = 21,	 /* data records of one text: 343056 bytes */
};

/* Why an exec raised privileges; bits of exec_event.privileges. */
enum privilege_change {
	PRIVILEGE_SETUID = 1,
	PRIVILEGE_SETGID = 2,
	PRIVILEGE_FILE_CAPS = 4,
	PRIVILEGE_SETUID_ROOT = 8,
	PRIVILEGE_SETGID_ROOT = 16,
};

/* A new image runs. Followed by the blocks of header.blocks, then by five texts without
 * separators: filename, cwd, cgroup, args, envs, each as long as its *_size says. */
struct exec_event {
	struct event_header header; /* ktime == key.ktime */
	struct process_key key;
	struct process_key parent;  /* who ran before or who forked it; ktime 0: unknown */
	struct process_key cleanup; /* the identity this exec ends, if it was announced; else zero */
	u32 flags;		    /* enum process_flag */
	u32 nspid;		    /* pid in its own pid namespace, 0 in the host's */
	u32 uid;		    /* effective */
	u32 auid;		    /* login uid, 4294967295 unset */
	u32 privileges;		    /* enum privilege_change bits */
	u32 euid;		    /* new effective ids, meaningful with PRIVILEGE_SETUID, _SETGID */
	u32 egid;
	u32 filename_size; /* as passed to exec; no NUL */
	u64 inode;	   /* of an executed file without links, else 0 */
	u64 cgroup_id;
	u32 cwd_size;	 /* 0 when flags explain it */
	u32 cgroup_size; /* "parent/leaf" of the cgroup's path; no NUL */
	u32 args_size;	 /* argv, each NUL-terminated; 0 when it came in data records */
	u32 envs_size;
	u32 args_total; /* bytes argv has in the process */
	u32 envs_total;
};

/* A process that never ran an image of its own is named for the first time. */
struct clone_event {
	struct event_header header;
	struct process_key key;
	struct process_key parent;
	u32 flags; /* enum process_flag */
	u32 nspid;
};

/* The last thread of a process ended. */
struct exit_event {
	struct event_header header;
	struct process_key key;
	struct process_key parent; /* as of its exec or clone */
	u32 flags;		   /* enum process_flag */
	u32 nspid;
	u32 code;      /* wait status: signal in the low 7 bits, status << 8 */
	u32 tid;       /* thread that ended last */
	u32 announced; /* enum announcement */
	u32 pad;
};

/* Which text of the exec that follows a data record belongs to. */
enum data_kind {
	DATA_KIND_ARGS = 1,
	DATA_KIND_ENVS = 2,
};

/* A piece of a text too long for its exec record; sent before it, in order. Text follows. */
struct data_event {
	struct event_header header;
	struct process_key key;
	u32 kind;  /* enum data_kind */
	u32 chunk; /* 0, 1, ... */
};

/* One task, as the iterator at start finds it: read from a file, not a ring. */
struct task_record {
	struct process_key key;
	struct process_key parent;
	u32 flags; /* enum process_flag; PROCFS unless hooks have seen it exec or fork */
	u32 nspid;
	u32 uid; /* effective */
	u32 auid;
	u32 kthread; /* 1: a kernel thread */
	u32 pad;
	char comm[16];
	struct credentials credentials;
	struct namespaces namespaces;
};

/* Kinds of trouble counted in the kernel, per operation; index of counter_map is
 * op_slot * COUNTER_MAX + counter. */
enum counter {
	COUNTER_PRODUCED = 0,	   /* records offered to the ring */
	COUNTER_RING_FULL = 1,	   /* ... that found no room */
	COUNTER_HEAP_BUSY = 2,	   /* ... cut short as the scratch buffer was in use */
	COUNTER_STORAGE_BUSY = 3,  /* process state had to go to the spare map */
	COUNTER_STATE_LOST = 4,	   /* no record: the spare map had lost it as well */
	COUNTER_MAX = 5,
};

enum op_slot {
	OP_SLOT_EXEC = 0,
	OP_SLOT_EXIT = 1,
	OP_SLOT_CLONE = 2,
	OP_SLOT_DATA = 3,
	OP_SLOT_FORK = 4, /* no record: only its trouble is counted */
	OP_SLOT_MAX = 5,
};

/* Whether user space was told of a process. */
enum announcement {
	ANNOUNCED_NO = 0,
	ANNOUNCED_YES = 1,  /* a record with its key is in the ring, or came from the iterator */
	ANNOUNCED_LOST = 2, /* its exec record found no room in the ring */
};

/* Which cgroup names the container of a process. */
enum cgroup_controller {
	CGROUP_UNIFIED = 0, /* version 2 */
	CGROUP_MEMORY = 1,  /* of this version 1 controller */
	CGROUP_PIDS = 2,
	CGROUP_CPUSET = 3,
};

/* What the kernel remembers of a process: task storage of its thread group leader. */
struct process_state {
	struct process_key key;
	struct process_key parent;
	u32 flags;     /* enum process_flag: PROCFS, CLONE, IN_INIT_TREE */
	u32 nspid;
	u32 announced; /* enum announcement */
	u32 ended;     /* 1: its exit was reported */
	u64 permitted; /* capabilities before the exec under way; only with has_permitted */
	u32 has_permitted;
	u32 pad;
};

#endif
