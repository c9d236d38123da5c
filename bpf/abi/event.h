/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* event.h: what every record of a ring starts with, and how a process is named.
 *
 * Both halves read these layouts; Python gets them from the compiled BTF (src/tetragon/abi).
 * Rules: fixed-width types, 8-byte alignment, padding is a named field (pad...), never packed.
 */
#ifndef TETRAGON_ABI_EVENT_H
#define TETRAGON_ABI_EVENT_H

#include "kernel.h"

/* What a record says. Numbers follow the public metrics' message operations. */
enum event_op {
	EVENT_OP_EXEC = 5,
	EVENT_OP_EXIT = 7,
	EVENT_OP_CLONE = 23,
	EVENT_OP_DATA = 24,
};

/* Optional blocks between the fixed part of a record and its text, in this order. */
enum record_block {
	RECORD_BLOCK_CREDENTIALS = 1,
	RECORD_BLOCK_NAMESPACES = 2,
};

struct event_header {
	u8 op;	    /* enum event_op */
	u8 blocks;  /* enum record_block bits */
	u16 pad;
	u32 size;   /* bytes of the whole record, this header included */
	u64 ktime;  /* ns of CLOCK_BOOTTIME when it happened */
};

/* One image of one process. All zero: no process. */
struct process_key {
	u32 pid; /* thread group id in the first pid namespace */
	u32 pad;
	u64 ktime; /* ns of CLOCK_BOOTTIME of its exec or clone */
};

/* Bits of process flags; users see them as words in process.flags. */
enum process_flag {
	PROCESS_FLAG_EXECVE = 0x1,
	PROCESS_FLAG_PROCFS = 0x4,
	PROCESS_FLAG_ERROR_ENVS = 0x8,
	PROCESS_FLAG_TRUNC_ARGS = 0x10,
	PROCESS_FLAG_MISS = 0x40,
	PROCESS_FLAG_ERROR_FILENAME = 0x100,
	PROCESS_FLAG_ERROR_ARGS = 0x200,
	PROCESS_FLAG_NO_CWD = 0x800,
	PROCESS_FLAG_ROOT_CWD = 0x1000,
	PROCESS_FLAG_ERROR_CWD = 0x2000,
	PROCESS_FLAG_CLONE = 0x4000,
	PROCESS_FLAG_ERROR_CGROUP_NAME = 0x10000,
	PROCESS_FLAG_ERROR_CGROUP_SUBSYS_CGRP = 0x40000,
	PROCESS_FLAG_ERROR_CGROUP_SUBSYS = 0x80000,
	PROCESS_FLAG_ERROR_CGROUPS = 0x100000,
	PROCESS_FLAG_ERROR_CGROUP_ID = 0x200000,
	PROCESS_FLAG_ERROR_PATH_CWD = 0x400000,
	PROCESS_FLAG_DATA_FILENAME = 0x800000,
	PROCESS_FLAG_DATA_ARGS = 0x1000000,
	PROCESS_FLAG_IN_INIT_TREE = 0x2000000,
};

/* Ids and capabilities of a task, as its cred has them. */
struct credentials {
	u32 uid;
	u32 gid;
	u32 euid;
	u32 egid;
	u32 suid;
	u32 sgid;
	u32 fsuid;
	u32 fsgid;
	u32 securebits;
	u32 user_ns_level; /* 0: the host's */
	u64 permitted;	   /* bit n: capability n */
	u64 effective;
	u64 inheritable;
};

/* Inode numbers of a task's namespaces; 0 where the kernel has no such namespace. */
struct namespaces {
	u32 uts;
	u32 ipc;
	u32 mnt;
	u32 pid;
	u32 pid_for_children;
	u32 net;
	u32 time;
	u32 time_for_children;
	u32 cgroup;
	u32 user;
};

#endif
