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
from redstart.api.v1alpha1.common import SecretRef
from redstart.controllers.inference_service import desired, drift, serving
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


def follow(
    service: InferenceServiceSpec, secret: str | None, later: InferenceServiceSpec, other: str | None
) -> tuple[Object, Object]:
    """The serving pods' template of a service as it was made, and after its version or spec changed."""
    found = [
        version(uri="s3://models/m", secret_ref=SecretRef(name=name) if name else None)
        for name in (secret, other)
    ]
    made = children(service, found=found[0])
    after = children(later, existing=tuple(made.values()), found=found[1])
    return made[SERVER]["spec"]["template"], after[SERVER]["spec"]["template"]


def secrets(template: Object) -> tuple[list[str], list[str], list[str]]:
    """Of the pod's volumes, of fetch's mounts, of its arguments."""
    fetch = template["spec"]["initContainers"][0]
    args = fetch["args"]
    return (
        [volume["secret"]["secretName"] for volume in template["spec"]["volumes"] if "secret" in volume],
        [m["mountPath"] for m in fetch["volumeMounts"] if m["mountPath"].startswith("/redstart/secrets")],
        [args[at + 1] for at, arg in enumerate(args) if arg == "--secret"],
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("old", "new", id="another Secret"),
        pytest.param(None, "new", id="a Secret where there was none"),
        pytest.param("old", None, id="no Secret any more"),
        pytest.param("old", "old", id="the same Secret"),
    ],
)
def test_new_pods_of_a_revision_use_the_secret_of_now(before: str | None, after: str | None) -> None:
    was, now = follow(spec(), before, spec(), after)
    assert secrets(was) == ([before], [f"/redstart/secrets/{before}"], [before]) if before else ([], [], [])
    assert secrets(now) == (([after], [f"/redstart/secrets/{after}"], [after]) if after else ([], [], []))
    assert (was == now) == (before == after)
    assert now["metadata"] == was["metadata"], "the same revision"


OTHER = {"template": {"image": "theirs:1"}}


@pytest.mark.parametrize(
    ("predictor", "timeout", "grace", "liveness"),
    [
        pytest.param({}, "10s", 50, 5, id="as it was made"),
        pytest.param({}, "90s", 130, 5, id="our server answers liveness whatever waits"),
        pytest.param(OTHER, "90s", 130, 90, id="another server may have one thread for all"),
        pytest.param(OTHER, "2s", 42, 5, id="a shorter one"),
    ],
)
def test_the_time_limit_reaches_the_pods_of_a_revision_that_exists(
    predictor: Object, timeout: str, grace: int, liveness: int
) -> None:
    later = spec(predictor=predictor, traffic={"timeout": timeout})
    _, now = follow(spec(predictor=predictor), None, later, None)
    assert now["spec"]["terminationGracePeriodSeconds"] == grace
    assert now["spec"]["containers"][0]["livenessProbe"]["timeoutSeconds"] == liveness


def test_a_template_of_an_earlier_operator_stays_as_it_is() -> None:
    before = children()
    template = before[SERVER]["spec"]["template"]
    template["spec"]["containers"][0]["livenessProbe"]["timeoutSeconds"] = 10
    stored = {"metadata": {"annotations": {serving.TEMPLATE_ANNOTATION: json.dumps(template)}}}
    kept = serving.stored_template(stored)
    assert kept is not None
    assert drift.up_to_date(kept, None, 10.0) == kept
