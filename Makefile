# Everything sets itself up: a fresh clone needs Python 3.11+ and make.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

OPTIMIZER ?= genetic

.PHONY: demo test check serve clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(READY)

demo: $(READY)  ## a real search over HTTP: OPTIMIZER=genetic (default) or annealing
	$(BIN)/python -m service.demo --optimizer $(OPTIMIZER)

test: $(READY)  ## the core suite
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

check: $(READY)  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

serve: $(READY)  ## the service on 127.0.0.1:8000
	$(BIN)/transfermask serve

clean:
	rm -rf $(VENV) build dist *.egg-info
