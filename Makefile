.PHONY: demo test lint check fuzz bench weights weights-status interop format clean
WEIGHTS ?= denoising
PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3.13 python3))
BIN := .venv/bin

.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt torch -e '.[test]'
	touch $@

demo: .venv/installed        ## degrade and restore a photograph; writes demo/report.html
	$(BIN)/python -m undegrade demo

test: .venv/installed        ## every test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

lint: .venv/installed        ## style, who may import whom, types
	$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/lint-imports
	$(BIN)/pyright

check: lint                  ## the same and the fast tests, within two minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m 'not slow' tests/laws tests/architecture tests/core

fuzz: .venv/installed         ## ten thousand damaged inputs within two minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 tests/fuzz

format: .venv/installed
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

bench: .venv/installed       ## timings and the papers' tables, into benchmarks/results
	$(BIN)/python -m benchmarks.run

weights: .venv/installed     ## start or resume the training of the shipped weights (WEIGHTS=denoising-gray, universal: the others), in the background
	mkdir -p runs/weights-$(WEIGHTS)
	OMP_NUM_THREADS=1 nohup nice -n 19 $(BIN)/python -m benchmarks.weights train --weights $(WEIGHTS) >> runs/weights-$(WEIGHTS)/log 2>&1 &

weights-status: .venv/installed ## its curve and speed; its average against what ships
	nice -n 19 $(BIN)/python -m benchmarks.weights status --weights $(WEIGHTS)

interop: .venv/installed     ## the DeepInverse adapters against deepinv itself, in .venv-interop
	tests/interop/run
clean:
	rm -rf .venv .venv-interop demo
