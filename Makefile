# session-relay: `make help` lists what there is to do.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
PYTHON_RUNTIME ?= 3.13
ARCHITECTURE ?= arm64
STAGE ?= prod
# The stage's parameters stand in samconfig.toml; the agents among them are told to the build as well, which expands them.
OVERRIDES = PythonRuntime=python$(PYTHON_RUNTIME) Architecture=$(ARCHITECTURE) \
  $(or $(shell sed -n '/^\[$(STAGE)\.deploy/,/^\[[^.]*\.[^d]/s/^parameter_overrides = "\(.*\)"/\1/p' samconfig.toml),$(error samconfig.toml has no stage "$(STAGE)"))
DEV := .venv/dev/bin
SAM := $(CURDIR)/.venv/sam/bin/sam
export PYTHONPATH := layers/runtime:.
export PYTHONDONTWRITEBYTECODE := 1
export SAM_CLI_TELEMETRY := 0

ENVIRONMENTS := .venv/dev/.ready .venv/sam/.ready .venv/cloud/.ready

.PHONY: help demo test properties check audit format up down soak fuzz openapi pictures bench build deploy lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

demo: $(ENVIRONMENTS) ## run the main job once on a local cloud, and show what became of every event
	@exec $(DEV)/python -m local demo

test: $(ENVIRONMENTS) ## run all tests: unit, integration (moto) and end to end (the local cloud)
	@exec $(DEV)/python -m pytest $(TESTS)

properties: .venv/dev/.ready ## try whose phone it is with 2,500 random stories of 30 steps (half an hour); make test tries 60
	@RELAY_PROPERTY_EXAMPLES=$(or $(EXAMPLES),2500) exec $(DEV)/python -m pytest -q tests/integration/test_one_phone_two_people.py

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

format: .venv/dev/.ready ## format the code and mend what the linter can mend by itself
	$(DEV)/ruff check --fix --quiet . || true
	$(DEV)/ruff format .

up: $(ENVIRONMENTS) ## start the local cloud and leave it running (it ends by itself after eight hours)
	@exec $(DEV)/python -m local up

down: .venv/dev/.ready ## end the local cloud
	@exec $(DEV)/python -m local down

soak: $(ENVIRONMENTS) ## send 5,000 events while every agent fails now and then, and account for each (ten minutes)
	@exec $(DEV)/python -m local soak

fuzz: $(ENVIRONMENTS) ## send 10,000 requests that docs/openapi.json allows or forbids to a local cloud (ten minutes)
	@FUZZ_REQUESTS=$(or $(FUZZ_REQUESTS),10000) exec $(DEV)/python -m pytest -q -s tests/e2e/test_fuzz.py -k at_length

openapi: .venv/dev/.ready ## write docs/openapi.json anew from the code
	@exec $(DEV)/python -m ops.openapi

bench: $(ENVIRONMENTS) ## measure mapping, ingest, cold starts, delivery, end to end, memory and cost (eleven minutes); BENCH names parts
	@exec $(DEV)/python -m bench $(BENCH)

pictures: $(ENVIRONMENTS) ## take the README's picture of the console anew (needs Chromium)
	@exec $(DEV)/python -m local.pictures

build: .venv/dev/.ready .venv/sam/.ready ## build for AWS (PYTHON_RUNTIME=3.13 ARCHITECTURE=arm64)
	PATH="$(CURDIR)/$(DEV):$$PATH" LAYER_PYTHON=$(PYTHON_RUNTIME) \
	  LAYER_MACHINE=$(if $(filter arm64,$(ARCHITECTURE)),aarch64,$(ARCHITECTURE)) \
	  $(SAM) build --parameter-overrides $(OVERRIDES)
	@if python$(PYTHON_RUNTIME) -c '' 2>/dev/null; then \
	  python$(PYTHON_RUNTIME) -m compileall -q --invalidation-mode unchecked-hash .aws-sam/build/*Function .aws-sam/build/RuntimeLayer; \
	else echo "No python$(PYTHON_RUNTIME) here to compile layer and functions with: starts take twice as long."; fi

deploy: build ## deploy to the AWS account of your credentials: STAGE=prod or dev, as samconfig.toml has them
	$(SAM) deploy --config-env $(STAGE) --parameter-overrides $(OVERRIDES)

lock: .venv/dev/.ready ## lock the newest versions that pyproject.toml admits
	@for output in layers/runtime/requirements.txt: locks/dev.txt:dev locks/sam.txt:sam locks/cloud.txt:cloud; do \
	  group=$${output#*:}; \
	  case "$$group" in "") what=pyproject.toml;; dev) what="pyproject.toml --group dev";; *) what="--group $$group";; esac; \
	  echo "$${output%:*}"; \
	  $(DEV)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-annotate --no-emit-index-url --no-emit-find-links $$what --output-file "$${output%:*}"; \
	done

clean: down ## remove everything that make made
	rm -rf .venv .local .aws-sam

.venv/%/.ready: locks/%.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name it with make PYTHON=...")'
	@echo "Installing the $* environment (once; a minute or so)"
	@$(PYTHON) -m venv --clear .venv/$*
	@.venv/$*/bin/python -m pip install -qq --disable-pip-version-check --require-hashes --no-deps --only-binary=:all: -r $<
	@case $* in dev) ln -s ../../../ops/relay .venv/dev/bin/relay;; esac
	@touch $@
