# One entry point for people and for CI. `make help` lists the targets.
PYTHON ?= python3
WORKERS ?= 2
PORT ?= 5000
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup repro repro-full rerun check-repro test test-slow bench lint format docs ui cleanup lock

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */\1\t/' | expand -t 14

setup: $(BIN)/.installed  ## create .venv from requirements.lock (done once)

$(BIN)/.installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	touch $@

repro: setup  ## run the pipeline: dvc repro
	dvc repro

repro-full: setup  ## the deeper settings as a DVC experiment named full: about ten times the time
	dvc exp run --name full --force \
	    --set-param base.draws=10000 \
	    --set-param attention.drift_null=true \
	    --set-param ablation.max_pairs=1500 \
	    --set-param ablation.replaced_pairs=600 \
	    --set-param group_ablation.draws=20 \
	    --set-param group_ablation.control_draws=200

rerun: setup  ## for people: pull, run, compare with the last run; make turns every failure into code 2
	python -m pipeline.rerun

check-repro: setup  ## run the pipeline twice from nothing, compare every byte (THREADS=N: once more with N threads)
	python -m tests.reproducibility $(if $(THREADS),--threads $(THREADS))

test: setup  ## the test suite, in two processes (WORKERS=N: in N)
	OMP_NUM_THREADS=1 python -m pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder

test-slow: setup  ## the long tests
	python -m pytest -m slow

bench: setup  ## measure the engine beside its peers; writes docs/benchmarks.md and reports/benchmarks.json
	python -m tests.benchmark

lint: setup  ## ruff check, ruff format, mypy
	ruff check pipeline tests
	ruff format --check pipeline tests
	mypy

format: setup  ## let ruff mend what it can
	ruff check --fix pipeline tests
	ruff format pipeline tests

docs: setup  ## write docs/tables.md, the dictionary of every table's columns
	python -m pipeline.tables

ui: setup  ## compare runs: mlflow ui on the project's database, http://127.0.0.1:5000
	MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
	    mlflow ui --backend-store-uri sqlite:///mlflow.db --host 127.0.0.1 --port $(PORT) --workers 1

cleanup: setup  ## KEEP=N: show what the newest N MLflow rows do not need; with YES=--yes remove it
	python -m pipeline.cleanup --keep "$(KEEP)" $(YES)

lock:  ## resolve pyproject.toml anew into requirements.lock
	rm -rf .venv-lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet --editable .[dev]
	.venv-lock/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > requirements.lock.new
	mv requirements.lock.new requirements.lock
	rm -rf .venv-lock bert_head_analysis.egg-info
