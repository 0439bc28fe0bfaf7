# One entry point for people and for CI. `make help` lists the targets.
PYTHON ?= python3
# The build of torch in a new .venv: cpu or cuda.
TORCH ?= $(shell { nvidia-smi --list-gpus || ls /dev/nvidia0; } >/dev/null 2>&1 && echo cuda || echo cpu)
WORKERS ?= 2
KEEP ?= 20
ADDRESS ?= 127.0.0.1
PORT ?= 5000
CODE := pipeline tests examples
EXPLORER := pipeline/report/explorer
BIN := .venv/bin
# DVC asks for the user's name; a container's user id may have none.
export USER ?= $(firstword $(shell id -un 2>/dev/null || id -u))
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup repro repro-full rerun check-repro test test-slow test-gpu bench pruning-study lint format docs \
    explorer check-explorer picture ui cleanup lock

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */\1\t/' | expand -t 16

setup: $(BIN)/.installed  ## create .venv from locks/ (done once); TORCH=cpu or TORCH=cuda: not by what this machine has
	@$(if $(filter-out file,$(origin PYTHON) $(origin TORCH)),locks/install.sh --check "$(PYTHON)" "$(TORCH)")

$(BIN)/.installed: $(wildcard locks/*.lock)
	@git rev-parse --verify --quiet HEAD >/dev/null 2>&1 \
	    || { echo "No git commit here (an archive has none): git init && git add -A && git commit -m Start" >&2; exit 2; }
	locks/install.sh "$(PYTHON)" "$(TORCH)"

repro: setup  ## run the pipeline: dvc repro
	dvc repro

repro-full: setup  ## the deeper settings as a DVC experiment named full: about ten times the time
	dvc exp run --name full --force \
	    --set-param run.bootstrap_resamples=10000 \
	    --set-param attention.drift_null=true \
	    --set-param head_ablation.mean_resample_pairs=600 \
	    --set-param group_ablation.max_pairs=1500 \
	    --set-param group_ablation.random_groups_per_share=20 \
	    --set-param group_ablation.random_groups_per_safe_share=60 \
	    --set-param group_ablation.random_control_groups=200

rerun: setup  ## for people: pull, run, compare with the last run; make turns every failure into code 2
	python -m pipeline.rerun

check-repro: setup  ## run the pipeline twice from nothing, compare every byte (THREADS=N: once more with N threads)
	python -m tests.reproducibility $(if $(THREADS),--threads $(THREADS))

test: setup  ## the test suite, in two processes (WORKERS=N: in N)
	OMP_NUM_THREADS=1 python -m pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder

test-slow: setup  ## the long tests, in two processes (WORKERS=N: in N): half an hour and more
	OMP_NUM_THREADS=1 python -m pytest -m slow -n $(WORKERS) --dist loadgroup --no-loadscope-reorder

test-gpu: setup  ## the tests that need a GPU, beside a CPU: tables, precisions, memory; skipped where there is none
	python -m pytest -rs tests/gpu

bench: setup  ## measure the engine and its peers; writes docs/benchmarks.md and reports/benchmarks.json
	python -m tests.benchmark

pruning-study: setup  ## what can go after training again, over seeds, and its latency; writes docs/pruning.md: hours on two cores, minutes on a GPU
	python -m pipeline.pruning_study

lint: setup  ## ruff check, ruff format, mypy, pymarkdown
	ruff check $(CODE)
	ruff format --check $(CODE)
	mypy
	pymarkdown scan *.md docs data/*/README.md
	@! grep -nE '[;,.] [2-9]\. ' *.md docs/*.md || { echo "A numbered list has become one paragraph" >&2; exit 1; }

format: setup  ## let ruff fix what it can
	ruff check --fix $(CODE)
	ruff format $(CODE)

docs: setup  ## write docs/tables.md, the dictionary of every table's columns, and the tables of docs/scale.md
	python -m tests.table_dictionary
	python -m tests.benchmark.scale

explorer: setup  ## rebuild the explorer's script from its TypeScript (needs node); users of the pipeline do not
	python -m pipeline.report.explorer.contract
	cd $(EXPLORER)/app && npm ci --no-audit --no-fund && npm run build

picture: setup  ## draw docs/explorer.png, the README's picture, from reports/explorer.html (needs Chromium)
	python -m tests.explorer_picture

check-explorer: explorer  ## rebuild it and fail where a byte is not as committed
	@changed="$$(git status --porcelain -- $(EXPLORER))" && test -z "$$changed" || { git --no-pager diff --stat -- $(EXPLORER); \
	    echo "$(EXPLORER) is not as committed: make explorer, then commit what it wrote" >&2; exit 1; }

ui: setup  ## compare runs: mlflow ui on the project's database, http://127.0.0.1:5000
	MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
	    mlflow ui --backend-store-uri sqlite:///mlflow.db --host $(ADDRESS) --port $(PORT) --workers 1

cleanup: setup  ## show what the newest 20 MLflow runs do not need (KEEP=N: the newest N); YES=--yes removes it
	python -m pipeline.cleanup --keep "$(KEEP)" $(YES)

lock:  ## resolve pyproject.toml into locks/, pins kept where they can be; UPGRADE=--upgrade takes the newest releases
	$(PYTHON) -m venv .cache/uv
	.cache/uv/bin/python -m pip install --quiet --disable-pip-version-check uv
	PATH=$(CURDIR)/.cache/uv/bin:$$PATH locks/resolve.sh $(UPGRADE)
