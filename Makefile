# session-relay: `make help` lists what there is to do.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
PYTHON_RUNTIME ?= 3.14
ARCHITECTURE ?= arm64
STAGE ?= prod
# The stage's parameters stand in samconfig.toml; the build gets the agents among them as well, and expands them.
OVERRIDES = PythonRuntime=python$(PYTHON_RUNTIME) Architecture=$(ARCHITECTURE) \
  $(or $(shell sed -n '/^\[$(STAGE)\.deploy/,/^\[[^.]*\.[^d]/s/^parameter_overrides = "\(.*\)"/\1/p' samconfig.toml),$(error samconfig.toml has no stage "$(STAGE)"))
# Processes that run tests, each with a local cloud of its own; end-to-end tests mostly wait, so two for each core.
WORKERS ?= $(if $(TESTS),0,4)
DEV := .venv/dev/bin
SAM := $(CURDIR)/.venv/sam/bin/sam
export PYTHONPATH := layers/runtime:.
export PYTHONDONTWRITEBYTECODE := 1
export SAM_CLI_TELEMETRY := 0
# AWS' own tools read AWS_REGION first; SAM CLI and botocore read AWS_DEFAULT_REGION alone.
ifdef AWS_REGION
export AWS_DEFAULT_REGION := $(AWS_REGION)
endif

ENVIRONMENTS := .venv/dev/.ready .venv/sam/.ready .venv/cloud/.ready

# What checks the client's types and size, where npm is there; CI has it.
CLIENT_TOOLS := $(if $(shell command -v npm),.local/client.ready)

.PHONY: help demo fast lint types units test check audit format up down soak fuzz simulate mutants client-model sdks properties coverage openapi cli privacy agent agent-check pictures bench build deploy credentials lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

demo: $(ENVIRONMENTS) ## run the main job once on a local cloud, and show what became of every event; AGENTS=Webhook adds agents
	@LOCAL_AGENTS="$(AGENTS)" exec $(DEV)/python -m local demo

test: $(ENVIRONMENTS) $(CLIENT_TOOLS) ## run all tests: unit, integration (moto), the client's and end to end (the local cloud); TESTS names files
	@exec $(DEV)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(TESTS)

fast: .venv/dev/.ready ## the loop while you write (a minute): format, lint, types, import rules, unit and integration tests but the slowest
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=recurse lint types units

lint types units: .venv/dev/.ready

lint:
	@$(DEV)/ruff format --check --quiet .
	@$(DEV)/ruff check --quiet .
	@$(DEV)/lint-imports --no-logo

types:
	@$(DEV)/mypy

units:
	@$(DEV)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m "not slow" tests/unit tests/integration

check: $(ENVIRONMENTS) ## what CI runs: format, lint, types, import rules, template, secrets, then the tests
	$(DEV)/ruff format --check .
	$(DEV)/ruff check .
	$(DEV)/mypy
	$(DEV)/lint-imports
	$(DEV)/cfn-lint template.yaml
	$(DEV)/python -m local.audit secrets
	$(MAKE) --no-print-directory test

audit: .venv/dev/.ready ## look for secrets in the tree and its history, and for vulnerable dependencies (exit 3: no data to ask)
	@exec $(DEV)/python -m local.audit

format: .venv/dev/.ready ## format the code and fix what the linter can fix by itself
	$(DEV)/ruff check --fix --quiet . || true
	$(DEV)/ruff format .

up: $(ENVIRONMENTS) ## start the local cloud and leave it running (it ends by itself after eight hours); AGENTS=Webhook adds agents
	@LOCAL_AGENTS="$(AGENTS)" exec $(DEV)/python -m local up

down: .venv/dev/.ready ## end the local cloud
	@exec $(DEV)/python -m local down

soak: $(ENVIRONMENTS) ## send 5,000 events while every agent fails now and then, and account for each (ten minutes)
	@exec $(DEV)/python -m local soak

fuzz: $(ENVIRONMENTS) ## send 10,000 requests that docs/openapi.json allows or forbids to a local cloud (ten minutes)
	@FUZZ_REQUESTS=$(or $(FUZZ_REQUESTS),10000) exec $(DEV)/python -m pytest -q -s tests/e2e/test_fuzz.py -k at_length

simulate: .venv/dev/.ready ## simulate 1,000 months of faults by their seeds (a quarter of an hour): SEEDS how many, FIRST the first, EVENTS in each
	@AWS_DEFAULT_REGION=us-east-1 POWERTOOLS_SERVICE_NAME=session-relay STAGE=test exec $(DEV)/python -m tests.simulation \
	  --seeds $(or $(SEEDS),1000) --first $(or $(FIRST),1) --events $(or $(EVENTS),40)

mutants: .venv/dev/.ready .venv/mutants/.ready ## change the delivery core in a copy of the tree and see which tests notice (an hour): SEED, SAMPLE how many, MODULE a part of a path
	@AWS_DEFAULT_REGION=us-east-1 POWERTOOLS_SERVICE_NAME=session-relay STAGE=test exec nice $(DEV)/python -m tests.mutants \
	  --seed $(or $(SEED),1) --sample $(or $(SAMPLE),0) --minutes $(or $(MINUTES),60) --workers $(or $(PROCESSES),2) --module "$(MODULE)"

properties: $(ENVIRONMENTS) ## try every property with many examples: TIMES=20 times as many as make test does
	@PROPERTY_TIMES=$(or $(TIMES),20) exec $(DEV)/python -m pytest -n 2 --dist load -m hypothesis tests/unit tests/integration
