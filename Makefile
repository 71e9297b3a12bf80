PYTHON ?= python3
PORT ?= 8000
SUITES ?=
TIMES ?= 20
KEY ?=
RESUME ?=
VENV := .venv
BIN := $(VENV)/bin
DEMO := $(VENV)/.installed
TESTS := $(VENV)/.installed-tests
BENCH := $(VENV)/.installed-bench
INSTALL := $(BIN)/python -m pip install --quiet

.PHONY: run test soak check bench format client messages clean

$(DEMO): requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --upgrade pip
	$(INSTALL) -r requirements.txt
	$(INSTALL) --no-deps --editable .
	touch $@

$(TESTS): $(DEMO) tests/requirements.txt
	$(INSTALL) -r tests/requirements.txt
	touch $@

$(BENCH): $(TESTS) bench/requirements.txt
	$(INSTALL) -r bench/requirements.txt
	touch $@

run: $(DEMO)
	$(BIN)/python manage.py migrate --verbosity 0
	$(BIN)/python manage.py demo
	$(BIN)/python manage.py ling_knowledge sync docs
	$(BIN)/python manage.py runserver $(PORT)

test: $(TESTS)
	PYTHON=$(BIN)/python sh tests/install_tools.sh
	$(BIN)/python -m tests.all

soak: $(TESTS)
	PYTHON=$(BIN)/python sh tests/install_tools.sh
	$(BIN)/python tests/soak.py $(SUITES) --times $(TIMES) --key "$(KEY)" $(if $(RESUME),--resume)

check: $(TESTS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py check

bench: $(BENCH)
	$(BIN)/python bench/parser.py
	$(BIN)/python bench/repair.py
	$(BIN)/python bench/validation.py
	$(BIN)/python bench/stream.py
	$(BIN)/python bench/client.py
	$(BIN)/python bench/knowledge.py

format: $(TESTS)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

messages: $(TESTS)
	$(BIN)/python -m tests.catalogs

# The one minified file and the types, which are committed, from the client's modules.
client: $(TESTS)
	$(BIN)/python -c "from tests.node import peers; peers()"
	$(BIN)/node tests/peers/build_client.mjs

clean:
	rm -rf $(VENV) build dist *.egg-info
