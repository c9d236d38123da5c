"""Who did it: the processes of this host, by the records the kernel half sends; pure code.

cache.py    ProcessCache: records in, events with process, parent and ancestors out
store.py    Store: what is kept, the references between processes, and what is removed when
parked.py   events that wait for a process not known yet
options.py  Options and Stats of the cache
"""
