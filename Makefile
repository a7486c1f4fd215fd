# `make demo` and `make test` need Python 3.11 to 3.13 with pip, and nothing else; uv is used when it is there.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= 2
PYTEST_ARGS ?=

# One simulation runs in one thread; the tests run them in this process too.
export OMP_NUM_THREADS = 1
export OPENBLAS_NUM_THREADS = 1
export MKL_NUM_THREADS = 1
export NUMBA_NUM_THREADS = 1

.PHONY: demo test lint constraints env clean

demo: $(VENV)/.demo
	$(BIN)/tvb-batch run examples/jansen_rit.yaml --workers $(WORKERS)
	$(BIN)/tvb-batch run examples/sweep.yaml --workers $(WORKERS)
	$(BIN)/tvb-batch list --limit 7

test: lint
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/.demo: pyproject.toml constraints.txt
	$(call install,.)
	touch $@

$(VENV)/.test: pyproject.toml constraints.txt
	$(call install,.[test,postgres,gui-test])
	touch $@ $(VENV)/.demo

# What every process imports is compiled once here: where PYTHONDONTWRITEBYTECODE is set nobody else would, and each
# worker would take twice as long to start.
define install
	if command -v uv >/dev/null; then \
	  test -x $(BIN)/python || uv venv --quiet --python $(PYTHON) $(VENV); \
	  uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '$(1)'; \
	else \
	  test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '$(1)'; \
	fi
	$(BIN)/python -m compileall -q -j 0 $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') >/dev/null || true
endef

# Pin what a fresh environment resolves to: names and versions, nothing of where they came from.
constraints:
	rm -rf $(VENV)-constraints && $(PYTHON) -m venv $(VENV)-constraints
	$(VENV)-constraints/bin/python -m pip install --quiet '.[test,postgres,gui-test]'
	$(VENV)-constraints/bin/python -m pip freeze --exclude tvb-batch | grep -E '^[A-Za-z0-9._-]+==' > constraints.txt
	rm -rf $(VENV)-constraints

# Passwords for `docker compose`, made once.
env: .env
.env:
	printf 'REDIS_PASSWORD=%s\nPOSTGRES_PASSWORD=%s\n' $$(openssl rand -hex 24) $$(openssl rand -hex 24) > $@
	chmod 600 $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
