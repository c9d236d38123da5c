"""Build steps setuptools cannot express in pyproject.toml: the BPF objects and the extensions."""

import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent


class BuildAll(build_ext):
    """Compile bpf/ with clang beside the Python sources, then the extensions."""

    def run(self) -> None:
        """Build; fails with the compiler's own message."""
        subprocess.run([sys.executable, ROOT / "scripts" / "build_bpf.py"], check=True)
        super().run()


FAST = "src/tetragon/model/fast"

setup(
    ext_modules=[
        Extension(
            "tetragon.model._fast",
            [f"{FAST}/{name}.c" for name in ("json", "module", "record", "text")],
            include_dirs=[FAST, "bpf"],
            extra_compile_args=["-O3", "-fvisibility=hidden"],
            depends=[f"{FAST}/fast.h", f"{FAST}/kernel.h", "bpf/abi/event.h", "bpf/abi/process.h"],
        )
    ],
    cffi_modules=["src/tetragon/kernel/_libbpf_build.py:ffibuilder"],
    cmdclass={"build_ext": BuildAll},
    package_data={"tetragon": ["sensor/objects/*.o", "py.typed", "**/*.pyi", "**/*.binpb"]},
    exclude_package_data={"": ["*.c", "*.h"]},
)
