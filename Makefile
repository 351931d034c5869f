# Everything here works in environments of its own, made under .venv-test and .venv-demo; nothing else is touched.
# PYTHON picks the interpreter they are made from: `make test PYTHON=python3.12`.

PYTHON ?= python3
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

TEST := .venv-test/bin
DEMO := .venv-demo/bin

.PHONY: help venv demo test notebooks docs lint bench-planner bench-simulator bench-whatif bench-report bench-executor bench-gpu clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: .venv-test/installed ## the development environment, .venv-test
	@echo "Ready: source .venv-test/bin/activate"

demo: .venv-demo/installed ## plan, simulate and run the toy model; results in out/demo
	$(DEMO)/blockcascade demo -o out/demo

# A process for each core, up to eight; a file's tests stay together, as they share what they have made.
test: lint ## all checks, then the tests that need no GPU
	$(TEST)/python -m pytest -q -n auto --maxprocesses 8 --dist worksteal -m "not gpu and not alone"
	$(TEST)/python -m pytest -q -m alone

# The environment's own kernel, whatever others the user has; executed copies, with their pictures, go to out/notebooks.
notebooks: .venv-test/installed ## execute the notebooks; some 2 minutes, results in out/notebooks
	mkdir -p out/notebooks
	JUPYTER_PREFER_ENV_PATH=1 $(TEST)/jupyter execute --timeout=300 --output='../out/notebooks/{notebook_name}' notebooks/*.ipynb

docs: .venv-test/installed ## build the docs into build/site; nothing is fetched
	NO_MKDOCS_2_WARNING=1 $(TEST)/python -m mkdocs build --strict --quiet

LEFT := codemirror_mode file_extension mimetype nbconvert_exporter pygments_lexer version
strip: .venv-test/installed ## take outputs and marks of tools out of the notebooks, as git has them
	$(TEST)/nbstripout --keep-id --extra-keys '$(addprefix metadata.language_info.,$(LEFT))' notebooks/*.ipynb

lint: .venv-test/installed ## ruff, mypy and the import contracts
	$(TEST)/ruff check .
	$(TEST)/ruff format --check .
	$(TEST)/mypy
	$(TEST)/lint-imports

bench-planner: .venv-bench/installed ## the planner against its goals and against other schedulers; some 10 minutes
	.venv-bench/bin/python -m tests.benchmarks.planner

bench-simulator: .venv-test/installed ## many simulated runs at once, against the goal and against one by one; half a minute
	$(TEST)/python -m tests.benchmarks.simulator

bench-whatif: .venv-test/installed ## a thousand what-if points against the goal, and how far they are from plans; some 2 minutes
	$(TEST)/python -m tests.benchmarks.whatif

bench-report: .venv-test/installed ## how fluid the report of 10,000 actions is in a browser; half a minute, wants chromium
	$(TEST)/python -m tests.benchmarks.report

bench-executor: .venv-test/installed ## two ranks against one, the executor's own time, forecasts against runs; some 2 minutes
	OMP_NUM_THREADS=1 $(TEST)/python -m tests.benchmarks.executor

# Where the pinned torch does not suit the driver: another Python's `-m tests.benchmarks.gpu`, with blockcascade[run].
bench-gpu: .venv-test/installed ## models' shapes timed on the first GPU, and profiles to plan by; under 10 minutes, nothing without a GPU
	$(TEST)/python -m tests.benchmarks.gpu

clean: ## remove environments, builds, caches, out/demo and out/notebooks
	rm -rf .venv-test .venv-demo .venv-bench build dist out/demo out/notebooks
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find executor models planner tests -type d -name __pycache__ -prune -exec rm -rf {} +

# An environment is as new as its stamp: a changed dependency or pin installs again into the same environment.
# torch goes first, at its pin: an open range would take the newest build, with gigabytes of CUDA libraries.
.venv-test/installed: EXTRA := dev
.venv-demo/installed: EXTRA := run
.venv-bench/installed: EXTRA := bench
.venv-test/installed .venv-demo/installed .venv-bench/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
	  echo "blockcascade needs Python 3.11, 3.12 or 3.13, but '$(PYTHON) -V' says: $$($(PYTHON) -V 2>&1)" >&2; \
	  echo "Name another one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(@D)
	$(if $(filter bench,$(EXTRA)),,$(@D)/bin/python -m pip install --quiet -c constraints.txt "$$(grep '^torch==' constraints.txt)")
	$(@D)/bin/python -m pip install --quiet -c constraints.txt -e ".[$(EXTRA)]"
	@touch $@
