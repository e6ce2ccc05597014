# The doors for people and CI. VENV chooses the virtual environment.
VENV ?= .venv
PYTHON ?= python3
STUDY ?=
ONCE ?=
MINUTES ?= 10
SEED ?= 10000
ASSOCIATIONS ?= 10000
BIN = $(VENV)/bin
# Without byte code each of some hundred processes of the tests compiles the node anew.
unexport PYTHONDONTWRITEBYTECODE
INSTALLED = $(VENV)/.installed

RUNS ?= 3
DATABASE ?= sqlite
MUTANTS ?= 100
# One process more for the tests than there are cores, for some wait for peers; each takes 1.5 GB.
CORES = $(shell nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)
WORKERS ?= $(shell echo $$(($(CORES) < 8 ? $(CORES) + 1 : 8)))
TESTS ?=
.PHONY: fuzz soak run test check peers pacs bench crash mutants picture references

$(INSTALLED): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@echo "Installing PyTorch and some 100 packages into $(VENV): minutes, 2.5 GB, once"
	$(BIN)/python -m pip install torch==2.13.0
	$(BIN)/python -m pip install --editable '.[test,dev]'
	@echo "Making what runs the networks, and comparing it with PyTorch: a minute or two, once"
	$(BIN)/radnet models
	touch $@

# Where `make pacs` runs, the study goes there, too.
run: $(INSTALLED)
	RADNODE_LOG_LEVEL=warning $(BIN)/radnode demo $(if $(STUDY),'$(STUDY)') $(if $(ONCE),--once) \
		--viewer http://127.0.0.1:8043 --viewer-config deploy/pacs.toml

# WORKERS processes share the tests, each with one thread for BLAS and torch; WORKERS=0 is this one.
test: $(INSTALLED)
	$(if $(filter-out 0,$(WORKERS)),OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1) \
		$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --durations 25 $(TESTS)

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

crash: $(INSTALLED)
	PYTHONPATH=. $(BIN)/python tests/acceptance/crash/long.py $(RUNS) 0 $(DATABASE)

fuzz: $(INSTALLED)
	PYTHONPATH=. $(BIN)/python tests/acceptance/fuzz/long.py $(MINUTES) $(SEED)

mutants: $(INSTALLED)
	PYTHONPATH=. $(BIN)/python tests/mutants/run.py --mutants $(MUTANTS) --minutes $(MINUTES) --seed $(SEED)

soak: $(INSTALLED)
	PYTHONPATH=. $(BIN)/python tests/acceptance/soak/long.py $(ASSOCIATIONS)

peers:
	bash .ci/peers.sh

pacs: peers $(INSTALLED)
	VENV=$(VENV) bash orthanc/start.sh

references: $(INSTALLED)
	$(BIN)/python -m node.cli.references deploy

picture: $(INSTALLED)
	PYTHONPATH=. $(BIN)/python tests/picture.py

bench: $(INSTALLED)
	$(BIN)/python tests/benchmarks/receive.py
	$(BIN)/python tests/benchmarks/segment.py
	$(BIN)/python tests/benchmarks/inference.py
	$(BIN)/python tests/benchmarks/decode.py
