/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* core.h: load-time options, the rings, scratch buffers and the books every program shares. */
#ifndef TETRAGON_LIB_CORE_H
#define TETRAGON_LIB_CORE_H

#include "kernel.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "abi/process.h"

/* Options: constants for the verifier, set by the loader before load. */
const volatile bool collect_credentials = false;
const volatile bool collect_namespaces = false;
const volatile bool collect_environment = false;
const volatile u32 cgroup_controller = CGROUP_UNIFIED;
/* Ways out that a test takes on any kernel: as if there were no bpf_loop, no task storage. */
const volatile bool without_bpf_loop = false;
const volatile bool without_storage = false;

/* What user space changes while programs run, through the mapping of this section. */
volatile u32 reader_asleep = 1; /* 1: the reader sleeps in epoll and wants to be woken */
volatile u32 scanned = 0;	/* 1: user space was told of all who ran before the hooks */
volatile u64 hooked_ktime = 0;	/* since when all hooks are there; 0: not yet */

/* Process life: exec, clone, data, exit. Size set by the loader. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} lifecycle_ring SEC(".maps");

/* op_slot * COUNTER_MAX + counter -> how often; filled by count(). */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, OP_SLOT_MAX * COUNTER_MAX);
	__type(key, u32);
	__type(value, u64);
} counter_map SEC(".maps");

#define HEAP_SIZE 32768 /* the most a per-CPU value may have */

struct heap {
	u8 bytes[HEAP_SIZE - sizeof(u64)];
	u64 users; /* programs that hold it */
};

/* 0 -> scratch in which a record is built before it goes to its ring. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct heap);
} record_heap SEC(".maps");

static __always_inline void count(enum op_slot op, enum counter what)
{
	u32 index = op * COUNTER_MAX + what;
	u64 *value = bpf_map_lookup_elem(&counter_map, &index);

	if (value)
		*value += 1; /* per CPU; a program that interrupts this line may lose one count */
}

/* The scratch of this CPU, or NULL while a program this one interrupted uses it. */
static __always_inline struct heap *heap_get(enum op_slot op)
{
	u32 zero = 0;
	struct heap *heap = bpf_map_lookup_elem(&record_heap, &zero);

	if (!heap)
		return NULL;
	if (__sync_fetch_and_add(&heap->users, 1) == 0)
		return heap;
	__sync_fetch_and_add(&heap->users, -1);
	count(op, COUNTER_HEAP_BUSY);
	return NULL;
}

static __always_inline void heap_put(struct heap *heap)
{
	__sync_fetch_and_add(&heap->users, -1);
}

/*
 * Send a record. Returns 0, or the ring's error.
 *
 * A wake-up is an interrupt, dear on virtual machines: only the first record after the reader
 * fell asleep makes one.
 */
static __always_inline long emit(enum op_slot op, void *record, u64 size)
{
	u64 flags = BPF_RB_NO_WAKEUP;
	long error;

	if (reader_asleep) {
		reader_asleep = 0;
		flags = BPF_RB_FORCE_WAKEUP;
	}
	count(op, COUNTER_PRODUCED);
	error = bpf_ringbuf_output(&lifecycle_ring, record, size, flags);
	if (error) {
		count(op, COUNTER_RING_FULL);
		if (flags == BPF_RB_FORCE_WAKEUP)
			reader_asleep = 1; /* no record woke it: the next one shall */
	}
	return error;
}

#endif
