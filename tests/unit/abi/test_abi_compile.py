"""The kernel half compiles for every architecture, whatever this machine is."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("architecture", ["x86", "arm64"])
def test_sources_compile_for(architecture: str, tmp_path: Path) -> None:
    """Both architectures compile without a warning, whatever this machine is."""
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        from build_bpf import compile_command, find_tool, sources
    finally:
        sys.path.pop(0)
    for source in sources():
        output = tmp_path / f"{source.stem}.{architecture}.o"
        command = compile_command(find_tool("clang", "CLANG"), architecture, source, output)
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert output.stat().st_size > 0
