# Everything here installs what it needs, once, from pinned and hashed files: docs/decisions/0003.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory --no-builtin-rules

BIN     := .venv/bin
SERVERS := .servers/bin
TREES   := $(wildcard src tests tools benchmarks examples docs_src)
PIP      = -m pip --disable-pip-version-check --no-input install -qq
LOCKED   = $(PIP) --no-deps --only-binary :all: --require-hashes -r
UV      ?= $(firstword $(wildcard $(BIN)/uv) uv)
COMPILE  = UV_CUSTOM_COMPILE_COMMAND="make lock" $(UV) pip compile --quiet --universal --python-version 3.11 \
           --generate-hashes --no-annotate $(LOCK_ARGS)
ARGS    ?=

export PIP_ROOT_USER_ACTION := ignore
# Tests start a thousand processes; each would compile what it imports again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo "  ARGS=… is passed on to run, test, conformance, resilience and bench; PYTHON=… names the Python to build on."

# --------------------------------------------------------------------------------------------------------- installing

.PHONY: install servers hosts parts
install: .venv/.stamp-dev ## the package, editable, and the development tools, into .venv
servers: .servers/.stamp-wheels .servers/.stamp-npm ## third-party MCP servers, into .servers

hosts: .hosts/.stamp-sdk1 .hosts/.stamp-fastmcp .hosts/.stamp-npm ## clients that tests send through the gateway, into .hosts

parts: ## what tests drive from Debian (Redis, Prometheus, HAProxy, Chromium …), where we may install it
	@sh tools/parts.sh

.venv/bin/python .servers/bin/python:
	@sh tools/venv.sh $(@:/bin/python=)

.venv/.stamp-run: requirements/run.txt pyproject.toml | .venv/bin/python
	@echo "Installing trunkline into .venv (once)"
	@$(BIN)/python $(LOCKED) $<
	@$(BIN)/python $(PIP) --no-deps --no-build-isolation -e .
	@touch $@

.venv/.stamp-dev: requirements/dev.txt .venv/.stamp-run
	@echo "Installing the development tools into .venv (once)"
	@$(BIN)/python $(LOCKED) $<
	@touch $@

.servers/.stamp-wheels: requirements/servers.txt | .servers/bin/python
	@echo "Installing MCP servers into .servers (once)"
	@$(SERVERS)/python $(LOCKED) $<
	@touch $@

.servers/.stamp-npm: servers/package-lock.json tools/npm_packages.py .servers/.stamp-wheels
	@$(SERVERS)/python tools/npm_packages.py servers

.hosts/.stamp-%: requirements/hosts-%.txt
	@sh tools/venv.sh .hosts/$*
	@echo "Installing the client $* into .hosts (once)"
	@.hosts/$*/bin/python $(LOCKED) $<
	@touch $@

.hosts/.stamp-npm: tests/hosts/package-lock.json tools/npm_packages.py | .servers/.stamp-wheels
	@echo "Installing clients for Node into .hosts (once)"
	@$(SERVERS)/python tools/npm_packages.py hosts

.servers/.stamp-conformance: tests/conformance/package-lock.json tools/npm_packages.py | .servers/.stamp-wheels
	@echo "Installing the conformance suites into .servers (once)"
	@$(SERVERS)/python tools/npm_packages.py conformance

# ------------------------------------------------------------------------------------------------------------ running

.PHONY: run
run: .venv/.stamp-run servers ## the gateway with its dashboard, in front of real MCP servers
	@exec $(BIN)/trunkline serve examples/run.toml $(ARGS)

# ----------------------------------------------------------------------------------------------------------- checking

.PHONY: check test conformance resilience bench bench-gateway peers mutants wheel
check: .venv/.stamp-dev ## format, lint, types, architecture, house rules
	@$(BIN)/ruff format --check --quiet $(TREES) || { echo "make format mends this" >&2; exit 1; }
	@$(BIN)/ruff check --quiet $(TREES)
	@$(BIN)/mypy --no-error-summary $(TREES)
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python tools/house_rules.py

test: .venv/.stamp-dev servers hosts parts ## every test, with branch coverage of all but the drill's
	@$(BIN)/coverage run -m pytest -p tools.coverage_report $(ARGS)

conformance: .venv/.stamp-dev .servers/.stamp-conformance ## the official conformance suites of MCP, scenario by scenario
	@$(BIN)/python -m tests.conformance $(ARGS)

resilience: .venv/.stamp-dev servers parts ## the promises about servers that are killed, paused and cut off (three quarters of an hour)
	@mkdir -p build && STORM_SECONDS=$${STORM_SECONDS:-10} FUZZ_CASES=$${FUZZ_CASES:-100000} \
		CACHE_OPERATIONS=$${CACHE_OPERATIONS:-1000000} \
		RESILIENCE_JSON=build/resilience.json \
		$(BIN)/pytest -m resilience tests/resilience $(ARGS)

