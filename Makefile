# make uplift   set up, train on real loans across three processes, and write the uplift report
# make test     set up and pass the tests
# make partner-bundle   the wheel for partners, with its lock and checksums, in dist/partner
# make help     the rest

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help env partner-bundle uplift test test-slow test-report bench-env flower-env test-flower simulate torch-env test-torch learn check lock clean

help:
	@sed -n 's/^# //p' Makefile

env: .venv/core.stamp .venv-partner/stamp

.venv/core.stamp: requirements/core.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(PIP) install --no-compile --require-hashes -r requirements/core.lock
	$(PIP) install --no-compile --no-deps --editable .
	$(BIN)/python -m experiments warm
	@echo "environment: $$(du -sm .venv | cut -f1) MB in .venv"
	@touch $@

# The partners' environment: a wheel of two packages, what they import, and nothing of the above.
BUNDLED := $(shell find protocol partner_node bundle -type f ! -name '*.pyc' ! -name '*.nb?' ! -path '*/__pycache__/*')

partner-bundle: .venv/core.stamp
	$(BIN)/python bundle/make_wheel.py

.venv-partner/stamp: $(BUNDLED) requirements/partner.lock requirements/build.lock | .venv/core.stamp
	$(BIN)/python bundle/make_wheel.py
	$(BIN)/python bundle/make_environment.py .venv-partner
	@touch $@

.venv/dev.stamp: requirements/dev.lock .venv/core.stamp
	$(PIP) install --no-compile --require-hashes -r requirements/dev.lock
	@touch $@

uplift: env
	$(BIN)/python -m experiments run experiments/scenarios/csx.toml --out out/uplift --fresh

# The drawn examples are the same in every run, so that a failure is of this change; test-slow draws new ones.
test: .venv/dev.stamp env
	$(BIN)/python -m pytest -n 2 --dist loadfile -m 'not slow' --hypothesis-seed 0

# make test-slow   10,000 hostile bodies of every message kind (FEDWARN_EXAMPLES), what else takes minutes, and new examples
test-slow: .venv/dev.stamp env
	$(BIN)/python -m pytest -m slow
	$(BIN)/python -m pytest -n 2 --dist loadfile -m 'not slow' $$(grep -lr hypothesis --include='test_*.py' tests)

# make test-report   look at every page in headless Chromium (FEDWARN_CHROMIUM, or the one on the path)
test-report: .venv/dev.stamp
	$(BIN)/python -m pytest tests/experiments/pages tests/bank_node/report/test_page.py

# make bench-env   what the benchmarks need besides (XGBoost); make test installs it too
bench-env: .venv/dev.stamp

# make flower-env    an environment of its own with Flower and Ray, whose pins are older than ours
flower-env: .venv-flower/stamp

.venv-flower/stamp: requirements/flower.lock pyproject.toml
	$(PYTHON) -m venv .venv-flower
	.venv-flower/bin/pip --disable-pip-version-check --quiet install --no-compile --require-hashes -r requirements/flower.lock
	.venv-flower/bin/pip --disable-pip-version-check --quiet install --no-compile --no-deps --editable .
	.venv-flower/bin/python -m experiments warm
	@touch $@

# make test-flower   the transport on Flower's simulation and deployment engines
test-flower: flower-env
	.venv-flower/bin/python -m pytest tests/flower --timeout 600

# make simulate   a made-up scenario on Flower's simulation engine: 20,000 companies, a bank, a real-estate partner
simulate: flower-env
	.venv-flower/bin/python -m experiments run experiments/scenarios/beijing-real-estate.toml --transport flower \
		--out out/simulate --fresh

# make torch-env     an environment of its own with PyTorch and Flower, for columns learned from events and graphs
torch-env: .venv-torch/stamp

# torch has no hash, since an index may hold its CPU or its CUDA build; what the latter needs besides comes with it.
.venv-torch/stamp: requirements/torch.lock pyproject.toml
	@date +%s > .torch-began
	$(PYTHON) -m venv .venv-torch
	grep -v '^torch==' requirements/torch.lock > .torch-hashed.lock
	.venv-torch/bin/pip --disable-pip-version-check --quiet install --no-compile --require-hashes -r .torch-hashed.lock
	.venv-torch/bin/pip --disable-pip-version-check --quiet install --no-compile "$$(grep '^torch==' requirements/torch.lock)"
	.venv-torch/bin/pip --disable-pip-version-check --quiet install --no-compile --no-deps --editable .
	.venv-torch/bin/python -m experiments warm
	@echo "environment: $$(du -sm .venv-torch | cut -f1) MB in .venv-torch, $$(( $$(date +%s) - $$(cat .torch-began) )) s"
	@rm -f .torch-began .torch-hashed.lock
	@touch $@

# make test-torch    columns learned from events and graphs
test-torch: torch-env
	.venv-torch/bin/python -m pytest tests/partner_node/encoders tests/torch --timeout 600

# make learn    one demonstration to its report: call events of 20,000 customers, hand aggregates beside learned columns
learn: torch-env
	.venv-torch/bin/python -m experiments run experiments/scenarios/telecom-events.toml --out out/learn --fresh

# make check    style, types and layers
check: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# make lock     resolve the dependencies anew (needs uv)
LOCK := uv pip compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
	--python-version 3.11 --universal
lock:
	$(LOCK) pyproject.toml -o requirements/core.lock
	$(LOCK) pyproject.toml --extra bench --extra ckks --extra paillier --extra postgres --extra dev -o requirements/dev.lock
	$(LOCK) pyproject.toml --extra flower --extra flower-test -o requirements/flower.lock
	$(LOCK) pyproject.toml --extra flower --extra flower-test --extra torch -c requirements/flower.lock -o requirements/torch.lock
	awk '/^[a-z]/ {cuda = /^(torch|nvidia-|cuda-|triton)/} /^torch==/ {print $$1} !cuda' requirements/torch.lock > .torch.lock
	mv .torch.lock requirements/torch.lock
	$(LOCK) bundle/pyproject.toml --constraint requirements/core.lock -o requirements/partner.lock
	sed -n 's/^requires = \["\(.*\)"\]/\1/p' bundle/pyproject.toml | $(LOCK) - -o requirements/build.lock

# make clean    remove what runs left behind; the environments and downloads stay
clean:
	rm -rf out dist build
