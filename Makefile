# awe: every command sets up what it needs in .venv (with uv if it is there, else pip).
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
AWE := $(BIN)/awe --home $(or $(HOME_FOLDER),.demo)
UV := $(shell command -v uv 2>/dev/null)
INSTALL = $(if $(UV),UV_PYTHON_DOWNLOADS=never $(UV) pip install -q --python $(BIN)/python,$(BIN)/python -m pip install -q --disable-pip-version-check)

SERVE ?= 1
DATA ?=
PORT ?= 8000
TESTS ?= tests
WORKERS ?= 2

.PHONY: help demo test lint types contracts bench docs serve lock migration clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.installed ## observe a simulated night (or DATA=DIR of raw frames), make all products, serve the site (SERVE=0: end instead)
	$(AWE) demo $(if $(DATA),--data "$(DATA)") $(if $(filter 0,$(SERVE)),--no-serve) --port $(PORT)

test: $(VENV)/.installed-dev ## run the test suite on SQLite and PostgreSQL (TESTS=path, WORKERS=n, SLOW=1: real nights and 20 kills too)
	$(BIN)/python -m pytest -q -n $(WORKERS) $(if $(SLOW),,-m "not slow") $(TESTS)

lint: $(VENV)/.installed-dev types contracts ## check style, types and the direction of imports
	$(BIN)/ruff check awe benchmarks dataservers migrations tests
	$(BIN)/ruff format --check awe benchmarks dataservers migrations tests

types: $(VENV)/.installed-dev
	$(BIN)/mypy

contracts: $(VENV)/.installed-dev
	$(BIN)/lint-imports

bench: $(VENV)/.installed-dev ## measure beside the peers that are installed, and write docs/benchmarks.md and .json
	$(BIN)/python -m benchmarks --write-docs

docs: $(VENV)/.installed-dev ## write the generated reference pages again
	$(BIN)/python -m awe.cli.reference docs/reference/cli.md
	$(BIN)/python -m awe.instruments.reference docs/howto/add-an-instrument.md
	$(BIN)/python -m awe.model.reference_pages docs/reference/classes.md docs/reference/settings.md
	$(BIN)/python -m awe.services.reference docs/reference/pages.md

serve: $(VENV)/.installed ## serve the site of the demo
	$(AWE) serve

lock: $(VENV)/.installed-dev ## pin all dependencies again (needs uv)
	$(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url --extra notebook pyproject.toml -o requirements.lock
	$(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url --extra dev pyproject.toml -o requirements-dev.lock

migration: $(VENV)/.installed-dev ## write a migration from the difference between models and migrations (MESSAGE=...)
	$(BIN)/python -m migrations "$(MESSAGE)"

clean: ## remove all that was made here
	rm -rf $(VENV) .demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(if $(UV),UV_PYTHON_DOWNLOADS=never $(UV) venv -q --python $(PYTHON) $(VENV),$(PYTHON) -m venv $(VENV))

$(VENV)/.installed: requirements.lock pyproject.toml | $(BIN)/python
	$(INSTALL) --require-hashes -r requirements.lock
	$(INSTALL) --no-deps -e .
	touch $@

$(VENV)/.installed-dev: requirements-dev.lock pyproject.toml | $(VENV)/.installed
	$(INSTALL) --require-hashes -r requirements-dev.lock
	touch $@
