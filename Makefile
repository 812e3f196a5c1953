# The one task list. Needs Python 3.11+ and make; everything else is installed into .venv.
PYTHON ?= python3
DATA   ?= out/data
BIN    := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev setup-kernels demo serve test chaos check format bench clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/.base  ## .venv with longtake, without torch

setup-dev: .venv/.dev  ## .venv with everything that tests and checks need

.venv/.base: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/.dev: pyproject.toml constraints.txt .venv/.base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --editable '.[dev,vibevoice]'
	touch $@

demo: setup  ## speak the examples through the real job path
	@mkdir -p out
	$(BIN)/longtake say examples/lighthouse.txt -o out/lighthouse.mp3 --subtitles srt --data $(DATA)
	$(BIN)/longtake say examples/tea.txt -o out/tea.mp3 --subtitles srt --data $(DATA)
	@echo "Listen: $(CURDIR)/out/lighthouse.mp3"
	@echo "        $(CURDIR)/out/tea.mp3"

serve: setup  ## API and studio on http://127.0.0.1:7860
	$(BIN)/longtake serve

test: setup-dev  ## all tests
	$(BIN)/python -m pytest

setup-kernels: setup-dev  ## Triton (286 MB) too: `make test` then runs the GPU's in its interpreter
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --editable '.[kernels]'

chaos: setup-dev  ## everything that can go wrong, everywhere; two hours. `make test` has a cut of it
	LONGTAKE_CHAOS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -s tests/chaos tests/unit/jobs/test_machine.py

check: setup-dev  ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup-dev  ## mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup-dev  ## the benchmarks; benchmarks/README.md says what each number means
	$(BIN)/python -m benchmarks.say_long_script
	$(BIN)/python -m benchmarks.submit_latency
	$(BIN)/python -m benchmarks.say_again
	$(BIN)/python -m benchmarks.queue
	$(BIN)/python -m benchmarks.serve
	$(BIN)/python -m benchmarks.serve --engine vibevoice
	$(BIN)/python -m benchmarks.many_jobs --turns 1
	$(BIN)/python -m benchmarks.vibevoice_memory --model random:small --dtype fp32
	$(BIN)/python -m benchmarks.memory --minutes 15 --kinds window
	$(BIN)/python -m benchmarks.engine --out benchmarks/results/engine-cpu.md

clean:  ## remove .venv and all that was made
	rm -rf .venv out build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
