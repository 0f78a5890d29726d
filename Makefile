# `make` alone prints the targets. Everything runs from .venv, made once from requirements.lock.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

# make run [BROKER=sim|tws] [DATA=dir] [START=YYYY-MM-DD] [DAYS=n] [SECONDS_PER_DAY=s] [SEED=n] [TEST_ENTRY=1]
# make run CONTINUE=1: the last simulated run goes on, its market, broker and journals as they were
RUN_OPTIONS := \
	$(if $(BROKER),--broker $(BROKER)) \
	$(if $(DATA),--data $(DATA)) \
	$(if $(START),--start $(START)) \
	$(if $(DAYS),--days $(DAYS)) \
	$(if $(SECONDS_PER_DAY),--seconds-per-day $(SECONDS_PER_DAY)) \
	$(if $(SEED),--seed $(SEED)) \
	$(if $(filter-out 0,$(TEST_ENTRY)),--test-entry) \
	$(if $(filter-out 0,$(CONTINUE)),--continue)

# A restarted service must find its code compiled: compiling it again is time without a stop.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup run test simulate crash-points check bench bench-venvs fuzz stops chaos latency docs figures lock clean

help: ## print the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: $(READY) ## make .venv from requirements.lock, once

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "trader needs Python 3.11 to 3.13, this is %d.%d: make PYTHON=python3.12 setup" % sys.version_info[:2])'
	@echo 'Installing into .venv, once: a minute or two, about 1 GB'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --no-compile -r requirements.lock
	-@$(BIN)/python -m compileall -qq -j 0 .venv/lib # on all cores; what Python cannot compile nobody imports
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index --editable .
	@touch $@

run: $(READY) ## the whole system, on the simulated TWS; BROKER=tws: on a real one (paper)
	@exec $(BIN)/python -m services.run $(RUN_OPTIONS)

test: $(READY) ## all tests: no network, no real TWS
	$(BIN)/python -m pytest -q -n 4 --dist loadfile

simulate: $(READY) ## the whole system from seeds, faults and all: SEEDS=10000 FIRST=0
	$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),10000) --first $(or $(FIRST),0)

crash-points: $(READY) ## a kill at every point of a reference day, then at PAIRS=1000 pairs (or all) from FIRST=0 on
	$(BIN)/python -m tests.simulation --crash-points --pairs $(or $(PAIRS),1000) --first $(or $(FIRST),0)

check: $(READY) ## formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(READY) ## the figures of docs/performance.md, measured here
	$(BIN)/python -m bench

fuzz: $(READY) ## hostile bytes at every door; MESSAGES=n (1,000,000 over all), SEED=n, TARGET=name
	$(BIN)/python -m tests.fuzz $(TARGET) $(if $(MESSAGES),--messages $(MESSAGES)) $(if $(SEED),--seed $(SEED))

chaos: $(READY) ## real processes under fire: MINUTES=10 SEED=n
	@$(BIN)/python -m tests.chaos --minutes $(or $(MINUTES),10) --seed $(or $(SEED),1)

latency: $(READY) ## breach to exit order at the broker, in seconds: BREACHES=1000, collected in pieces
	@$(BIN)/python -m bench.breach --breaches $(or $(BREACHES),1000)

bench-venvs: $(READY) ## the yardsticks' own environments, which `make bench` makes when it needs them
	$(BIN)/python -m bench.environments

stops: $(READY) ## 1,000 bad prints, 100 splits, 100 flows: no false stop, no masked one
	$(BIN)/python -m tests.fuzz bad-prints splits flows --messages 1200

docs: $(READY) ## renew the generated tables in README.md and docs/
	$(BIN)/python -m services.tables

figures: $(READY) ## renew the reproduced figures and their picture in README.md and docs/ (needs data)
	$(BIN)/trader reproduce --into README.md --into docs/research.md --picture docs/reproduce.svg

lock: ## renew requirements.lock from pyproject.toml (needs pip-compile from pip-tools)
	CUSTOM_COMPILE_COMMAND="make lock" pip-compile --quiet --extra dev --extra dask --build-deps-for editable \
		--allow-unsafe --generate-hashes --strip-extras --no-annotate --no-emit-index-url \
		--no-emit-trusted-host --no-emit-find-links --output-file requirements.lock pyproject.toml

clean: ## remove .venv and caches; journals and logs in var/ stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
