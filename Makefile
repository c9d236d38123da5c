# make run     install what is missing, build, start the agent, show what happens on this host
# make test    the same set-up, then unit, kernel and end-to-end tests on this machine's kernel
# make help    everything else

PYTHON ?= python3
KERNEL ?= 6.12
BIN := .venv/bin
KERNEL_TESTS := tests/bpf tests/kernel tests/e2e
# Python starts in seconds under emulation, so there the agent as a whole is tried briefly.
VM_TESTS := tests/bpf tests/kernel tests/e2e/test_outputs.py

.PHONY: help setup run test unit test-kernel test-vm check format bench bench-udp lock clean wheel

help:
	@sed -n 's/^# make/make/p' Makefile
	@echo 'make unit          tests that need neither root nor a kernel'
	@echo 'make test-kernel   tests of the programs on this kernel, as root'
	@echo 'make test-vm KERNEL=6.1|6.12|7.2   the same inside a virtual machine'
	@echo 'make check         format, lint, types, generated files'
	@echo 'make format        format and sort imports'
	@echo 'make bench         every benchmark; bench-udp: the UDP output alone'
	@echo 'make lock          renew requirements.lock from pyproject.toml'
	@echo 'make wheel         dist/*.whl, BPF objects inside'

setup:
	@PYTHON=$(PYTHON) scripts/setup.sh

run: setup
	@echo 'Every process that starts or ends on this host. Ctrl-C ends it. In another terminal:'
	@echo '  $(BIN)/tetra getevents -o compact'
	@$(BIN)/tetragon --export-stdout --log-level=warn

test: setup unit test-kernel

unit: setup
	$(BIN)/pytest -q tests/unit

test-kernel: setup
	$(BIN)/pytest -q $(KERNEL_TESTS)

test-vm: setup
	$(BIN)/python scripts/vm.py --kernel $(KERNEL) -- $(BIN)/pytest -q -p no:cacheprovider $(VM_TESTS)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/python scripts/gen_abi.py --check
	$(BIN)/python scripts/gen_api.py --check
	$(BIN)/python scripts/gen_flags.py --check

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only .

bench: setup
	$(BIN)/python bench/run.py

bench-udp: setup
	$(BIN)/python bench/udp.py

lock: setup
	$(BIN)/python -m pip install -q uv
	$(BIN)/uv pip compile -q --universal --generate-hashes --all-extras --upgrade \
		--no-header -o requirements.lock pyproject.toml

wheel: setup
	$(BIN)/python -m pip wheel -q --no-deps -w dist .

clean:
	rm -rf build dist .venv .cache src/tetragon/sensor/objects src/tetragon/kernel/_libbpf*.so
