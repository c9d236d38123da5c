"""Programs loaded and attached, and taken away again.

base.py   the base sensor: exec, fork, exit, and the tasks found at start
scan.py   those tasks and /proc, joined to the first Processes of the cache
objects/  compiled BPF objects
"""
