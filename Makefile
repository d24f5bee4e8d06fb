# `make` lists the targets. Each target installs what it needs, so `make repro` can come first.
.DEFAULT_GOAL := help
PYTHON ?= python3
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif
# DVC runs the `python` that is first on PATH.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true
READY := .venv/ready

.PHONY: help setup repro test test-servers test-tutorials test-all lint format lock benchmark docs \
	queue ui servers servers-stop tune clean distclean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(READY) ## create .venv from requirements.lock and install the package

# uv also comes from the lock, with hashes; it is several times faster than pip.
# Bytecode is compiled here, so that no stage compiles it.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Hourglass needs Python 3.11 or later: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	sed -n '/^uv==/,/^[^ ]*==/p' requirements.lock | sed '2,$${/^[^ ]*==/d}' > .venv/uv.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt
	$(BIN)/uv pip sync --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation --offline --editable .
	touch $(READY)

JOBS ?= 2
repro: $(READY) ## run the pipeline for all cells of the grid in params.yaml, JOBS cells at once
	hourglass repro --jobs $(JOBS)

test: $(READY) ## run the tests (three minutes); with HOURGLASS_DATA set, also those on real data
	python -m pytest -m "not slow and not servers" --numprocesses auto --dist loadfile

test-servers: $(READY) ## run the tests that start real servers: PostgreSQL, MLflow, SSH, S3
	python -m pytest -m "servers and not slow" --numprocesses auto --dist loadfile -rs

test-tutorials: $(READY) ## run every command of the tutorials
	python -m pytest tests/test_tutorials.py --numprocesses auto

test-all: $(READY) ## run the slow tests as well: kills, two processes, DVC in clones, servers
	python -m pytest

lint: $(READY) ## check style, format, types and the locked dependencies
	ruff check .
	ruff format --check .
	mypy
	python scripts/audit.py

format: $(READY) ## fix style and format
	ruff check --fix .
	ruff format .

COMPILE := uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--no-emit-index-url --custom-compile-command "make lock" pyproject.toml
lock: $(READY) ## compile the lock files: all dependencies with hashes, for all platforms
	$(COMPILE) --extra dev --extra onnx --extra bolts --extra features \
		-o requirements.lock
	$(COMPILE) --extra benchmark --extra bolts --constraint requirements.lock -o requirements-benchmark.lock
	$(filter-out pyproject.toml,$(COMPILE)) --group docs --constraint requirements.lock -o requirements-docs.lock

# The peers of the benchmark are in a separate environment: their dependencies must not affect Hourglass.
PEERS := .venv-benchmark
$(PEERS)/ready: $(READY) requirements-benchmark.lock
	uv venv --quiet --clear --python $(BIN)/python $(PEERS)
	uv pip sync --python $(PEERS) --require-hashes --compile-bytecode requirements-benchmark.lock
	uv pip install --python $(PEERS) --no-deps --no-build-isolation --offline --editable .
	touch $@

benchmark: $(PEERS)/ready ## compare the speed of Hourglass with its peers; needs HOURGLASS_DATA; half an hour
	$(PEERS)/$(notdir $(BIN))/python scripts/benchmark.py

# The generator of the site reads the sources and imports nothing of them.
SITE := .venv-docs
$(SITE)/ready: $(READY) requirements-docs.lock
	uv venv --quiet --clear --python $(BIN)/python $(SITE)
	uv pip sync --quiet --python $(SITE) --require-hashes requirements-docs.lock
	touch $@

docs: $(SITE)/ready ## build the documentation; open build/site/index.html, no server needed
	python scripts/cli_reference.py
	NO_MKDOCS_2_WARNING=true $(SITE)/$(notdir $(BIN))/mkdocs build --strict --quiet

queue: $(READY) ## run the queued experiments, JOBS at once, and divide the cores among them
	scripts/queue.sh $(JOBS)

ui: $(READY) ## open the MLflow UI on http://127.0.0.1:5000, or the next free port
	hourglass ui

servers: $(READY) ## start the team servers (MLflow, and PostgreSQL for studies) and print the file to source
	python scripts/server.py start

servers-stop: $(READY) ## stop the team servers; their data stay in .servers
	python scripts/server.py stop

DATA ?= digits
MODEL ?= denoising
TRIALS ?= 50
WORKERS ?= 1
tune: $(READY) ## search bottleneck size and noise: make tune DATA=digits MODEL=denoising TRIALS=50 WORKERS=2
	dvc repro prepare@$(DATA)
	hourglass tune $(DATA) $(MODEL) --trials $(TRIALS) --workers $(WORKERS)

clean: ## remove the pipeline's outputs; raw data, MLflow runs, studies and .venv stay
	rm -rf data/prepared runs checkpoints reports/leaderboard.* reports/codes.csv reports/metrics.json \
		reports/index.html reports/shared reports/plots reports/search reports/tune reports/benchmark* dvc_plots

distclean: clean ## also remove the environments, MLflow runs and studies
	rm -rf .venv .venv-benchmark .venv-docs mlflow.db mlruns/[0-9]* optuna.db*
