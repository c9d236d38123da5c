"""What the agent shows of itself over TCP: Prometheus metrics, profiles, gops diagnostics.

connections.py  Connections: a bound socket, a thread that accepts, a thread a connection
web.py          one HTTP request of a connection, answered by a function
server.py       MetricsServer: /metrics
sources.py      Sources: what the agent lets metrics read
events.py       EventCounter: counts events by type, pod and binary as they pass
collect.py      counters of the agent's parts as metric families
resources.py    what the process uses, likewise
profile.py      ProfileBuilder: stacks and values to pprof's format
sample.py       CpuSampler: CPU profiles of the agent's threads
stacks.py       what every thread does now
heap.py         what memory is held by whom
pprof.py        ProfileServer: /debug/pprof/
gops.py         GopsServer: gops' one-byte commands
"""