coverage: .venv/dev/.ready ## run the unit and integration tests, and fail if they run less of relay and functions than the floor in pyproject.toml
	@$(DEV)/python -m coverage run -m pytest -q tests/unit tests/integration
	@exec $(DEV)/python -m coverage report

client-model: .venv/dev/.ready ## let 300 random lives of a phone in Chromium agree with a model (fifteen minutes); CLIENT_MODEL names another number
	@CLIENT_MODEL=$(or $(CLIENT_MODEL),300) CLIENT_MODEL_STEPS=30 REQUIRE_BROWSER=1 exec $(DEV)/python -m pytest -q -s tests/client/test_model.py

sdks: .venv/dev/.ready .venv/sdks/.ready .venv/node/.ready ## point the vendors' own libraries at the sandbox and compare digests (needs Node.js 20.19)
	@exec $(DEV)/python -m tests.sdks

openapi: .venv/dev/.ready ## write docs/openapi.json anew from the code
	@exec $(DEV)/python -m ops.openapi

privacy: .venv/dev/.ready ## write the table of docs/privacy.md anew from the requests that the agents build
	@exec $(DEV)/python -m tests.unit.agents.test_privacy_table

agent: .venv/dev/.ready ## start an agent: NAME=example writes its folder, its part of the sandbox and all its entries
	@exec $(DEV)/python -m local.new_agent $(or $(NAME),$(error say which: make agent NAME=example))

agent-check: .venv/dev/.ready ## start an agent in a copy of this tree, and check the copy (six minutes)
	@AGENT_CHECK=all exec $(DEV)/python -m pytest -q tests/unit/local/test_new_agent.py

cli: .venv/dev/.ready ## write docs/cli.md's commands anew from their help
	@exec $(DEV)/python -m ops.reference

bench: $(ENVIRONMENTS) ## measure mapping, ingest, cold starts, delivery, end to end, memory and cost (eleven minutes); BENCH names parts, AGAINST a commit
	@exec $(DEV)/python -m bench $(if $(AGAINST),--against "$(AGAINST)") $(BENCH)

pictures: $(ENVIRONMENTS) ## take the pictures of the console and of relay status (needs Chromium)
	@exec $(DEV)/python -m local.pictures

build: .venv/dev/.ready .venv/sam/.ready ## build for AWS (PYTHON_RUNTIME=3.14 ARCHITECTURE=arm64)
	PATH="$(CURDIR)/$(DEV):$$PATH" LAYER_PYTHON=$(PYTHON_RUNTIME) \
	  LAYER_MACHINE=$(if $(filter arm64,$(ARCHITECTURE)),aarch64,$(ARCHITECTURE)) \
	  $(SAM) build --parameter-overrides $(OVERRIDES) 2>&1 | sed '/^Commands you can use next/,$$d'; exit $${PIPESTATUS[0]}
	@if python$(PYTHON_RUNTIME) -c '' 2>/dev/null; then \
	  python$(PYTHON_RUNTIME) -X no_debug_ranges layers/runtime/bytecode.py .aws-sam/build/*Function .aws-sam/build/RuntimeLayer; \
	else echo "No python$(PYTHON_RUNTIME) here to compile layer and functions with: starts take twice as long."; fi

deploy: credentials build ## deploy to the AWS account of your credentials: STAGE=prod or dev, as samconfig.toml has them
	$(SAM) deploy --config-env $(STAGE) --parameter-overrides $(OVERRIDES) \
	  ReleaseDigest=$$($(DEV)/python -m ops.digest .aws-sam/build $(OVERRIDES))
	@printf '\nWhat is missing, and the command that fixes it:\n  $(DEV)/relay doctor --stage $(STAGE)\n'

credentials: .venv/dev/.ready
	@$(DEV)/python -m ops.credentials $(STAGE)

lock: .venv/dev/.ready ## lock the newest versions that pyproject.toml admits
	@for output in layers/runtime/requirements.txt: locks/dev.txt:dev locks/sam.txt:sam locks/cloud.txt:cloud locks/sdks.txt:sdks locks/mutants.txt:mutants; do \
	  group=$${output#*:}; \
	  case "$$group" in "") what=pyproject.toml;; dev) what="pyproject.toml --group dev";; *) what="--group $$group";; esac; \
	  echo "$${output%:*}"; \
	  $(DEV)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-annotate --no-emit-index-url --no-emit-find-links \
	    --no-emit-package yattag $$what --output-file "$${output%:*}"; \
	done

clean: down ## remove everything that make made
	rm -rf .venv .local .aws-sam

.local/client.ready: clients/javascript/package-lock.json
	@echo "Installing the client's tools (once; some seconds)"
	@mkdir -p .local/client
	@cp clients/javascript/package*.json clients/javascript/.npmrc .local/client
	@if npm ci --silent --prefix .local/client; then touch $@; \
	elif [ -n "$$REQUIRE_NODE" ]; then exit 1; \
	else echo "They cannot be had here: the tests of the client's types and size are skipped."; fi

.venv/node/.ready: tests/sdks/package-lock.json
	@mkdir -p .venv/node && cp tests/sdks/package.json $< .venv/node
	@cd .venv/node && npm ci --ignore-scripts --no-audit --no-fund --silent
	@touch $@

.venv/%/.ready: locks/%.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name it with make PYTHON=...")'
	@echo "Installing the $* environment (once; a minute or so)"
	@$(PYTHON) -m venv --clear .venv/$*
	@.venv/$*/bin/python -m pip install -qq --disable-pip-version-check --require-hashes --no-deps --only-binary=:all: -r $<
	@case $* in dev) ln -s ../../../ops/relay .venv/dev/bin/relay;; esac
	@touch $@
