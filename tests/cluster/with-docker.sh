#!/usr/bin/env bash
# The checks that need a Docker engine and kind, for a maintainer who has them: both images by plain `docker build`, a
# kind cluster (which enforces NetworkPolicies), the official Envoy image, and the e2e tests on all of it.
set -euo pipefail
cd "$(dirname "$0")/../.."
docker info >/dev/null
command -v kind >/dev/null
docker build -f images/redstart.Containerfile --build-arg EXTRAS="operator" -t redstart-operator .
docker build -f images/redstart.Containerfile --build-arg EXTRAS="server sidecar trainer" -t redstart-runtime .
make cluster images install
envoy=$(sed -nE '/router:/,/tag:/s/ +tag: (v.*)/docker.io\/envoyproxy\/envoy:\1/p' charts/redstart/values.yaml)
docker pull "$envoy"
kind load docker-image "$envoy" --name redstart
eval "$(.venv/bin/python -m tests.cluster env)"
helm upgrade redstart charts/redstart --namespace redstart-system --reuse-values --wait --timeout 5m \
  --set images.router.repository="${envoy%:*}" --set images.router.tag="${envoy##*:}"
.venv/bin/pytest -n 3 -m 'not alone' tests/e2e
.venv/bin/pytest -m alone tests/e2e
