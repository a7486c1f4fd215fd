# A newcomer needs only `make demo` and `make test`, and Python 3.11 to 3.13 with pip, or uv, which is faster.
# Both create an environment in .venv at the first call.

VENV ?= .venv
PYTEST_ARGS ?=
# A complete run, TVB's bits, web pages, security, catalogue, spec and command line.
LOWEST := tests/unit/spec/test_simulation.py tests/unit/catalogue/test_catalogue.py tests/unit/web/test_web.py tests/faults/test_hostile.py tests/unit/cli/test_cli.py \
    tests/unit/job/test_run.py::test_the_seed_simulation_equals_tvbs_own_run_bit_for_bit \
    tests/integration/test_system.py::test_run_does_a_sweep_on_embedded_defaults_and_leaves_no_process
# Rooms with slow tests.
SLOW := $(addprefix tests/unit/,api engines h5 job tools)
# Number of parallel tests; 0 runs them in one process, for a debugger.
PYTEST_WORKERS ?= auto

# No thread pools of numeric libraries: they would compete with the worker processes for the cores.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1
export MKL_NUM_THREADS ?= 1
export NUMBA_NUM_THREADS ?= 1

UV := $(shell command -v uv 2>/dev/null)
# The first Python on the PATH that starts and is new enough; a version manager's shim may fail.
find_python = $(shell for name in python3.11 python3.12 python3.13 python3; do \
    $$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && { echo $$name; break; }; done)
PYTHON ?= $(or $(find_python),$(if $(UV),3.11))
BIN := $(VENV)/bin

ifdef UV
  make_venv = uv venv --quiet --clear --python $(PYTHON) $(VENV)
  install = uv pip install --quiet --python $(BIN)/python --compile-bytecode
else
  make_venv = $(PYTHON) -m venv --clear $(VENV)
  # --compile: bytecode even where PYTHONDONTWRITEBYTECODE is set; TVB starts twice as slowly without it.
  install = $(BIN)/python -m pip install --quiet --disable-pip-version-check --compile
endif

.PHONY: audit bench help demo test test-fast test-lowest lint check-compose env constraints clean
.DEFAULT_GOAL := help

help:  ## List the targets.
	@sed -n 's/^\([a-z-]*\):.*## */\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

demo: $(VENV)/.run  ## Run the seed simulation and a 2 x 3 sweep through a real Redis and real workers.
	$(BIN)/tvb-batch run examples/jansen_rit.yaml
	$(BIN)/tvb-batch run examples/sweep.yaml

test: lint  ## Run linters, types, the spelling check and all tests. PYTEST_ARGS="tests/unit/spec/test_simulation.py -x" selects tests.
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist loadgroup $(PYTEST_ARGS)

test-fast: $(VENV)/.test  ## Run the quick half of the unit tests, within a minute; no PostgreSQL, no browser.
	$(BIN)/python -m pytest -q -n $(PYTEST_WORKERS) --dist loadgroup -m "not slow and not postgres and not browser" \
	    $(filter-out $(SLOW),$(wildcard tests/unit/*)) $(PYTEST_ARGS)

test-lowest:  ## Run a short set of tests with the lowest versions that pyproject.toml allows; needs uv.
	rm -rf build/lowest && uv venv --quiet --python $(PYTHON) build/lowest
	uv pip install --quiet --python build/lowest/bin/python --resolution lowest-direct \
	    -e '.[test,postgres,web,metrics,notebook]' 'httpx>=0.27'
	build/lowest/bin/python -m pytest $(LOWEST)

bench: $(VENV)/.test  ## Print one table of all benchmarks; each row is compared with a baseline of the same run.
	$(BIN)/python -m benchmarks

lint: $(VENV)/.test  ## Run only linters, types and the spelling check.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell . .ci/ .github/

audit:  ## Check the pinned dependencies for known vulnerabilities; needs the network.
	bash scripts/audit.sh $(PYTHON) || [ $$? = 77 ]  # 77: the list does not answer, skipped

check-compose: $(VENV)/.run-postgres  ## Start the Compose stack, kill workers, and check every result.
	VENV=$(VENV) bash scripts/check-compose.sh || [ $$? = 77 ]  # 77: no Docker engine, skipped

env:  ## Write .env with random passwords for docker-compose.yml.
	@bash scripts/make_env.sh

constraints:  ## Resolve all dependencies again and pin them: names and versions, no addresses.
	rm -rf build/resolve && $(or $(PYTHON),python3) -m venv build/resolve
	build/resolve/bin/pip install --quiet '.[test,postgres,web,metrics,gui-test,browser-test]'
	{ echo '# Versions that are known to work together. Made by `make constraints`.'; \
	  build/resolve/bin/pip freeze --exclude tvb-batch; } > constraints.txt
	rm -rf build/resolve

clean:  ## Remove the environment and the caches of tools.
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed; none is on the PATH" >&2; exit 1; }
	$(make_venv)

$(VENV)/.run: pyproject.toml constraints.txt | $(BIN)/python
	$(install) -c constraints.txt -e .
	@touch $@

$(VENV)/.run-postgres: pyproject.toml constraints.txt | $(BIN)/python
	$(install) -c constraints.txt -e '.[postgres]'
	@touch $@ $(VENV)/.run

$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/python
	$(install) -c constraints.txt -e '.[test,postgres,web,metrics,gui-test,browser-test]'
	@touch $@ $(VENV)/.run $(VENV)/.run-postgres
