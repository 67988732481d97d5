# Two commands: `make repro` makes the sample, `make test` tests the project. Each sets up what it needs.
PYTHON ?= python3
VENV := .venv
# Or the lowest versions: make LOCK=requirements-lowest.lock test
LOCK := requirements.lock
MAKEOVERRIDES := # a make that a test starts must not inherit variables
READY := $(VENV)/ready
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# uv compiles no bytecode; the first import of a module does.
unexport PYTHONDONTWRITEBYTECODE
# The user's settings of uv must not change this environment.
unexport UV_COMPILE_BYTECODE UV_CONSTRAINT UV_EXCLUDE_NEWER UV_NO_BINARY UV_OVERRIDE UV_PYTHON UV_SYSTEM_PYTHON VIRTUAL_ENV

.PHONY: help repro env test test-more live check docs bench notebooks chaos lock clean

help: ## print this list
	@sed -n 's/^\([a-z-]*\):.* ## \(.*\)/make \1:\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

repro: $(READY) ## draw the sample that params.yaml asks for
	dvc repro || { python -m pipeline doctor --dvc; exit 1; }

env: $(READY) ## set up .venv only, for a sample that comes with dvc pull

# Each law by its cheapest witness.
test: $(READY) ## run the tests, in under two minutes
	pytest --numprocesses auto -m "not more"

# The rest: engines, stores, browser, notebooks, full grids, kills, the fault bench, and many examples of each law of
# Hypothesis. Then how much of each wing these tests alone ran, in per cent of lines and branches; not counted is what
# child processes ran.
test-more: $(READY) ## run the longer tests, and print their coverage
	pytest --numprocesses auto -m "(more or hypothesis) and not live" --hypothesis-profile=many --cov --cov-report=
	@for wing in pipeline/[a-z]*/; do echo "$$(coverage report --format=total --fail-under=0 --include="$$wing*")% $$wing"; done
	@coverage report --format=total

# About 110 MB; it prints what only a real network can tell: docs/kaggle.md.
live: $(READY) ## draw twenty clips from the real Kaggle
	pytest -m live tests/snapshot/remote/test_live.py

check: $(READY) ## check format, types and spelling
	ruff check
	ruff format --check
	mypy
	codespell

# The site of the README, docs/ and the notebooks: docs/_build/index.html. Warnings, such as dead links, are errors.
docs: $(READY) ## build the site in docs/_build
	sphinx-build --quiet --fail-on-warning --keep-going --conf-dir docs . docs/_build

# Speed, compared with its bound and its peers: docs/performance.md. PEERS is a Python with lhotse, datasets and
# torchcodec from another environment; without it, these are left out.
bench: $(READY) ## measure speed
	python benchmarks/speed.py $(if $(PEERS),--peers $(PEERS))

# They read data/, so the sample comes first.
notebooks: repro ## open the notebooks
	jupyter lab notebooks

# Faults drawn with a seed, each in a small project (docs/reliability.md). Prints what got through, and a table.
N := 2000
SEED := 7
chaos: $(READY) ## draw faults, and see how each ends
	python -m tests.support.chaos.bench --trials $(N) --seed $(SEED)

# A virtual environment of exactly the locked versions, made again when the lock is newer. pip installs uv, at its locked
# version, and uv installs the rest in a few seconds. If that fails (no wheel of uv for this machine, or an index that only
# pip is configured for), pip installs everything.
UV := /^uv==/,/[^\\]$$/
PIP_INSTALL := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement /dev/stdin
$(READY): $(LOCK)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "This needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	@{ sed -n '$(UV)p' $< | $(PIP_INSTALL) --only-binary :all: 2>/dev/null && \
	   $(VENV)/bin/uv pip sync --quiet --python $(VENV)/bin/python --require-hashes $<; } || \
	  { echo "uv cannot install the packages here; pip does, which takes about a minute." >&2; \
	    $(PYTHON) -m venv --clear $(VENV) && sed '$(UV)d' $< | $(PIP_INSTALL); }
	@$(VENV)/bin/python -c "$$KNOW_PROJECT"
	@touch $@

# Puts this folder first on sys.path, so that `import pipeline` works anywhere and takes no other package of that name.
define KNOW_PROJECT
import os, sysconfig
with open(os.path.join(sysconfig.get_path("purelib"), "project.pth"), "w") as file:
    file.write(f"import sys; sys.path.insert(0, {os.getcwd()!a})\n")
endef
export KNOW_PROJECT

# The ranges are in pyproject.toml.
COMPILE := --quiet --python-version 3.11 --generate-hashes --no-header pyproject.toml \
  --extra make --extra cluster --extra s3 --extra tar --group dev
lock: $(READY) ## lock the newest versions that pyproject.toml allows, and the lowest
	uv pip compile $(COMPILE) --universal --group docs --group notebooks --output-file requirements.lock
	uv pip compile $(COMPILE) --resolution lowest-direct --output-file requirements-lowest.lock

clean: ## remove the environment and caches
	rm -rf $(VENV) docs/_build .mypy_cache .pytest_cache .ruff_cache .hypothesis
