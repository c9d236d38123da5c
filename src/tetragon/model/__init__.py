"""Values that every part speaks; they know no thread, clock, file or socket.

process.py   Process and what belongs to it (namespaces, capabilities, pod)
event.py     Event types: what the pipeline carries and the sinks write
record.py    Record: what the kernel half said, decoded
text.py      flags, signals, times, bytes as users see them; text_plain.py, fast/: in Python, in C
ledger.py    Ledger: what was produced, delivered, filtered and lost, and why
sink.py      Sink: the Protocol an output fulfils
settings.py  Settings: every option with its default
filters.py   Filter, FieldFilter, RedactionFilter: what passes, what leaves, what is hidden
"""
