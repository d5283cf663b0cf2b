# make install   .venv with all that the tests need, kernels compiled ahead
# make check     format, lint, types, layers, tests: the one test command
# make models    trains the shipped spam and toxicity models anew (needs SLUICE_DATA)
# make bench     benchmarks on real posts (needs SLUICE_DATA)

PYTHON ?= python3
BIN := .venv/bin
PACKAGES := schemas filters tokenizer pipeline

.PHONY: install check format lint types layers test models bench clean

install: .venv/.dev-installed

.venv/.dev-installed: pyproject.toml
	PYTHON="$(PYTHON)" ./run_local.sh --install-only '.[dev]'
	touch $@

check: install lint types layers test

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: install
	$(BIN)/mypy --strict $(addprefix -p ,$(PACKAGES))

layers: install
	$(BIN)/lint-imports

test: install
	$(BIN)/python -m pytest

# The shipped models: fastText's own package trains them, in a venv of its own, because it installs the
# same module name as the prediction-only build that the tests use as an oracle. Needs a C++ compiler
# (the package builds from source, about a minute) and SLUICE_DATA; about 2 minutes of CPU.
MODELS_PYTHON := .venv-models/bin/python

$(MODELS_PYTHON):
	$(PYTHON) -m venv .venv-models
	.venv-models/bin/pip install --quiet 'fasttext==0.9.3' 'numpy>=2,<3'

models: install $(MODELS_PYTHON)
	$(BIN)/python -m filters.models.training --data "$(SLUICE_DATA)" --trainer $(MODELS_PYTHON)

bench: install
	$(BIN)/python -m benchmarks.main_job

clean:
	rm -rf .venv-models .venv-peer build dist *.egg-info .mypy_cache .ruff_cache .hypothesis
