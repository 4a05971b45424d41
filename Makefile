# On a new machine, `make demo` and `make test` set up the environment first.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
OUT ?= runs/demo

.PHONY: setup demo test test-long cluster-test check mutants bench chaos simulate services services-stop clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: setup
	$(BIN)/sonogrid demo --out $(OUT)

test: setup
	$(BIN)/python -m pytest

test-long: setup
	$(BIN)/python -m pytest -m long

cluster-test: setup
	$(BIN)/python -m pytest -m cluster tests/whole/cluster

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python .ci/audit.py

# What the tests of a module do not notice: make mutants MODULE=orchestrator/store/base.py SAMPLE=0
MODULE ?= orchestrator/store/base.py
SAMPLE ?= 80
mutants: setup
	OMP_NUM_THREADS=1 nice $(BIN)/python -m tests.mutants $(MODULE) --sample $(SAMPLE)

bench: setup
	$(BIN)/python -m benchmarks

# Kills processes of a running grid at random: make chaos SEED=3 KILLS=100 DRIVERS=2
SEED ?= 0
KILLS ?= 30
DRIVERS ?= 1
chaos: setup
	$(BIN)/python -m tests.whole.chaos.chaos --seed $(SEED) --kills $(KILLS) --drivers $(DRIVERS)

# Histories of the store's protocol with random faults, in virtual time: make simulate SEEDS=100000 FIRST=0
SEEDS ?= 10000
FIRST ?= 0
simulate: setup
	$(BIN)/python -m tests.simulator --seeds $(SEEDS) --first $(FIRST)

# PostgreSQL and an S3 endpoint on localhost; then: source runs/services/environment
services: setup
	$(BIN)/python -m orchestrator.services start

services-stop: setup
	$(BIN)/python -m orchestrator.services stop

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache
