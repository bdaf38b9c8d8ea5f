# Every verb of the project; `make` lists them. `make demo` and `make test` are all a newcomer needs;
# each sets up what it needs.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LAYERS := contracts domain workflows activities infra runtime cli rehearsal worker.py starter.py
SOURCES := $(LAYERS) tests bench ops examples/demo/*.py

PREFIX ?= $(HOME)/.local

.PHONY: help demo up install uninstall test simulate check format replay record security test-browser test-long test-packages kill-matrix bench cooperbench picture lock clean setup setup-dev

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.app ## one whole request on a sample repository, with a rehearsed model (KEEP=FOLDER)
	@$(BIN)/python -m examples.demo $(if $(KEEP),--keep "$(KEEP)")

install: $(VENV)/.app ## put `orchestcode` on your PATH, with completion (PREFIX=~/.local)
	@$(BIN)/python ops/launcher.py install "$(PREFIX)"

uninstall: ## take it away again; requests and their data stay
	@$(PYTHON) ops/launcher.py uninstall "$(PREFIX)"

up: $(VENV)/.app ## server and worker in the foreground
	@$(BIN)/python starter.py up

# Two processes; tests of whole systems are in two groups, each in its order in one of them.
test: $(VENV)/.dev ## the test suite
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup -m "not browser and not security_long and not minutes and not packages"

# Whole systems that are lost, frozen and exchanged many times over: minutes.
test-long: $(VENV)/.dev ## its tests that take minutes
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup -m minutes

# Real packages of four languages; needs their package managers and registries (docs/testing.md).
test-packages: $(VENV)/.dev ## requests on six real packages (uv, npm, go, cargo)
	$(BIN)/python -m pytest -q -rs -s -m packages

# Probes of an attacker that take minutes, other users or a cgroup; docs/security.md lists them all.
security: $(VENV)/.dev ## an attacker's probes that take minutes
	$(BIN)/python -m pytest -q -m security_long

# The workflows in a seeded world without a server; a failing seed goes into tests/simulation/seeds.txt.
SEEDS ?= 50000
simulate: $(VENV)/.dev ## the workflows in a simulated world (SEEDS=50000)
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS)

check: $(VENV)/.dev ## format, lint, types, layers, pure tests
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy $(LAYERS) tests bench ops
	$(BIN)/lint-imports --no-cache
	$(BIN)/interrogate -q tests
	$(BIN)/codespell
	$(BIN)/python -m pytest -q tests/contracts tests/domain tests/architecture

format: $(VENV)/.dev ## format the code and fix what lint can
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

# Histories of every workflow, recorded on a real server; the suite replays what is committed.
record: $(VENV)/.dev ## record new histories for the replay tests
	$(BIN)/python -m tests.replay.record

replay: $(VENV)/.dev ## replay the committed histories
	$(BIN)/python -m pytest -q tests/replay

test-browser: $(VENV)/.browser ## the web UI in chromium
	$(BIN)/python -m pytest -q -m browser

# Processes killed at every moment of a request; the table goes to docs/durability.md. KILLS=0: one
# kill for each event, TOGETHER of them in one run (1: a run for each, about two hours). Nothing may
# be edited meanwhile: each worker that starts again reads it.
KILLS ?= 280
TOGETHER ?= 10
kill-matrix: $(VENV)/.dev ## kill processes at every moment of a request (KILLS, TOGETHER)
	@$(BIN)/python -m tests.kill_matrix --publish --kills $(KILLS) --together $(TOGETHER)

bench: $(VENV)/.dev ## measure the figures of docs/benchmarks.md
	@$(BIN)/python -m bench

# Pairs of real feature patches through the real product, from local copies (docs/benchmarks.md);
# OPTIONS narrow it: --limit 20 --seed 1, --pairs NAME, --rule, --rows FILE.
cooperbench: $(VENV)/.dev ## pairs of real patches through the product (DATASET, MIRRORS, OPTIONS)
	@$(BIN)/python -m bench.cooperbench --dataset "$(DATASET)" --mirrors "$(MIRRORS)" $(OPTIONS)

picture: $(VENV)/.app ## make the pictures of README.md from a rehearsed request
	@$(BIN)/python -m ops.picture

lock: $(VENV)/.app ## pin the requirements again
	@$(PYTHON) ops/lock.py

setup: $(VENV)/.app ## make .venv with what the product needs
setup-dev: $(VENV)/.dev ## add what its developers need

$(VENV)/.app: requirements/app.txt ops/setup_venv.sh
	@PYTHON=$(PYTHON) bash ops/setup_venv.sh $(VENV) requirements/app.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.app requirements/dev.txt
	@PYTHON=$(PYTHON) bash ops/setup_venv.sh $(VENV) requirements/dev.txt
	@touch $@

$(VENV)/.browser: $(VENV)/.dev requirements/browser.txt
	@PYTHON=$(PYTHON) bash ops/setup_venv.sh $(VENV) requirements/browser.txt
	@touch $@

clean: ## remove .venv and caches
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
