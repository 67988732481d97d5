# Two commands: `make repro` makes the sample, `make test` proves it. Each sets up all that it needs.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/ready
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: repro test check bench lock clean

repro: $(READY)
	dvc repro

test: $(READY)
	pytest --numprocesses auto

check: $(READY)
	ruff check
	ruff format --check
	mypy

# How fast it is, beside its bound and its peers: docs/performance.md. PEERS is a Python that has lhotse, datasets and
# torchcodec, in an environment of their own; without it, those are left out.
bench: $(READY)
	python benchmarks/speed.py $(if $(PEERS),--peers $(PEERS))

# A virtual environment of exactly the locked versions, made anew when the lock is newer.
$(READY): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "This needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement requirements.lock
	touch $@

# Needs uv (https://docs.astral.sh/uv/). The ranges are in pyproject.toml.
lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	  --group dev pyproject.toml --output-file requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
