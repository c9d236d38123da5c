"""From a record's bytes to an event's text; pure code.

decode.py   ring record -> Record
text.py     the text forms of events: flags, signals, times, bytes to str
json.py     Event -> JSON line
filter.py, fields.py, labels.py, cel.py, redact.py   what passes, and what of it
compact.py  JSON form of an event -> one line for a terminal
"""
