# Needs git, make, Python 3.11 to 3.13 and a JDK 17 or 21; installs everything else into .venv and .tandem-jars.
.DEFAULT_GOAL := help
.PHONY: help demo test check down clean install lock

# The Python that makes .venv: the one an existing .venv has, else the first fit on PATH. PYTHON=... decides otherwise.
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
PYTHON ?= $(firstword $(shell for p in .venv/bin/python python3 python3.13 python3.12 python3.11; do \
	"$$p" -c "$(FITS)" 2>/dev/null && echo "$$p"; done))
NO_PYTHON = tandem: no Python 3.11, 3.12 or 3.13 found: install one, or name it: make demo PYTHON=/path/to/python3.12
BIN := .venv/bin
# Each process has servers of its own, about 3 GB in all; much of a test is waiting, so three keep two cores busy.
TEST_PROCESSES ?= 3

help:  ## List what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: install  ## Replay three days of real orders through everything, print the result, leave it running
	@$(BIN)/tandem demo $(ARGS)

test: install  ## Run the whole test suite (ARGS="-k late" picks tests)
	@$(BIN)/pytest --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder $(ARGS)

check: install  ## Lint, formatting, types, import rules, and that pyspark and its client are one version
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m tandem.local.pyspark_pair

down:  ## Stop everything that runs
	@if [ -x $(BIN)/tandem ]; then $(BIN)/tandem down --all; else echo "nothing is installed, so nothing runs"; fi

clean:  ## Stop everything and delete all data and all that was installed
	@if [ -x $(BIN)/tandem ]; then $(BIN)/tandem down --all --delete-data; fi
	@rm -rf .venv .tandem .tandem-jars .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

install:  ## Install into .venv, and the JVM parts; at once when nothing changed
	@$(if $(PYTHON),,$(error $(NO_PYTHON)))command -v "$(PYTHON)" >/dev/null || { echo "$(NO_PYTHON)" >&2; exit 1; }
	@"$(PYTHON)" bootstrap.py
	@$(BIN)/python -m tandem.local.jars
	@$(BIN)/python -m spark_jobs.submit_defaults

lock:  ## Write the lock files anew (delete requirements.lock first to upgrade everything)
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" --extra dev pyproject.toml --output-file requirements.lock
	@echo uv | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" - --output-file requirements.bootstrap.lock
	@! grep -nE '://|^--(index|extra|find)' requirements.lock requirements.bootstrap.lock
