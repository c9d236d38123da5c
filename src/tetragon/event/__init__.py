"""From a record's bytes to an event's text; pure code.

decode.py   ring record -> Record; record_plain.py: the fields of an exec record, in Python
text.py     the text forms of events: flags, signals, times, bytes to str
json.py     Event -> JSON line

filter_text.py (jsonstream.py)           text of filters -> values of model/filters.py
filter.py (filter_fields.py, pattern.py, labels.py, pid_set.py)   filters -> which events pass
cel.py (cel_*.py)                        CEL expression -> test of events
fields.py, fields_json.py                field filters -> which fields of objects and lines leave
redact.py                                what must not be seen in arguments and environment
from_json.py                             JSON object of an event -> Event, for filters
shape.py, schema.py, descriptor.py       the event messages of the API: fields, as protobuf

compact.py  JSON form of an event -> one line for a terminal
"""
