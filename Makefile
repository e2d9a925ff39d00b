# Needs: make, Python >= 3.11 with its venv module, and a package index. `make PYTHON=/path/to/python3 ...` chooses one.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PYTHON ?=
# Each process of pytest begins with a part of the files of its own, so that fixtures of a file are made once.
PYTEST_FLAGS ?= -n auto --dist worksteal
# pytest has a process a core. Bytecode is kept, because the tests start the command hundreds of times.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=
# Stores wait for the disk at every write. Where memory can hold files, those of the tests are there.
SPACE := $(shell df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $$4 }')
ifeq ($(shell [ "$(SPACE)" -ge 4000000 ] 2>/dev/null && [ -w /dev/shm ] && echo yes),yes)
ONE_THREAD += PYTEST_DEBUG_TEMPROOT=/dev/shm
endif

# The build backend is pinned too, and it is installed apart from the rest: older pip reads the first, newer the second.
INSTALL = PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt $(PIP) install -qq -c constraints.txt -e

.PHONY: help venv demo docs notebooks test test-stores test-oldest test-newest test-wheels lint lint-style lint-types lint-imports format bench bench-quick clean
.DEFAULT_GOAL := help

help:
	@echo 'make demo    align two real embedding spaces and write demo/report.html (installs no torch)'
	@echo 'make test    the default tests: offline, no accelerator, minutes'
	@echo 'make test-stores  every vector store and Ray against the real thing (installs their clients)'
	@echo 'make test-oldest, test-newest  the default tests with the oldest and the newest versions that pyproject.toml allows'
	@echo 'make test-wheels  build wheel and sdist, and install the wheel with each extra alone (EXTRAS="core report" selects extras)'
	@echo 'make lint    style, types and import contracts; what pre-commit runs'
	@echo 'make format  let ruff rewrite the layout and sort the imports'
	@echo 'make bench-quick  the table of the README with one seed, as far as 15 minutes allow'
	@echo 'make bench   most suites of fits.py and neural.py, and two timings (hours)'
	@echo 'make docs    the documentation site in docs/_build'
	@echo 'make notebooks  run the notebooks in docs/notebooks and keep their outputs'
	@echo 'make venv    everything for development in $(VENV)'
	@echo 'make clean   remove what the other targets wrote; $(VENV) stays'

$(BIN)/python:
	@for python in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
	    "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	    "$$python" -c 'import ensurepip, venv' 2>/dev/null || { without_venv=$$python; continue; }; \
	    echo "creating $(VENV) with $$python"; \
	    "$$python" -m venv $(VENV) && exit 0; \
	    rm -rf $(VENV); exit 1; \
	done; \
	if [ -n "$$without_venv" ]; then \
	    echo "error: $$without_venv has no venv module; on Debian and Ubuntu: apt-get install python3-venv" >&2; \
	else \
	    echo 'error: Python >= 3.11 is needed and none was found; install one or say make PYTHON=/path/to/python3' >&2; \
	fi; \
	exit 1

# A stamp is older than the files it depends on exactly when an install is due.
$(VENV)/.installed-demo: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'installing interlingua and what its report needs'
	@$(INSTALL) '.[report]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'installing interlingua with every extra and the development tools'
	@$(INSTALL) '.[dev]'
	@touch $@ $(VENV)/.installed-demo

venv: $(VENV)/.installed-dev

demo: $(VENV)/.installed-demo
	@$(BIN)/interlingua demo

$(VENV)/.installed-docs: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'installing what the documentation needs'
	@$(INSTALL) '.[dev,docs]'
	@touch $@ $(VENV)/.installed-dev $(VENV)/.installed-demo

docs: $(VENV)/.installed-docs
	@$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build
	@echo 'docs/_build/index.html'

notebooks: $(VENV)/.installed-docs
	@$(BIN)/jupyter-execute --inplace docs/notebooks/*.ipynb

test: venv
	@$(ONE_THREAD) $(BIN)/python -m pytest $(PYTEST_FLAGS)

$(VENV)/.installed-stores: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'installing the clients of every vector store, a PostgreSQL server and Ray'
	@$(INSTALL) '.[dev-stores]'
	@touch $@ $(VENV)/.installed-dev $(VENV)/.installed-demo

test-stores: $(VENV)/.installed-stores
	@$(ONE_THREAD) $(BIN)/python -m pytest -m store $(PYTEST_FLAGS)

# torch alone keeps its pin: its other builds bring gigabytes of accelerator packages.
PINNED_TORCH = grep '^torch==' constraints.txt

# Old versions use what newer ones beside them have deprecated.
OLD_WARNS := -W default::DeprecationWarning -W default::PendingDeprecationWarning -W default::FutureWarning

# TESTS narrows the run with the oldest versions, as continuous integration does.
TESTS ?=

test-oldest:
	@$(or $(PYTHON),python3.11) -m venv --clear .venv-oldest
	@$(PINNED_TORCH) > .venv-oldest/torch.txt
	@.venv-oldest/bin/python -m pip install -qq uv -r .venv-oldest/torch.txt
	@.venv-oldest/bin/python -m uv pip install -q --python .venv-oldest/bin/python --resolution lowest-direct \
	    -c .venv-oldest/torch.txt -e '.[dev]'
	@$(ONE_THREAD) .venv-oldest/bin/python -m pytest $(OLD_WARNS) $(PYTEST_FLAGS) $(TESTS)

test-newest:
	@$(or $(PYTHON),python3) -m venv --clear .venv-newest
	@$(PINNED_TORCH) > .venv-newest/torch.txt
	@.venv-newest/bin/python -m pip install -qq -U -c .venv-newest/torch.txt -e '.[dev]'
	@$(ONE_THREAD) .venv-newest/bin/python -m pytest $(PYTEST_FLAGS)

# Every extra takes minutes and gigabytes of downloads; continuous integration installs two.
EXTRAS ?=

test-wheels: venv
	@$(BIN)/python benchmarks/release.py $(if $(EXTRAS),--extras $(EXTRAS))

lint: lint-style lint-types lint-imports

lint-style: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lint-types: venv
	$(BIN)/mypy

lint-imports: venv
	$(BIN)/lint-imports

format: venv
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

SUITES := beir baselines pairs domains nulls planted
DATA ?= ../shared/data

VECTORS ?= benchmarks/vectors

bench-quick: venv
	@$(BIN)/python benchmarks/quick.py --data $(DATA) --vectors $(VECTORS)

bench: venv
	@[ -d $(DATA) ] || { echo 'error: $(DATA) is not there; say make bench DATA=/path/to/data' >&2; exit 1; }
	@for suite in $(SUITES); do $(BIN)/python benchmarks/fits.py $$suite --data $(DATA) || exit 1; done
	@$(BIN)/python benchmarks/speed.py fit --data $(DATA)
	@$(BIN)/python benchmarks/speed.py translate --data $(DATA)
	@for suite in planted planted-paper ablations warm warm-terms cold selection throughput ddp; do \
	    $(BIN)/python benchmarks/neural.py $$suite --data $(DATA) || exit 1; done
	@$(BIN)/python benchmarks/tables.py

clean:
	rm -rf build dist demo/report.html .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +
