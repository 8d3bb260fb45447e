# `make train` and `make test` do all the set-up: a virtual environment in .venv, with torch pinned by constraints.txt.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: train test test-slow test-endurance shapes lint types speed test-integrations clean

train: .venv/installed
	$(BIN)/gan-env train

test: .venv/installed
	$(BIN)/python -m pytest -n 2 -m "not slow and not endurance and not gpu"

test-slow: .venv/installed
	$(BIN)/python -m pytest -n 2 -m "slow and not gpu"

# Kills, injections and damaged files by the hundred: half an hour, not part of continuous integration.
test-endurance: .venv/installed
	$(BIN)/python -m pytest -n 2 -m "endurance and not gpu"

# Shapes in signatures are enforced here, at three times the cost.
shapes: .venv/installed
	$(BIN)/python -m pytest -n 2 -m "not slow and not endurance and not gpu" tests/test_losses.py tests/test_metrics.py \
		tests/test_datasets.py tests/test_counters.py tests/test_rows.py tests/test_dirac.py \
		--jaxtyping-packages="gan_env,beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed
	$(BIN)/pyright

speed: .venv/installed
	$(BIN)/python benchmarks/speed.py

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gan-env needs Python 3.11 or newer; name one: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

# Every script of examples/rl in an environment of its own, from its own install line; writes docs/libraries.md.
test-integrations: .venv/installed
	$(BIN)/python benchmarks/integrations.py

clean:
	rm -rf .venv .integrations
