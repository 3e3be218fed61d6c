# Every command of the project. `make demo` and `make test` need Python 3.11 or newer and nothing else.

BIN := .venv/bin
PYTHON ?= python3
BROWSERS ?= chromium,firefox,webkit
SAM_VERSION := 1.170.0
SAM := SAM_CLI_TELEMETRY=0 $(BIN)/uv tool run --python $(BIN)/python --from aws-sam-cli==$(SAM_VERSION) sam
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

.DEFAULT_GOAL := help
.PHONY: help setup demo local test simulate campaign simulate-bugs fuzz fuzz-bugs outages proof check snippet test-snippet sizes load build test-artifacts test-wheel validate bench bench-orders bench-reconcile load-test soak many-shops release test-release sbom licences picture lock hooks deploy clean

help: ## List the commands.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

setup: .venv/ready ## Set up .venv; the others do it when it is needed.

.venv/ready: requirements/uv.txt requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.13 $(MAKECMDGOALS)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: --requirement requirements/uv.txt
	@$(BIN)/uv pip sync --quiet --require-hashes --python $(BIN)/python requirements/dev.txt
	@$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python --editable .
	@touch $@

demo: setup ## Send sample orders through the real system on this machine, and see what Prisjakt gets.
	@$(BIN)/prisjakt-relay demo

local: setup ## Run the whole system on this machine until Ctrl-C.
	@$(BIN)/prisjakt-relay local

test: setup ## Run the tests, with coverage of everything that is deployed.
	$(BIN)/pytest --cov --cov-report=term --numprocesses 3 --dist loadfile

simulate: setup ## Run SEEDS=1000 worlds of failures, or the one of SEED=x; with BUG=name to see it found.
	@$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),1000)) $(if $(BUG),--bug $(BUG))

campaign: setup ## Run SEEDS=100000 worlds; interrupted, the same command goes on.
	@$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),100000) --state build/campaign.state --json build/campaign.json

simulate-bugs: setup ## Plant each known bug in the relay, and say which of 10,000 worlds finds it first.
	@$(BIN)/python -m tests.simulation --bugs --seeds 10000 --json build/bugs.json

fuzz: setup ## Throw INPUTS=1000000 hostile deliveries, events and messages at the functions; with BUG=name to see it found.
	@$(BIN)/python -m tests.security --inputs $(or $(INPUTS),1000000) --seed $(or $(SEED),0) $(if $(BUG),--bug $(BUG)) --json build/fuzz.json

fuzz-bugs: setup ## Plant each known bug in the relay, and say which input finds it first.
	@$(BIN)/python -m tests.security --bugs --json build/fuzz-bugs.json

outages: setup ## Live through long outages of Prisjakt and AWS; NAMES="sqs-1-hour" for some of them.
	@$(BIN)/python -m tests.simulation.outages --json build/outages.json $(NAMES)

proof: setup ## Write what campaign, simulate-bugs and outages came to into docs/proof.md.
	@$(BIN)/python -m tests.simulation.record build/campaign.json build/bugs.json build/outages.json

check: setup ## Lint, format, types, layers, template.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/cfn-lint template.yaml

snippet: snippet/node_modules ## Build the capture script: dist, the Liquid file, the plugin's copy. Needs Node.
	@cd snippet && node build.mjs

snippet/node_modules: snippet/package-lock.json
	@cd snippet && npm ci --silent && touch node_modules

test-snippet: setup snippet/node_modules ## Test the capture script in three browsers, or in BROWSERS=chromium, and the plugin in PHP.
	@cd snippet && node build.mjs --check
	php snippet/woocommerce/tests/run.php
	$(BIN)/pytest tests/browser --browsers $(BROWSERS)

sizes: snippet/node_modules ## The scripts' sizes beside others'. Fetches the others from npm.
	@cd snippet && node sizes.mjs

load: setup ## What the capture script costs a page on load. Needs Chromium.
	@$(BIN)/python -m tests.browser.load_cost

build: setup ## Build the functions for Lambda, without Docker.
	$(SAM) build

test-artifacts: build ## Test what `make build` made.
	SAM_BUILD=.aws-sam/build $(BIN)/pytest tests/test_artifacts.py

