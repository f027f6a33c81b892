# Two commands are all a newcomer needs: `make up` and `make test`.

PYTHON ?= python3
BIN := .venv/bin
UV := UV_PYTHON_DOWNLOADS=never $(BIN)/uv
UV_VERSION := 0.13.9

# command:package of Debian, of what only tests need
TEST_TOOLS := node:nodejs npm:npm chromium:chromium chromedriver:chromium-driver gpg:gnupg ssh-keygen:openssh-client

SEED ?= 1
DELIVERIES ?= 10000
FAULTS ?= 200
SECONDS ?= 60

.PHONY: up demo test test-long test-tools check fuzz audit bench bench-tools torture lock clean help

up: .venv/.stack ## start everything on this machine, until Ctrl-C
	@$(BIN)/tidegate up

demo: .venv/.stack ## see the whole line at work, in a minute
	@$(BIN)/tidegate demo

test: check test-tools ## everything that must be green: lint, types, import rules, tests
	@$(BIN)/python -m pytest -n 3 --no-loadscope-reorder

test-long: test-tools ## the tests marked `long`, in 45 minutes at most; what they need (root, the kernel) and lack fails
	@$(BIN)/python -m pytest -m long -v --session-timeout=2700

test-tools: .venv/.dev # what tests need beside Python: an OpenID provider on Node.js, and a browser; installed where we may
	@missing=; for tool in $(TEST_TOOLS); do \
		command -v $${tool%%:*} > /dev/null || missing="$$missing $${tool#*:}"; done; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
		apt-get update -qq && apt-get install -qq -y --no-install-recommends $$missing > /dev/null; missing=; fi; \
	for tool in $(foreach each,$(TEST_TOOLS),$(firstword $(subst :, ,$(each)))); do command -v $$tool > /dev/null || missing="$$missing $$tool"; done; \
	if [ -n "$$missing" ]; then echo "the tests need these, and they are not installed:$$missing (Debian: apt-get install $(foreach each,$(TEST_TOOLS),$(lastword $(subst :, ,$(each)))))"; exit 1; fi
	@$(BIN)/python -m tests.oidc.install

bench: .venv/.dev bench-tools ## measure everything beside Debian's `webhook`, in some twenty minutes (ARGS="--quick", "--only receiver", "--soak")
	@$(BIN)/python -m bench $(ARGS)

bench-tools: # Debian's peer and load generator: installed where we may, named where we may not
	@missing=; for tool in webhook wrk; do command -v $$tool > /dev/null || missing="$$missing $$tool"; done; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
		apt-get install -qq -y --no-install-recommends $$missing > /dev/null || echo "cannot be installed:$$missing"; \
	elif [ -n "$$missing" ]; then echo "not installed, so not compared with or not used (apt-get install$$missing)"; fi

torture: .venv/.dev ## real processes under a seeded schedule of faults, checked against a model (SEED= DELIVERIES= FAULTS= OLD=)
	@$(BIN)/python -m tests.torture --seed $(SEED) --deliveries $(DELIVERIES) --faults $(FAULTS) $(if $(OLD),--old $(OLD))

fuzz: .venv/.dev ## try every parser for SECONDS each, led by coverage; what is found stays in .fuzz/
	@$(BIN)/python -m tests.fuzz $(SECONDS)

check: .venv/.dev ## lint, types and import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

.venv/.uv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tidegate needs Python 3.11 or newer; say PYTHON=python3.12 or the like")'
	@$(PYTHON) -m venv .venv || { echo "python3 -m venv does not work here; on Debian: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

# .dev holds more than .stack, so whoever has it keeps it.
.venv/.stack: .venv/.uv requirements/stack.txt
	@test -e .venv/.dev || $(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/stack.txt
	@$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev: .venv/.uv requirements/dev.txt
	@$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@ .venv/.stack

audit: .venv/.uv ## ask the package index for known advisories of what is pinned: 1 if there are any, 2 if some were not looked at
	@$(BIN)/python requirements/audit.py $(sort $(wildcard requirements/*.txt))

lock: .venv/.uv ## write the pinned requirements anew from pyproject.toml
	@$(UV) lock --quiet
	@$(UV) export -q --no-emit-project --no-header --no-annotate --no-dev --group build -o requirements/run.txt > /dev/null
	@$(UV) export -q --no-emit-project --no-header --no-annotate --no-dev --group build --extra stack -o requirements/stack.txt > /dev/null
	@$(UV) export -q --no-emit-project --no-header --no-annotate --all-extras --all-groups -o requirements/dev.txt > /dev/null

clean: ## remove the environment and caches, not the data
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

help: ## show this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12
