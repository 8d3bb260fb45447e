# `make train` and `make test` do all the set-up: a virtual environment in .venv, with torch pinned by constraints.txt.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: train test test-slow test-endurance test-integrations test-lowest test-newest shapes lint types types-report docs
.PHONY: verify speed clean

train: .venv/installed
	$(BIN)/gan-env train

test: .venv/installed
	$(BIN)/python -m pytest -n 2 -m "not slow and not endurance and not gpu" $(OPTIONS)

test-slow: .venv/installed
	$(BIN)/python -m pytest -n 2 -m "slow and not gpu"

# Kills, injections and damaged files by the hundred: half an hour, not part of continuous integration.
test-endurance: .venv/installed
	$(BIN)/python -m pytest -n 2 -m "endurance and not gpu"

# The fast tests in environments of their own, on the lowest versions that pyproject.toml allows and on the newest ones
# there are. Their torch is what the index has, which may be gigabytes of CUDA; CONSTRAINTS=constraints.txt pins it.
test-lowest: .venv-lowest/installed
	.venv-lowest/bin/python -m pytest -n 2 -m "not slow and not endurance and not gpu"

test-newest: .venv-newest/installed
	.venv-newest/bin/python -m pytest -n 2 -m "not slow and not endurance and not gpu"

.venv-lowest/installed: CONSTRAINTS = constraints-lowest.txt
.venv-lowest/installed .venv-newest/installed: pyproject.toml constraints-lowest.txt
	@echo "Installing gan-env and what it needs into $(@D) (some minutes, torch alone is 200 MB):"
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --disable-pip-version-check --upgrade --upgrade-strategy eager \
		$(if $(CONSTRAINTS),-c $(CONSTRAINTS)) -e ".[test]"
	touch $@

# Shapes in signatures are enforced here, at three times the cost.
shapes: .venv/installed
	$(BIN)/python -m pytest -n 2 -m "not slow and not endurance and not gpu" tests/losses/test_losses.py tests/metrics/test_distances.py \
		tests/data/test_datasets.py tests/random/test_counters.py tests/training/test_row_independence.py tests/tasks/test_dirac.py \
		--jaxtyping-packages="gan_env,beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed
	$(BIN)/pyright

# How complete the types are that an importer sees, name by name; a slow test holds the public ones to all of them.
types-report: .venv/installed
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pyright --ignoreexternal --verifytypes gan_env

# A group of each committed benchmark, run again.
verify: .venv/installed
	$(BIN)/python benchmarks/verify_results.py

# The site, in site/; a warning is an error. The variable quiets a notice about a later mkdocs.
docs: .venv/installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

speed: .venv/installed
	$(BIN)/python benchmarks/speed.py

# A changed source of the native engine is compiled again, as part of the editable install.
.venv/installed: pyproject.toml constraints.txt hatch_build.py $(wildcard gan_env/native/*.cpp gan_env/native/*.h)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gan-env needs Python 3.11 or newer; name one: make PYTHON=python3.12")'
	@echo "Installing gan-env and what it needs into .venv (once; some minutes, torch alone is 200 MB):"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

# Every script of examples/rl in an environment of its own, from its own install line; writes docs/libraries.md.
test-integrations: .venv/installed
	$(BIN)/python benchmarks/integrations.py

clean:
	rm -rf .venv .venv-lowest .venv-newest .integrations
