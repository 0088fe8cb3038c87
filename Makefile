# Needs python3 (3.11 or later, with venv) and make; everything else comes into .venv.
PYTHON ?= python3
BIN := .venv/bin
BENCH ?= small
# What pytest shall run and how; `make test TESTS=tests/engine SELECT=slow`
TESTS ?= tests
SELECT ?= not slow
# One more than cores: some tests wait
JOBS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
ARGS ?=

.PHONY: help run test bench lint screenshots messages
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

run: .venv/.installed-run ## start everything (PORT=8000, DATA=./var); Ctrl-C stops it
	@exec $(BIN)/python manage.py up

test: .venv/.installed-dev ## all tests but the slow ones
	@$(BIN)/python -m pytest -q -rs -n $(JOBS) --maxprocesses 4 --dist worksteal -m '$(SELECT)' $(ARGS) $(TESTS)

bench: .venv/.installed-dev ## measurements beside other tools (BENCH=small or full)
	@BENCH=$(BENCH) $(BIN)/python -m bench

lint: .venv/.installed-dev ## ruff and the import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-logo

screenshots: .venv/.installed-dev ## every page, light, dark and narrow, into docs/screenshots (needs chromium)
	@mkdir -p docs/screenshots
	@SCREENSHOTS=$(CURDIR)/docs/screenshots $(BIN)/python -m pytest -q tests/web/test_pages.py tests/web/test_moves.py

messages: .venv/.installed-dev ## brings the German catalogue up to date
	@DEBUG=1 $(BIN)/python -m tests.web.messages

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than 3.11: name a newer one, as in make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) cannot make virtual environments: install its venv package (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@$(PYTHON) -m venv .venv

# The stamps keep the requirements they were made from: a touched file installs nothing, a changed one does.
.venv/.installed-run: .venv/bin/python requirements.txt
	@cmp -s requirements.txt $@ || { echo "Installing into .venv …" && $(BIN)/python -m pip install -q --disable-pip-version-check -r requirements.txt; }
	@cp requirements.txt $@

.venv/.installed-dev: .venv/bin/python requirements.txt requirements-dev.txt
	@cat requirements.txt requirements-dev.txt | cmp -s - $@ || { echo "Installing into .venv …" && $(BIN)/python -m pip install -q --disable-pip-version-check -r requirements-dev.txt; }
	@cat requirements.txt requirements-dev.txt > $@
