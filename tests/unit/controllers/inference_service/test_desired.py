"""What is applied for a service, whole, and what follows the spec and the settings without a new revision."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.unit.controllers.inference_service.builders import IMAGE, artifact, observed, role, spec, steady
from tests.unit.controllers.objects import Object, claim, documents

from redstart.api.v1alpha1 import InferenceServiceSpec, ModelVersionSpec
from redstart.controllers.inference_service import desired, serving
from redstart.controllers.inference_service.transitions import Transition
from redstart.kube.controller import Context
from redstart.settings import Settings, parse

PODS = """
labels: {cost-center: "7"}
tolerations: [{key: ml, operator: Exists}]
imagePullSecrets: [{name: registry}]
priorityClassName: helpers
serviceAccountName: helper
env: [{name: HTTPS_PROXY, value: "http://proxy:3128"}]
trustedCertificates: company
fixedUser: false
listenOn: "0.0.0.0"
"""


def settings(pods: str = "{}") -> Settings:
    indented = "\n".join(f"  {line}" for line in pods.strip().splitlines())
    return parse(f"images: {{runtime: '{IMAGE}', router: 'envoy:1'}}\npods:\n{indented}\n")


def version(**changes: Any) -> ModelVersionSpec:
    made = artifact(1).model_copy(update=changes)
    return ModelVersionSpec(model="m", number=1, artifact=made)


def children(
    service: InferenceServiceSpec | None = None,
    existing: tuple[Object, ...] = (),
    found: ModelVersionSpec | None = None,
    pods: str = "{}",
) -> dict[str, Object]:
    """By kind and name."""
    seen = observed(
        service or spec(),
        version_specs={"m-v1": found or version()},
        claims={"models": claim("models", "ReadWriteOnce")},
        children=existing,
    )
    context = cast("Context", SimpleNamespace(settings=settings(pods), namespace="redstart-system"))
    made = desired.children(seen, Transition(steady(1), {role(1).revision: 2}), context)
    return {f"{child['kind']} {child['metadata']['name']}": child for child in made}


SERVER = f"Deployment {serving.child_name('s', role(1).revision)}"
ROUTER = "Deployment s-router"


@pytest.mark.parametrize(
    ("name", "service", "pods"),
    [
        pytest.param("plain", spec(), "{}", id="as it comes"),
        pytest.param(
            "everything",
            spec(
                router={
                    "labels": {"team": "a"},
                    "nodeSelector": {"zone": "edge"},
                    "resources": {"limits": {"cpu": "2"}},
                },
                predictor={
                    "resources": {"limits": {"memory": "512Mi"}},
                    "template": {"labels": {"team": "b"}},
                },
            ),
            PODS,
            id="with a template for router and server and the operator's settings",
        ),
    ],
)
def test_the_pods_of_a_service(
    name: str, service: InferenceServiceSpec, pods: str, golden: Callable[[str, str], None]
) -> None:
    made = children(service, pods=pods)
    templates = [made[kind]["spec"]["template"] for kind in (SERVER, ROUTER)]
    golden(f"{name}.yaml", documents(templates))


def test_settings_of_the_operator_change_no_pod_that_serves() -> None:
    before = children()
    existing = tuple(
        child | {"metadata": child["metadata"] | {"namespace": "n"}} for child in before.values()
    )
    after = children(existing=existing, pods=PODS)
    assert after[SERVER] == before[SERVER]
    assert after[ROUTER]["spec"]["template"] == before[ROUTER]["spec"]["template"]


def test_nothing_of_a_node_is_kept_in_a_template() -> None:
    assert "gone-node" not in json.dumps(children())
