// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* process: the base sensor: exec, fork and exit of every process, and the tasks found at start.
 *
 * Hook   each in its file: exec.h, fork.h, exit.h, scan.h
 * Maps   process_map, spare_map (lib/state.h); record_heap, counter_map, lifecycle_ring (lib/core.h)
 * Since  v5.15
 *
 * A process that forks and never execs is announced (clone record) only when something refers
 * to it: most children exec or exit at once, and then one record tells all.
 */
#include "base/exec.h"
#include "base/exit.h"
#include "base/fork.h"
#include "base/scan.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
