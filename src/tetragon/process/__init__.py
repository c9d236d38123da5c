"""Who did it: the processes of this host, by the records the kernel half sends; pure code.

cache.py    ProcessCache: records in, events with process, parent and ancestors out
"""
