// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* abi: keeps every shared struct and enum in BTF, from which scripts/gen_abi.py makes Python.
 *
 * Never loaded. A type is kept by a global of it; a new one adds its line.
 */
#include "abi/process.h"

struct abi_anchor {
	struct event_header event_header;
	struct process_key process_key;
	struct credentials credentials;
	struct namespaces namespaces;
	struct exec_event exec_event;
	struct clone_event clone_event;
	struct exit_event exit_event;
	struct data_event data_event;
	struct task_record task_record;
	struct process_state process_state;
	enum event_op event_op;
	enum record_block record_block;
	enum process_flag process_flag;
	enum exec_limit exec_limit;
	enum privilege_change privilege_change;
	enum data_kind data_kind;
	enum counter counter;
	enum op_slot op_slot;
	enum announcement announcement;
	enum cgroup_controller cgroup_controller;
};

struct abi_anchor abi_anchor;
