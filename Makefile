# Everything a day needs. `make` alone lists it. Only Python 3.11 or newer, git and make.

VENV := .venv
BIN := $(VENV)/bin
NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))'
# The newest Python from 3.11 on; `make run PYTHON=/path/to/python` chooses another.
PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 python3.11 python3 python; do \
	$$p $(NEW_ENOUGH) 2>/dev/null && { echo $$p; break; }; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
# A lock file that changed has another checksum, so its stamp is missing and it is installed.
RUN_STAMP := $(VENV)/run-$(shell cat requirements/run.lock requirements/local.lock pyproject.toml | cksum | cut -d' ' -f1)
DEV_STAMP := $(VENV)/dev-$(shell cat requirements/*.lock pyproject.toml | cksum | cut -d' ' -f1)
CHECKED := antiphon tests docs requirements bench training examples

.DEFAULT_GOAL := help
.PHONY: help setup run test check format docs bench bench-full bench-rivals bench-tools bench-plots bench-stages bench-check chaos clients fuzz train lock clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(DEV_STAMP) ## the environment for working on the code, from the lock files

run: $(RUN_STAMP) ## start the server; options in ARGS="--port 9000"
	@exec $(BIN)/antiphon serve $(ARGS)

test: check ## every check and every test
	$(BIN)/python -m pytest $(ARGS)

check: $(DEV_STAMP) ## formatting, lint, types
	$(BIN)/ruff format --check $(wildcard $(CHECKED))
	$(BIN)/ruff check $(wildcard $(CHECKED))
	$(BIN)/mypy

format: $(DEV_STAMP) ## write the code the way `check` wants it
	$(BIN)/ruff format $(wildcard $(CHECKED))
	$(BIN)/ruff check --fix $(wildcard $(CHECKED))

docs: $(DEV_STAMP) ## write the generated reference pages again
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/differences.py
	$(BIN)/python -m tests.open_responses.page

bench: $(RUN_STAMP) ## our speed beside a plain proxy and the rivals that are installed, in 5 minutes
	$(BIN)/python -m bench $(ARGS)

bench-full: $(RUN_STAMP) ## the same with more rounds and longer streams
	$(BIN)/python -m bench --full $(ARGS)

bench-rivals: $(RUN_STAMP) ## install other projects' servers to compare with (1.5 GB, not in this folder)
	$(BIN)/python -m bench.rivals install $(ARGS)

bench-tools: | $(BIN)/python
	@test -x .venv-bench/bin/python || $(BIN)/python -m venv .venv-bench
	@.venv-bench/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/bench.lock

# RESULT=file: another than the newest.
RESULT ?= $(lastword $(sort $(wildcard bench/results/*.json)))
bench-plots: bench-tools ## charts of the newest results file
	.venv-bench/bin/python -m bench.plots $(RESULT) docs/explanation/performance

bench-stages: $(RUN_STAMP) bench-tools ## CPU time by stage, from a profiler
	$(BIN)/python -m bench.stages $(ARGS)

bench-check: $(RUN_STAMP) ## instructions a request takes, beside its budget (valgrind, a minute)
	$(BIN)/python -m bench.check $(ARGS)

chaos: $(DEV_STAMP) ## kill, freeze and restart everything under load, weigh it; writes its tables (12 minutes)
	$(BIN)/python -m tests.chaos $(ARGS)

clients: $(DEV_STAMP) ## install every client and run it against a new server; some: ARGS="openai codex"
	$(BIN)/python -m tests.clients $(ARGS)

fuzz: $(DEV_STAMP) ## draw 1,000 requests for every operation of the OpenAPI document; no answer may break it
	FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-500} $(BIN)/python -m pytest tests/openapi/test_fuzz.py $(ARGS)

train: $(RUN_STAMP) ## make the demo model again (numpy and torch go to .venv-train)
	@test -x .venv-train/bin/python || $(PYTHON) -m venv .venv-train
	.venv-train/bin/python -m pip install -q -r training/requirements.txt
	.venv-train/bin/python -m training.run $(ARGS)

lock: $(DEV_STAMP) ## resolve the lock files again (ARGS=--upgrade: newest versions)
	$(PIP) install -q uv
	$(BIN)/python requirements/refresh.py $(ARGS)

clean: ## remove the environment and everything generated
	rm -rf $(VENV) .venv-train .venv-bench .venv-clients build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis bench/.build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Antiphon needs Python 3.11 or newer; found none on the PATH." >&2; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.12 run" >&2; exit 1; }
	@$(PYTHON) $(NEW_ENOUGH) || { echo "Antiphon needs Python 3.11 or newer; $(PYTHON) is not." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Could not create $(VENV)." \
		"On Debian and Ubuntu this needs the package python3-venv." >&2; exit 1; }

$(RUN_STAMP): | $(BIN)/python
	@$(BIN)/python $(NEW_ENOUGH) || { \
		echo "The Python in $(VENV) is older than 3.11. Remove it with: make clean" >&2; exit 1; }
	@echo "Installing what the server needs into $(VENV) (once; about 200 MB) …"
	@$(PIP) install -q --require-hashes -r requirements/run.lock
	@$(PIP) install -q --require-hashes --only-binary :all: -r requirements/local.lock || \
		echo "No embedded engine for this machine: start with ARGS='--upstream http://HOST:PORT/v1'." >&2
	@$(PIP) install -q --no-deps --no-build-isolation -e .
	@rm -f $(VENV)/run-* && touch $@

$(DEV_STAMP): $(RUN_STAMP)
	@$(PIP) install -q --require-hashes -r requirements/dev.lock
	@rm -f $(VENV)/dev-* && touch $@
