"""The pod that serves a revision."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.controllers.inference_service.builders import IMAGE, artifact, role, spec

from redstart.controllers.inference_service import serving
from redstart.server import settings


def pod(
    *,
    timeout: float = 10.0,
    formats: tuple[str, ...] = ("ONNX", "Skops"),
    ignored: dict[str, str] | None = None,
    **predictor: Any,
) -> Any:
    runtime = serving.Runtime(IMAGE, "IfNotPresent", 35, formats)
    asked = spec(predictor=predictor)
    made = serving.pod_template(
        "m", asked, role(1), artifact(1), runtime, claims={}, timeout=timeout, ignored=ignored or {}
    )
    return made["spec"]


def env(container: Any) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container["env"]}


def test_a_server_may_load_what_the_operator_allows():
    (server,) = pod(formats=("ONNX", "Joblib"))["containers"]
    assert settings.read(env(server)).formats == ("ONNX", "Joblib")


@pytest.mark.parametrize(
    ("template", "asked"),
    [
        pytest.param({}, None, id="our server reports to it"),
        pytest.param(
            {"image": "mine:1"}, "http://127.0.0.1:8080/v2/health/ready", id="another image is asked"
        ),
        pytest.param(
            {"command": ["x"]}, "http://127.0.0.1:8080/v2/health/ready", id="another command is asked"
        ),
    ],
)
def test_how_the_sidecar_knows_that_the_server_is_ready(template: Any, asked: str | None):
    made = pod(template=template)
    (sidecar,) = (container for container in made["initContainers"] if container["name"] == "metrics")
    assert env(sidecar).get("REDSTART_READINESS_URL") == asked
    (server,) = made["containers"]
    assert server["readinessProbe"]["httpGet"] == {"path": "/v2/health/ready", "port": 9102}


@pytest.mark.parametrize(
    ("template", "timeout", "patience"),
    [
        pytest.param({}, 90.5, 5, id="ours answers whatever waits"),
        pytest.param({"image": "mine:1"}, 0.5, 5, id="another server has some seconds"),
        pytest.param({"image": "mine:1"}, 90.5, 91, id="and as long as a request may take"),
    ],
)
def test_how_long_liveness_waits(template: Any, timeout: float, patience: int):
    (server,) = pod(timeout=timeout, template=template)["containers"]
    assert server["livenessProbe"]["timeoutSeconds"] == patience


def revision(template: Any) -> Any:
    """The children of a revision that was made with a template."""
    return serving.children("m", "m", role(1), template, replicas=1, progress_deadline=60)


@pytest.mark.parametrize(
    ("ignored", "template", "ours"),
    [
        pytest.param({}, {}, True, id="nothing"),
        pytest.param({"wear": "Number", "Größe": "Category"}, {}, True, id="two"),
        pytest.param({'"$(HOME)\\\n': "Number", "price$$": "Number"}, {}, True, id="names of any characters"),
        pytest.param({"wear": "Number"}, {"image": "mine:1"}, False, id="a server of the user's own"),
    ],
)
def test_what_a_server_ignores_is_read_back_from_its_template(
    ignored: dict[str, str], template: Any, ours: bool
):
    made = {"metadata": {}, "spec": pod(ignored=ignored, template=template)}
    kept = serving.template_of(revision(made)[2:], role(1).revision)
    assert kept == made
    assert (serving.ignored_inputs(kept), serving.reports_itself(kept)) == (ignored, ours)
    assert serving.template_of(revision(made), role(2).revision) is None
    (server,) = made["spec"]["containers"]
    assert "$" not in env(server).get("REDSTART_IGNORED_INPUTS", "")
    variables = env(server) | {"REDSTART_MODEL": "m", "REDSTART_VERSION": "m-v1"}
    assert settings.read(variables).ignored_inputs == tuple(ignored)
