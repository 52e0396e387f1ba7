# The two commands are `make run` and `make test`; `make help` lists the rest.
# Needs make, a POSIX shell and Python 3.11 or newer. Everything else lands in .venv/.

PYTHON ?= python3
ROUNDS ?= 200
SECONDS ?= 600
SEED ?=
ZONES ?= 200
QUERIES ?= 100000
CASE ?=
CHANGES ?= 1000
UNSIGNED ?=
PYTEST_ARGS ?=
FLOODS_ARGS ?=
BENCH_ARGS ?=
BIN := .venv/bin

# A tree that was moved or copied has a .venv whose scripts point at the old place: that one is made again.
ifneq ($(shell cat .venv/.place 2>/dev/null),$(CURDIR))
.PHONY: .venv/.runtime .venv/.dev
endif

.PHONY: help setup run test lint crash soak tree bench floods fuzz differential lock clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 16

setup: .venv/.runtime ## make .venv/ with the `nameserver` command in it

run: .venv/.runtime ## a primary and a secondary with an example zone, on loopback, until Ctrl-C
	@exec $(BIN)/nameserver demo

test: .venv/.dev ## everything: the peers (where they can be installed), the checks, the tests, the coverage gate
	@sh .ci/peers
	@$(MAKE) --no-print-directory lint
	@sh .ci/pytest $(PYTEST_ARGS)

lint: .venv/.dev ## ruff, its formatting and mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

crash: .venv/.dev ## kill -9 of every process at random moments; ROUNDS=200
	@sh .ci/peers
	@NAMESERVER_CRASH_ROUNDS=$(ROUNDS) $(BIN)/pytest -s --timeout=0 tests/interop/test_crash.py $(PYTEST_ARGS)

soak: .venv/.dev ## changes, kill -9 and questions all at once, every answer checked; SECONDS=600 SEED=...
	@sh .ci/peers
	@PYTHONPATH=tests $(BIN)/python -m soak --seconds "$(SECONDS)" --seed "$(SEED)"

tree: .venv/.dev ## a primary, 2 of ours, 8 of ours below them, changes in a row; CHANGES=1000 SECONDS=100 SEED=...
	@sh .ci/peers
	@PYTHONPATH=tests $(BIN)/python -m tree --changes "$(CHANGES)" $(if $(filter command line environment,$(origin SECONDS)),--seconds "$(SECONDS)") --seed "$(SEED)"

bench: .venv/.dev ## ours beside Knot, NSD, BIND and PowerDNS, the same load; an hour; BENCH_ARGS="--only udp,tcp --rounds 1 ..."
	@sh .ci/peers
	@PYTHONPATH=tests $(BIN)/python -m bench $(BENCH_ARGS)

floods: .venv/.dev ## a NOTIFY storm and a connection flood, beside BIND, NSD and Knot; four minutes; FLOODS_ARGS="--json FILE ..."
	@sh .ci/peers
	@PYTHONPATH=tests $(BIN)/python tests/bench/bench_floods.py $(FLOODS_ARGS)

fuzz: .venv/.dev ## mutated requests, transfers, state directories; COUNT_REQUESTS=1000000 COUNT_TRANSFERS=... COUNT_STATES=... SEED=...
	@PYTHONPATH=tests $(BIN)/python -m fuzz.run

differential: .venv/.dev ## our answers beside those of Knot, NSD and BIND; ZONES=200 QUERIES=100000 SEED=... CASE=world/zone/number
	@sh .ci/peers
	@PYTHONPATH=tests $(BIN)/python -m differential --zones "$(ZONES)" --queries "$(QUERIES)" --seed "$(SEED)" --case "$(CASE)" $(if $(UNSIGNED),--unsigned)

lock: ## make requirements/*.txt again from requirements/*.in and pyproject.toml
	@PYTHON=$(PYTHON) sh .ci/lock

clean: ## remove .venv/ and everything the tools leave behind
	@rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* htmlcov
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.runtime: requirements/runtime.txt pyproject.toml .ci/setup
	@PYTHON=$(PYTHON) sh .ci/setup runtime

.venv/.dev: requirements/dev.txt .venv/.runtime
	@PYTHON=$(PYTHON) sh .ci/setup dev
