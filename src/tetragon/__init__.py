"""tetragon: watch processes and the kernel through eBPF, say what happened, stop what must not.

errors     the whole error tree
abi        the kernel half's structs and enums, generated from its BTF
model      values every part speaks: Process, Event, Ledger, Settings
kernel     libbpf, rings, features        procfs     /proc and cgroupfs
process    process cache                  event      decode, filter, encode
policy     TracingPolicy to PolicySpec    sensor     load and attach
pipeline   the stages an event passes     agent      wiring
export, api, metrics, k8s  the edges      cli        tetra
"""

__version__ = "0.1.0"
