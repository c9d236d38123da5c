"""tetra, the command line client.

main.py       entry: the tree of commands, errors as one line
command.py    commands, groups and flags as Go programs have them, on top of click
help.py       their help                             values.py    durations, lists, choices
connect.py    where the agent is, retries            output.py    tables
getevents.py  the event stream                       source.py    events from gRPC or standard input
agent.py      status, version, info, loglevel, eventlog             ledger.py  its books
policies.py   tracingpolicy                          debug.py     debug and dump
old.py        sensors                                completion.py  completion
"""
