# `make demo` and `make test` need python3 (3.11 or newer), python3-venv and make; nothing else.

PYTHON  ?= python3
VENV    ?= .venv
DATA    ?= examples/data
SECONDS  = 15
WORKERS ?= 2

BIN := $(VENV)/bin
PY  := $(BIN)/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet install

BENCHMARKS = $(filter-out compare yardstick,$(basename $(notdir $(wildcard benchmarks/*.py))))

.DEFAULT_GOAL := help
.PHONY: help demo test test-long test-crash test-nightly check format mutants clean
.PHONY: bench bench-quick bench-parts

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s  %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.demo ## watch DATA=folder for SECONDS=15 (0: until Ctrl-C), and work on its files
	$(PY) examples/watch_folder.py "$(DATA)" --seconds "$(SECONDS)"

test: $(VENV)/.test ## run the tests, WORKERS=2 at a time
	$(PY) -m pytest -q -n $(WORKERS)

test-long: $(VENV)/.test ## run the tests that take longer
	$(PY) -m pytest -q -m long
	ASYNCFLOW_FROZEN= $(PY) -m pytest -q -n $(WORKERS) tests/core tests/store

test-crash: $(VENV)/.test ## kill, fail, cancel and exhaust, for some minutes
	$(PY) -m pytest -q -m crash -n $(WORKERS) --dist worksteal

test-nightly: $(VENV)/.test ## the same for hours
	$(PY) -m pytest -q -m nightly

check: $(VENV)/.dev ## everything that must pass before a change is in
	@echo "== format"
	$(BIN)/ruff format --check .
	@echo "== lint"
	$(BIN)/ruff check .
	@echo "== mypy"
	$(BIN)/mypy --strict
	@echo "== pyright"
	$(BIN)/pyright --pythonpath $(PY)
	@echo "== wrong calls"
	$(PY) tools/wrong_calls.py
	@echo "== test"
	@$(MAKE) --no-print-directory test

format: $(VENV)/.dev ## format, and mend what the linter can mend
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: $(VENV)/.demo ## compare with a bare program and other systems, in 30 minutes; goes on where it stopped
	$(PY) -m benchmarks.compare $(BENCH)

bench-quick: $(VENV)/.demo ## compare with a bare program only, in 2 minutes; begins anew when done
	$(PY) -m benchmarks.compare --quick $(BENCH)

# 130 is Ctrl-C: then no other part begins.
bench-parts: $(VENV)/.demo ## measure single parts, one after the other, in 25 minutes
	@failed=0; for name in $(BENCHMARKS); do echo "== $$name"; \
	$(PY) -m benchmarks.$$name || { [ $$? -ne 130 ] || exit 130; failed=1; }; done; exit $$failed

mutants: $(VENV)/.test ## break the core on purpose; the tests must notice
	$(PY) tools/mutants

clean: ## remove environments, caches and build output
	rm -rf .venv .venv-* build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp says what is installed. The install is editable, so that no run sees an older copy of the
# package; each stamp covers those before it, so that nothing is installed twice.
$(VENV)/.made:
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: pyproject.toml | $(VENV)/.made
	$(PIP) --editable .
	@touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/.made
	$(PIP) --editable '.[test]'
	@touch $(VENV)/.demo $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.made
	$(PIP) --editable '.[dev]'
	@touch $(VENV)/.demo $(VENV)/.test $@