bench-gateway: .venv/.stamp-dev servers peers ## what the gateway adds to a call, takes at rest, and costs as work grows
	@for script in gateway gateway_at_rest growth; do \
		echo "== benchmarks/$$script.py"; $(BIN)/python benchmarks/$$script.py $(ARGS) || exit; \
	done

# The peers have an environment of their own, in which one script runs: what it cannot import it says and leaves out.
bench: .venv/.stamp-dev servers peers ## what things cost, as medians with their spread
	@for script in benchmarks/*.py; do \
		case $$script in */cache_peers.py) python=build/peers/bin/python ;; *) python=$(BIN)/python ;; esac; \
		echo "== $$script"; $$python "$$script" $(ARGS) || exit; \
	done

PEERS := build/peers/.stamp build/peers/.stamp-npm $(patsubst %,build/peers-%/.stamp,litellm contextforge mcp-proxy)
peers: $(PEERS) ## what benchmarks measure beside ours, into build/peers and build/peers-…

build/peers/.stamp-npm: benchmarks/peers/package-lock.json tools/npm_packages.py | build/peers/.stamp .servers/.stamp-wheels
	@$(SERVERS)/python tools/npm_packages.py peers

build/peers/.stamp: requirements/peers.txt pyproject.toml
	@sh tools/venv.sh build/peers
	@echo "Installing the peers into build/peers (once)"
	@build/peers/bin/python $(LOCKED) $<
	@build/peers/bin/python $(PIP) --no-deps --no-build-isolation -e .
	@touch $@

# A gateway that cannot be installed here is left out of one benchmark, which says so: no reason not to run the others.
build/peers-%/.stamp: requirements/peers-%.txt
	@sh tools/venv.sh build/peers-$*
	@echo "Installing the peer $* into build/peers-$* (once)"
	@if build/peers-$*/bin/python $(LOCKED) $<; then touch $@; \
		else echo "*** pip could not install $* (its own words are above): it will not be measured ***" >&2; fi

mutants: requirements/mutants.txt ## whether the tests notice every small change in resilience/ and pool/ (half an hour)
	@sh tools/venv.sh build/mutation
	@build/mutation/bin/python $(LOCKED) $<
	@build/mutation/bin/python $(PIP) --no-deps --no-build-isolation -e .
	@nice build/mutation/bin/python tools/mutants.py $(ARGS)

wheel: .venv/.stamp-dev ## build it, install it into an empty environment, start it
	@rm -rf build dist
	@$(BIN)/python -m build --quiet --no-isolation --outdir dist .
	@sh tools/venv.sh build/wheel
	@build/wheel/bin/python $(LOCKED) requirements/run.txt
	@build/wheel/bin/python $(PIP) --no-deps dist/*.whl
	@build/wheel/bin/python -m pip --disable-pip-version-check check
	@cd build && wheel/bin/trunkline --help > /dev/null
	@ls dist

# -------------------------------------------------------------------------------------------------------- maintaining

.PHONY: format lock clean
format: .venv/.stamp-dev ## rewrite the code as ruff wants it
	@$(BIN)/ruff format $(TREES)
	@$(BIN)/ruff check --fix $(TREES)

lock: .servers/.stamp-wheels ## pin again what requirements/*.in and */package.json ask for (LOCK_ARGS=--upgrade; needs uv)
	$(COMPILE) pyproject.toml requirements/run.in -o requirements/run.txt
	$(COMPILE) pyproject.toml requirements/run.in requirements/dev.in -o requirements/dev.txt
	$(COMPILE) pyproject.toml requirements/run.in requirements/dev.in requirements/mutants.in -o requirements/mutants.txt
	$(COMPILE) pyproject.toml requirements/run.in requirements/peers.in -o requirements/peers.txt
	$(COMPILE) requirements/peers-litellm.in --no-emit-package litellm-enterprise -o requirements/peers-litellm.txt
	$(COMPILE) requirements/peers-contextforge.in -o requirements/peers-contextforge.txt
	$(COMPILE) requirements/peers-mcp-proxy.in -o requirements/peers-mcp-proxy.txt
	$(COMPILE) pyproject.toml requirements/run.in requirements/image.in -o requirements/image.txt
	$(COMPILE) requirements/servers.in -o requirements/servers.txt
	$(COMPILE) requirements/hosts-sdk1.in -o requirements/hosts-sdk1.txt
	$(COMPILE) requirements/hosts-fastmcp.in -o requirements/hosts-fastmcp.txt
	$(SERVERS)/python tools/npm_packages.py --lock

clean: ## remove everything that make made
	rm -rf .venv .servers .hosts build dist .coverage .coverage.* htmlcov
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
