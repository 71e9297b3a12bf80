PYTHON ?= python3
PORT ?= 8000
SUITES ?=
TIMES ?= 20
KEY ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: run test soak check bench format clean

$(STAMP): requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $(STAMP)

run: $(STAMP)
	$(BIN)/python manage.py migrate --verbosity 0
	$(BIN)/python manage.py demo
	$(BIN)/python manage.py runserver $(PORT)

test: $(STAMP)
	PYTHON=$(BIN)/python sh tests/install_tools.sh
	$(BIN)/python -m pytest

soak: $(STAMP)
	PYTHON=$(BIN)/python sh tests/install_tools.sh
	$(BIN)/python tests/soak.py $(SUITES) --times $(TIMES) --key "$(KEY)"

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py check

bench: $(STAMP)
	$(BIN)/python bench/parser.py
	$(BIN)/python bench/repair.py
	$(BIN)/python bench/stream.py

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info
