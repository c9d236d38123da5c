"""The only code on libbpf and bpf(2): objects, maps, links, rings, features.

_libbpf_build.py  makes the C extension _libbpf (libbpf linked statically, and the ring reader)
object.py         Object: open, configure, load, attach, unload one compiled BPF object
ring.py           Ring: drain a BPF ring buffer in batches
btf.py            parse BTF: structs, enums, functions
features.py       what this kernel offers, found by probing
"""
