# Everything happens in .venv, which is made from the hashed lock file alone.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=
# The tests start hundreds of processes, and none of them should compile what another one has compiled.
unexport PYTHONDONTWRITEBYTECODE
# Much of the time tests wait for processes and timeouts: three at a time suit two cores.
PARALLEL := -n 3 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup run check test prove bench lock clean

help: ## say what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

setup: $(VENV)/.ready

$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=…"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@# What is used is compiled when it is first used: the rest would take longer than that.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: setup ## start Bailiwick; flags go in ARGS="--port 9000 --data-dir DIR"
	@exec $(BIN)/bailiwick serve $(ARGS)

check: setup ## the fast loop: format, lint, types, layers, quick tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/basedpyright
	$(BIN)/lint-imports
	$(BIN)/pytest -q $(PARALLEL) -m "not slow and not proof and not alone"

test: setup ## the whole suite, long trials at a tenth
	$(BIN)/pytest -m alone
	$(BIN)/pytest $(PARALLEL) -m "not alone"

prove: setup ## every trial at full length; figures go to bench/
	PROVE=1 $(BIN)/pytest -m proof --timeout 7200

bench: setup ## measure against nginx and the peers; writes bench/README.md
	$(BIN)/python -m bench $(ARGS)

lock: ## resolve dependencies anew into requirements.lock (needs uv)
	uv pip compile --group dev pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade -o requirements.lock

clean: ## remove what was made here, but no data
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
