# make uplift   set up, train on real loans across three processes, and write the uplift report
# make test     set up and pass the tests
# make help     the rest

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help env uplift test bench-env check lock clean

help:
	@sed -n 's/^# //p' Makefile

env: .venv/core.stamp

.venv/core.stamp: requirements/core.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(PIP) install --no-compile --require-hashes -r requirements/core.lock
	$(PIP) install --no-compile --no-deps --editable .
	$(BIN)/python -m experiments warm
	@echo "environment: $$(du -sm .venv | cut -f1) MB in .venv"
	@touch $@

.venv/dev.stamp: requirements/dev.lock .venv/core.stamp
	$(PIP) install --no-compile --require-hashes -r requirements/dev.lock
	@touch $@

uplift: env
	$(BIN)/python -m experiments run experiments/scenarios/csx.toml --out out/uplift --fresh

test: .venv/dev.stamp
	$(BIN)/python -m pytest -n 2 --dist loadfile

# make bench-env   what the benchmarks need besides (XGBoost); make test installs it too
bench-env: .venv/dev.stamp

# make check    style, types and layers
check: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# make lock     resolve the dependencies anew (needs uv)
LOCK := uv pip compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
	--python-version 3.11 --universal pyproject.toml
lock:
	$(LOCK) -o requirements/core.lock
	$(LOCK) --extra bench --extra dev -o requirements/dev.lock

# make clean    remove what runs left behind; the environment and downloads stay
clean:
	rm -rf out dist build
