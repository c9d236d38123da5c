"""The contract with the kernel half, generated from bpf/abi; never edited.

records.py  layouts of ring records, enums
"""
