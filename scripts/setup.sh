#!/bin/sh
# setup: install what this machine lacks to build and test tetragon; does nothing a second time.
#
# Debian 12, Ubuntu 24.04 and newer, as root. Elsewhere, install the named packages' equivalents;
# what is found is not installed again.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

missing=
need() { # need PACKAGE CHECK...: remember the package unless the check succeeds
	package=$1
	shift
	"$@" >/dev/null 2>&1 || missing="$missing $package"
}
has_header() { echo "#include <$1>" | cc -E - ; }

need gcc command -v cc
need clang command -v "${CLANG:-clang}"
need llvm command -v "${LLVM_STRIP:-llvm-strip}"
need libc6-dev has_header stdio.h
need libbpf-dev has_header bpf/libbpf.h
need libelf-dev has_header libelf.h
need zlib1g-dev has_header zlib.h
need python3-venv "$python" -c 'import ensurepip'
need python3-dev "$python" -c 'import sysconfig, pathlib
assert (pathlib.Path(sysconfig.get_paths()["include"]) / "Python.h").exists()'

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
	echo "setup: $python is older than Python 3.11; set PYTHON to a newer one" >&2
	exit 1
}
if [ -n "$missing" ]; then
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "setup: missing:$missing. Install them (Debian names), then run make again" >&2
		exit 1
	fi
	echo "setup: installing$missing"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	# shellcheck disable=SC2086 # one word a package
	apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

if [ ! -x .venv/bin/python ]; then
	echo "setup: making .venv"
	"$python" -m venv .venv
fi
if ! cmp -s requirements.lock .venv/requirements.lock; then
	echo "setup: installing Python packages of requirements.lock"
	.venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes \
		-r requirements.lock
	cp requirements.lock .venv/requirements.lock
fi
stamp=.venv/tetragon.stamp
if [ ! -e $stamp ] || [ -n "$(find bpf setup.py pyproject.toml scripts/build_bpf.py \
	src/tetragon/kernel/_libbpf_build.py src/tetragon/model/fast -newer $stamp -print -quit)" ] ||
	! ls src/tetragon/sensor/objects/process.bpf.o src/tetragon/kernel/_libbpf*.so \
		src/tetragon/model/_fast*.so >/dev/null 2>&1; then
	echo "setup: building bpf/ and the extensions"
	.venv/bin/python -m pip install -q --disable-pip-version-check --no-build-isolation \
		--no-deps -e .
	touch $stamp
fi
