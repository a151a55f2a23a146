# Everything a newcomer needs: `make run` and `make test`. `make help` lists the rest.
.DEFAULT_GOAL := help
SHELL := /bin/sh

PYTHON ?= python3
BOOTSTRAP := .uv/bin/python
UV := .uv/bin/uv
UV_HASHES := deploy/uv.txt
BIN := .venv/bin
SETUP_STAMP := .venv/.setup
MEMBERS := $(wildcard libs/*/pyproject.toml services/*/pyproject.toml tools/*/pyproject.toml)
SOURCES := libs services tools tests
BASE ?= python:3.11-slim-bookworm
REPOSITORY ?= holdfast
TAG ?= dev
SEEDS ?= 10000
SERVICES ?= signal scoring gate execution reconciliation admin papermarket cli simulation

.PHONY: help setup run test coverage lint types holes audit protos protos-check protos-baseline docs faults chart seeds proofs simulate mutants bench contract-alpaca nightly images release e2e clean

help: ## List the targets
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

$(UV): $(UV_HASHES)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "holdfast needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)" >&2; exit 1; }
	$(PYTHON) -m venv .uv
	$(BOOTSTRAP) -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r $(UV_HASHES)
	@touch $@

# Compiled here, once: else each of the stack's processes does it as it starts, and all of them each time where
# Python is told to write no bytecode (PYTHONDONTWRITEBYTECODE). A busy machine may take its time over it.
$(SETUP_STAMP): $(UV) uv.lock pyproject.toml $(MEMBERS)
	UV_COMPILE_BYTECODE_TIMEOUT=0 $(UV) sync --frozen --quiet --compile-bytecode --python $(PYTHON)
	@$(BIN)/python -m compileall -q -j 0 $(SOURCES)
	@touch $@

setup: $(SETUP_STAMP) ## Install everything into .venv, from the lock

run: setup ## Start the stack and replay the recorded week
	$(BIN)/holdfast up

test: setup lint types holes ## Everything that CI needs: lint, types, contracts, tests
	$(BIN)/pytest
	$(MAKE) --no-print-directory coverage

coverage: setup ## That the tests of what decides (core and gate) reach 92 % of its lines
	$(BIN)/pytest -q --cov --cov-report=term libs/core services/gate

lint: setup ## ruff, import contracts, dependencies, buf
	@$(UV) tree --frozen --quiet >/dev/null # the workspace is sound: no cache that Python left looks like a member
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check --quiet $(SOURCES)
	$(BIN)/lint-imports --no-logo
	$(BIN)/python tools/dependencies.py
	$(MAKE) --no-print-directory protos-check

holes: setup ## bandit and a secret scan
	$(BIN)/python tools/audit.py code secrets

audit: setup ## The same, and the lock against the known vulnerabilities (asks PyPI or OSV)
	$(BIN)/python tools/audit.py

types: setup ## mypy, strict
	$(BIN)/mypy libs/core/src libs/runtime/src libs/venue/src libs/exchange/src libs/catalogue/src services/*/src tools/*/src

protos: setup ## Generate libs/contracts from protos/
	$(BIN)/python tools/protos.py

protos-check: setup ## buf lint and breaking, and that the generated code is current
	$(BIN)/buf lint
	$(BIN)/buf breaking --against protos/baseline.binpb
	$(BIN)/python tools/protos.py --check

protos-baseline: protos ## Take the present contracts as those that later ones must not break
	$(BIN)/buf build -o protos/baseline.binpb

docs: setup ## Generate the docs that come from code
	$(BIN)/python -m holdfast_runtime.config_docs > docs/configuration.md
	$(BIN)/python -m holdfast_catalogue.docs > docs/failure-points.md
	$(BIN)/python -m holdfast_exchange.faults.docs > docs/faults.md
	$(BIN)/python tools/dashboards.py
	$(BIN)/python -m holdfast_runtime.bus.permissions > deploy/helm/holdfast/files/nats-permissions.conf

faults: setup ## An hour with every fault of papermarket on, one after the other (about 20 minutes, 40 on two cores)
	HOLDFAST_ALL_FAULTS=1 $(BIN)/pytest tests/drills/test_an_hour_with_each_fault.py tests/drills/test_an_hour_with_failing_sources.py

chart: setup ## Renew what the chart has from elsewhere, and the manifests that its tests compare with
	$(BIN)/python tools/chart.py
	$(BIN)/python -m tests.chart.golden

nightly: audit seeds proofs simulate mutants faults bench ## The long runs; `make -k nightly` goes on where one of them fails

seeds: setup ## Random searches, deeper than a push has time for
	HOLDFAST_SEEDS=0-499 HOLDFAST_MACHINE_RUNS=2000 $(BIN)/pytest --timeout 3600 \
	  services/execution/tests/test_random_order_safety.py services/execution/tests/test_ledger_machine.py \
	  libs/exchange/tests/test_exchange_machine.py

proofs: setup ## The order protocol at production's size (3 GB), a million trades without drift, a week with its quiet instants
	HOLDFAST_MODEL=deep HOLDFAST_TRADES=1000000 HOLDFAST_BACKTEST=week $(BIN)/pytest \
	  tools/simulation/tests/test_protocol_model.py services/execution/tests/test_pnl_does_not_drift.py \
	  tools/simulation/tests/test_backtest_quiet.py

simulate: setup ## 10,000 seeds of the simulated world: [SEEDS=...]
	$(BIN)/holdfast simulate --seeds $(SEEDS)

mutants: setup ## Take each safeguard out and look whether the simulation notices
	$(BIN)/python -m holdfast_simulation.mutants

bench: setup ## Latency and throughput, beside a floor in the same run
	$(BIN)/python tests/load/bench.py

contract-alpaca: setup ## The contract suite against a real paper account: ALPACA_API_KEY, ALPACA_SECRET_KEY
	$(BIN)/python tests/contract/alpaca/run.py

images: ## Build the images $(REPOSITORY)/<service>:$(TAG): [TAG=dev] [SERVICES="gate cli"] [BASE=...]
	@for service in $(SERVICES); do \
	  echo "$(REPOSITORY)/$$service:$(TAG)"; \
	  DOCKER_BUILDKIT=1 docker build --quiet --file deploy/Dockerfile --build-arg SERVICE=$$service --build-arg BASE=$(BASE) \
	    $(IMAGE_FLAGS) --tag $(REPOSITORY)/$$service:$(TAG) . || exit 1; \
	done

release: setup ## Build images, chart, bills of materials and digests, signed: VERSION= KEY= [REPOSITORY=] [PUSH=1]
	@test -n "$(VERSION)" -a -n "$(KEY)" || { echo "release: say VERSION= and KEY= (an SSH key)" >&2; exit 1; }
	@test -z "$$(git status --porcelain)" || { echo "release: the work tree has changes" >&2; exit 1; }
	$(MAKE) --no-print-directory images TAG=$(VERSION) IMAGE_FLAGS="--label org.opencontainers.image.version=$(VERSION) \
	  --label org.opencontainers.image.revision=$$(git rev-parse HEAD)"
	@test -z "$(PUSH)" || for service in $(SERVICES); do docker push $(REPOSITORY)/$$service:$(VERSION) || exit 1; done
	$(BIN)/python tools/release.py --version $(VERSION) --repository $(REPOSITORY) --services $(SERVICES) --key $(KEY) --out dist/$(VERSION)

e2e: setup ## End to end on the cluster of the kube context: install, replay, break, upgrade, uninstall (30 to 45 minutes)
	HOLDFAST_E2E=1 $(BIN)/pytest tests/e2e

clean: ## Remove what setup and runs made
	rm -rf .venv .uv .holdfast