test-wheel: setup ## Install the wheel by itself and run the demo from it. Fetches its dependencies.
	rm -rf build/wheel
	$(BIN)/uv build --quiet --wheel --no-build-isolation --out-dir build/wheel
	$(BIN)/python -m venv build/wheel/venv
	$(BIN)/uv pip install --quiet --python build/wheel/venv/bin/python --constraint requirements/dev.txt "$$(echo build/wheel/*.whl)[local]"
	cd build/wheel && XDG_CACHE_HOME=$$PWD/cache venv/bin/prisjakt-relay demo

validate: setup ## What SAM itself says of the template.
	$(SAM) validate --lint

bench: setup ## Measure starts, warm calls, cost, a backlog and sizes against their targets. Needs Linux.
	$(BIN)/python -m tests.benchmark

bench-orders: setup ## Time `report` and `dead list` over 100,000 orders. Needs Linux.
	$(BIN)/python -m tests.benchmark.many_orders

bench-reconcile: setup ## Time `reconcile` and `backfill` over 10,000 orders of each platform. Needs Linux.
	$(BIN)/python -m tests.benchmark.many_shop_orders

load-test: setup ## Offer 1,000 webhooks/s for 60 s: none that was taken is lost, and the functions take all. Needs Linux.
	@$(BIN)/python -m tests.benchmark.load --json build/load.json

soak: setup ## Offer 20 webhooks/s for MINUTES=30 each to TARGET=both, lambda or local: does memory stay flat? Needs Linux.
	@$(BIN)/python -m tests.benchmark.load --soak $(or $(MINUTES),30) --target $(or $(TARGET),both) --json build/soak.json

many-shops: setup ## 500 shops in one stack, ten in trouble: does it stay their own? SHOPS=100 for fewer. Needs Linux.
	@$(BIN)/python -m tests.benchmark.many_shops --shops $(or $(SHOPS),500) --json build/many-shops.json

release: build ## dist/prisjakt-relay-VERSION.zip: template, built functions, tool, snippet, bills of materials.
	@$(BIN)/python -m tests.release.archive

test-release: release ## Test the archive as somebody who unzips it. Fetches this host's compiled packages.
	RELEASE=dist $(BIN)/pytest tests/release/test_unzipped.py
	rm -rf build/release
	$(BIN)/python -m zipfile -e dist/$$($(BIN)/python -c 'from tests.release.archive import NAME; print(NAME)').zip build/release
	$(SAM) validate --lint --region eu-north-1 --template $$(echo build/release/*/template.yaml)

sbom: setup ## Bills of materials (CycloneDX) of the functions and of the tool, in dist/sbom.
	@$(BIN)/python -m tests.release.bill_of_materials

licences: setup ## Write docs/dependencies.md: every locked package, its licence, why it is there.
	@$(BIN)/python -m tests.release.dependencies

picture: setup ## Draw the README's pictures anew. Needs Chromium.
	@$(BIN)/python -m prisjakt_relay.local.picture
	@$(BIN)/python -m tests.browser.picture

lock: setup ## Lock the newest versions that are at least a week old.
	$(COMPILE) pyproject.toml --extra local --group pyproject.toml:dev --output-file requirements/dev.txt --upgrade
	$(COMPILE) requirements/uv.in --constraint requirements/dev.txt --output-file requirements/uv.txt --upgrade
	$(COMPILE) --group pyproject.toml:receiver --constraint requirements/dev.txt --output-file requirements/receiver.txt --upgrade
	$(COMPILE) --group pyproject.toml:sender --constraint requirements/dev.txt --output-file requirements/sender.txt --upgrade
	$(COMPILE) --group pyproject.toml:reconciler --constraint requirements/dev.txt --output-file requirements/reconciler.txt --upgrade

hooks: setup ## Run `make check` before every commit.
	$(BIN)/pre-commit install

deploy: build ## Deploy into your AWS account; asks what it needs to know.
	$(SAM) deploy --guided --capabilities CAPABILITY_IAM

clean: ## Remove everything that was made.
	rm -rf .venv snippet/node_modules .aws-sam build dist .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
