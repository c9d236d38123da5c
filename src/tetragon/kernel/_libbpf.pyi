"""The compiled extension; see _libbpf_build.py for what it declares."""

from typing import Any

ffi: Any
lib: Any
