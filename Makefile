# Every verb of the project. `make demo` and `make test` are all a newcomer needs; each sets up what it needs.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LAYERS := contracts domain workflows activities infra runtime cli rehearsal worker.py starter.py
SOURCES := $(LAYERS) tests bench ops examples/demo/*.py

.PHONY: demo up test simulate check format lint types layers replay record test-browser kill-matrix bench cooperbench lock clean setup setup-dev

demo: $(VENV)/.app
	@$(BIN)/python -m examples.demo

up: $(VENV)/.app
	@$(BIN)/python starter.py up

# Two processes: one runs the tests of whole systems in their order, the other all the rest.
test: $(VENV)/.dev
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup -m "not browser"

# The workflows in a seeded world without a server; a failing seed goes into tests/simulation/seeds.txt.
SEEDS ?= 50000
simulate: $(VENV)/.dev
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS)

check: $(VENV)/.dev
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy $(LAYERS) tests bench ops
	$(BIN)/lint-imports --no-cache
	$(BIN)/interrogate -q tests
	$(BIN)/codespell
	$(BIN)/python -m pytest -q tests/contracts tests/domain tests/architecture

format: $(VENV)/.dev
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

# Histories of every workflow, recorded on a real server; the suite replays what is committed.
record: $(VENV)/.dev
	$(BIN)/python -m tests.replay.record

replay: $(VENV)/.dev
	$(BIN)/python -m pytest -q tests/replay

test-browser: $(VENV)/.browser
	$(BIN)/python -m pytest -q -m browser

# Processes killed at every moment of a request; the table goes to docs/durability.md. KILLS=0: one
# kill for each event, TOGETHER of them in one run (1: a run for each, about two hours). Nothing may
# be edited meanwhile: each worker that starts again reads it.
KILLS ?= 280
TOGETHER ?= 10
kill-matrix: $(VENV)/.dev
	@$(BIN)/python -m tests.kill_matrix --publish --kills $(KILLS) --together $(TOGETHER)

bench: $(VENV)/.dev
	@$(BIN)/python -m bench

# Pairs of real feature patches through the real product, from local copies (docs/benchmarks.md);
# OPTIONS narrow it: --limit 20 --seed 1, --pairs NAME, --rule, --rows FILE.
cooperbench: $(VENV)/.dev
	@$(BIN)/python -m bench.cooperbench --dataset "$(DATASET)" --mirrors "$(MIRRORS)" $(OPTIONS)

lock: $(VENV)/.app
	@$(PYTHON) ops/lock.py

setup: $(VENV)/.app
setup-dev: $(VENV)/.dev

$(VENV)/.app: requirements/app.txt ops/setup_venv.sh
	@PYTHON=$(PYTHON) bash ops/setup_venv.sh $(VENV) requirements/app.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.app requirements/dev.txt
	@PYTHON=$(PYTHON) bash ops/setup_venv.sh $(VENV) requirements/dev.txt
	@touch $@

$(VENV)/.browser: $(VENV)/.dev requirements/browser.txt
	@PYTHON=$(PYTHON) bash ops/setup_venv.sh $(VENV) requirements/browser.txt
	@touch $@

clean:
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
