# Calliper: everything a fresh machine needs. Python 3.11, git and make must be there; the rest is installed here.
#   make setup      .venv with the calliper command
#   make demo       the whole road on a synthetic cohort, into ./demo
#   make test       all tests but the slow ones
#   make test-slow  the slow ones: many kills, long simulations
#   make lint       style of the source text
#   make bench      the benchmarks of docs/benchmarks.md
#   make docs       the documentation as a site, in build/site; a broken link or anchor fails
#   make validation the requirements of docs/validation.md, with how their tests ended
#   make train      the packaged checkpoints anew, from the recipe; needs NHANES=FOLDER, and hours
#   make screenshots  the pictures of the dashboard in docs/pictures, of the workspace ./demo; needs Chromium

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALLED := .venv/installed
WORKERS ?= auto
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

.PHONY: setup demo test test-slow lint bench docs validation train screenshots clean

setup: $(INSTALLED)

# Done again only when what is to be installed has changed.
$(INSTALLED): pyproject.toml constraints.txt
	@echo "==> Making .venv with $(PYTHON)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "Calliper needs Python 3.11; say where it is: make PYTHON=/path/to/python3.11")'
	@$(PYTHON) -m venv .venv
	@echo "==> Installing Calliper and what it stands on (a few minutes)"
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	@touch $(INSTALLED)
	@echo "==> Ready: $(BIN)/calliper --help"

demo: setup
	@echo "==> The whole road on a synthetic cohort"
	@$(BIN)/calliper demo --workspace demo

test: setup
	@echo "==> Testing (the slow tests are in make test-slow)"
	@command -v chromium chromium-browser > /dev/null || [ -n "$$CALLIPER_CHROMIUM" ] || echo "    Without Chromium the dashboard's tests in a browser are skipped. To run them: apt-get install chromium"
	@$(BIN)/python -m pytest -n $(WORKERS) -m "not slow"

test-slow: setup
	@echo "==> The slow tests"
	@$(BIN)/python -m pytest -n $(WORKERS) -m slow

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

bench: setup
	@echo "==> Benchmarks"
	@for script in startup ingest statistics_speed analysis body_forward measuring_bodies rendering cohort_rendering avatars runs report_writing dashboard; do echo "--> $$script"; $(BIN)/python benchmarks/$$script.py || exit 1; done

validation: setup
	@echo "==> The tests behind each requirement, and docs/validation.md with their results"
	@$(BIN)/python -m tools.documentation.validation

docs: setup
	@echo "==> The documentation: build/site/index.html"
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

WORK ?= build/training
train: setup
	@test -n "$(NHANES)" || { echo "Say where DEMO.XPT, BMX.XPT and DXX.XPT of NHANES 1999-2000 are: make train NHANES=FOLDER"; exit 2; }
	@$(BIN)/python -m models.training all --work $(WORK) --nhanes $(NHANES)

screenshots: setup
	@test -d demo || $(MAKE) demo
	@$(BIN)/python tests/browser/screenshots.py demo docs/pictures

clean:
	rm -rf .venv build demo *.egg-info .pytest_cache .ruff_cache .hypothesis
