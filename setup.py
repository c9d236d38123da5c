"""Build steps setuptools cannot express in pyproject.toml: the BPF objects and the C extension."""

import subprocess
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent


class BuildAll(build_ext):
    """Compile bpf/ with clang beside the Python sources, then the extension."""

    def run(self) -> None:
        """Build; fails with the compiler's own message."""
        subprocess.run([sys.executable, ROOT / "scripts" / "build_bpf.py"], check=True)
        super().run()


setup(
    cffi_modules=["src/tetragon/kernel/_libbpf_build.py:ffibuilder"],
    cmdclass={"build_ext": BuildAll},
    package_data={"tetragon": ["sensor/objects/*.o", "py.typed", "**/*.pyi", "**/*.binpb"]},
)
