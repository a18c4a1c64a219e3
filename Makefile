# On a bare Debian with python3, Go and apt-get, every target installs what it needs by itself.
CACHE ?= $(or $(REDSTART_CACHE),$(HOME)/.cache/redstart)
UV ?= $(or $(shell command -v uv),$(CACHE)/uv/bin/uv)
PYTHON := .venv/bin/python
HELM = $$($(PYTHON) -m tests.cluster.programs helm)
KUBECTL = $$($(PYTHON) -m tests.cluster.programs kubectl)
export KUBECONFIG := $(CURDIR)/.cluster/kubeconfig

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: cluster cluster-down images
cluster: .venv/synced ## start a Kubernetes cluster on this machine (kind where Docker is, else a native one)
	$(PYTHON) -m tests.cluster up

cluster-down: .venv/synced ## delete the cluster
	$(PYTHON) -m tests.cluster down

images: cluster ## build the images that changed and give them to the cluster
	$(PYTHON) -m tests.cluster images

.PHONY: generate install
generate: .venv/synced ## write the CRDs, and the kustomize manifests from the Helm chart
	$(PYTHON) manifests/generate.py $(HELM)

# The images keep their tag: the annotation restarts the operator when its source has changed.
install: .venv/synced ## install the operator with Helm, from the images of this machine
	$(KUBECTL) apply --filename manifests/operator/namespace.yaml
	$(HELM) upgrade --install redstart charts/redstart --namespace redstart-system \
	  --reset-values --values charts/redstart/values-dev.yaml \
	  --set podAnnotations.source=$$(cat $$(find operator/redstart -name '*.py' | sort) | sha256sum | head -c 12) \
	  --wait --timeout 5m

.PHONY: demo
demo: cluster images install ## the life of a model, live: train, serve, canary, promote, roll back
	@$(PYTHON) -m tests.demo

.venv/synced: pyproject.toml uv.lock | $(UV)
	$(UV) sync --quiet --frozen --all-extras
	@touch $@

$(CACHE)/uv/bin/uv:
	python3 -c 'import ensurepip' 2>/dev/null || { apt-get update -q && apt-get install -qy python3-venv; }
	python3 -m venv $(CACHE)/uv
	$(CACHE)/uv/bin/pip install --quiet --disable-pip-version-check 'uv>=0.13,<0.14'

.PHONY: test lint unit integration e2e bench docs
test: lint unit integration e2e ## all checks and tests, on a real cluster

lint: .venv/synced ## format, lint, types, layers, generated files
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(MAKE) generate
	git diff --exit-code -- manifests charts

unit: .venv/synced ## fast and pure
	.venv/bin/pytest -n 2 tests/unit

integration: .venv/synced ## against a real etcd, API server, Envoy and S3 server
	$(PYTHON) -m tests.cluster.programs
	.venv/bin/pytest -n 2 tests/integration

e2e: cluster images install ## against the real cluster
	.venv/bin/pytest -n 3 -m 'not alone' tests/e2e
	.venv/bin/pytest -m alone tests/e2e

bench: cluster images install ## our figures beside their baselines, into docs/benchmarks.md
	$(PYTHON) -m tests.benchmarks

docs: .venv/synced ## links and examples of the documentation
	.venv/bin/pytest tests/unit/docs
