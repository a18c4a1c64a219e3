"""ModelVersions from creation to Ready, against a real API server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from redstart.kube.kinds import INFERENCE_SERVICE, JOB, MODEL_VERSION, POD, Object
from tests.integration.api import Api, RefusedError
from tests.integration.controllers.world import SETTINGS, World
from tests.unit.controllers.objects import GATE_FAILED, at, sha

LOG = json.dumps({"redstart": "details", "importance": [{"feature": "petal", "value": 0.3}]})
VERIFIED = {
    "result": "Verified",
    "reason": "ReferenceRowsMatch",
    "message": "all 256 rows match",
    "detailsDigest": sha(LOG),
}


def version(world: World, number: int = 1, *, artifact: Object | None = None, **spec: Any) -> str:
    """A ModelVersion written by hand."""
    name = f"iris-v{number}"
    standard = {"uri": "pvc://models/iris/artifacts/a", "digest": sha("artifact"), "format": "ONNX"}
    world.create(
        {
            "apiVersion": MODEL_VERSION.api_version,
            "kind": MODEL_VERSION.kind,
            "metadata": {"name": name},
            "spec": {"model": "iris", "number": number, "artifact": standard | (artifact or {})} | spec,
        }
    )
    return name


def verify(world: World, name: str = "iris-v1") -> None:
    """The verifier does its work."""
    pod = world.start_pod(f"{name}-verify")
    world.logs[pod] = f"{LOG}\n"
    world.end_pod(pod, "verify", 0, VERIFIED)
    world.end_job(f"{name}-verify", complete=True)


def fail(world: World, container: str, code: int, reason: str, message: str) -> None:
    pod = world.start_pod("iris-v1-verify")
    world.end_pod(pod, container, code, {"result": "Failed", "reason": reason, "message": message})
    world.end_job("iris-v1-verify", complete=False)


def phase(world: World, name: str = "iris-v1") -> str:
    return str(world.get(MODEL_VERSION, name)["status"]["phase"])


async def test_a_version_is_verified_once(world: World) -> None:
    version(world)
    await world.operate(MODEL_VERSION)
    assert world.names(JOB) == ["iris-v1-verify"]
    assert phase(world) == "Verifying"
    verify(world)
    await world.operate(MODEL_VERSION)
    told = world.get(MODEL_VERSION, "iris-v1")["status"]
    assert told["phase"] == "Ready"
    assert told["verifiedDigest"] == sha("artifact")
    assert told["importance"] == [{"feature": "petal", "value": 0.3}]
    assert world.condition(MODEL_VERSION, "iris-v1") == ("True", "Verified", "all 256 rows match")
    assert world.names(JOB) == []
    assert world.events() == ["iris-v1: Verified"]
    world.restart()
    before = world.writes
    await world.operate(MODEL_VERSION)
    assert world.writes == before
    assert world.names(JOB) == []


async def test_an_artifact_that_is_not_what_it_says_is_rejected_for_good(world: World) -> None:
    version(world)
    await world.operate(MODEL_VERSION)
    fail(world, "fetch", 3, "DigestMismatch", "manifest.json has sha256:b")
    await world.operate(MODEL_VERSION)
    assert phase(world) == "Rejected"
    wanted = ("True", "DigestMismatch", "manifest.json has sha256:b")
    assert world.condition(MODEL_VERSION, "iris-v1", "Stalled") == wanted
    # Its pod is collected one day, and the verdict stands.
    world.api.request("DELETE", f"{POD.path(world.namespace, 'iris-v1-verify-pod')}?gracePeriodSeconds=0")
    world.later = 3600
    world.restart()
    await world.operate(MODEL_VERSION)
    assert world.condition(MODEL_VERSION, "iris-v1", "Stalled") == wanted
    assert world.events() == ["iris-v1: VerificationFailed"]


async def test_a_store_that_does_not_answer_is_asked_again_later(world: World) -> None:
    version(world, artifact={"uri": "s3://models/a", "secretRef": {"name": "store"}})
    await world.operate(MODEL_VERSION)
    fail(world, "fetch", 1, "StoreUnreachable", "s3 did not answer")
    await world.operate(MODEL_VERSION)
    assert phase(world) == "Verifying"
    _, reason, message = world.condition(MODEL_VERSION, "iris-v1", "Reconciling")
    assert reason == "StoreUnreachable"
    assert message.startswith("s3 did not answer (tried again at ")
    first = world.get(JOB, "iris-v1-verify")["metadata"]["uid"]
    world.later = 400
    await world.operate(MODEL_VERSION)
    assert world.get(JOB, "iris-v1-verify")["metadata"]["uid"] != first
    verify(world)
    await world.operate(MODEL_VERSION)
    assert phase(world) == "Ready"


async def test_new_credentials_verify_again_only_what_is_not_verified(world: World) -> None:
    version(world, artifact={"uri": "s3://models/a", "secretRef": {"name": "old"}})
    await world.operate(MODEL_VERSION)
    fail(world, "fetch", 1, "StoreDenied", "s3 says no")
    await world.operate(MODEL_VERSION)
    assert phase(world) == "Verifying"
    world.edit(MODEL_VERSION, "iris-v1", {"spec": {"artifact": {"secretRef": {"name": "new"}}}})
    await world.operate(MODEL_VERSION)
    fetch = world.get(JOB, "iris-v1-verify")["spec"]["template"]["spec"]["initContainers"][0]
    assert fetch["args"][-2:] == ["--secret", "new"]
    verify(world)
    await world.operate(MODEL_VERSION)
    assert phase(world) == "Ready"
    world.edit(MODEL_VERSION, "iris-v1", {"spec": {"artifact": {"secretRef": {"name": "newer"}}}})
    await world.operate(MODEL_VERSION)
    assert phase(world) == "Ready"
    assert world.names(JOB) == []


async def test_a_format_that_is_not_allowed_gets_no_pod(world: World) -> None:
    version(world, artifact={"format": "Joblib"})
    await world.operate(MODEL_VERSION)
    assert phase(world) == "Rejected"
    assert world.condition(MODEL_VERSION, "iris-v1", "Stalled")[1] == "FormatNotAllowed"
    assert world.names(JOB) == []
    world.settings = SETTINGS.model_copy(update={"allowed_formats": ("ONNX", "Joblib")})
    await world.operate(MODEL_VERSION)
    args = world.get(JOB, "iris-v1-verify")["spec"]["template"]["spec"]["containers"][0]["args"]
    assert args[-2:] == ["--formats", "ONNX,Joblib"]


async def test_gates_decide_after_the_verification(world: World) -> None:
    version(world, gates=[GATE_FAILED])
    await world.operate(MODEL_VERSION)
    verify(world)
    await world.operate(MODEL_VERSION)
    assert phase(world) == "Rejected"
    assert world.condition(MODEL_VERSION, "iris-v1") == ("False", "GateFailed", "f1 0.62 < 0.75")
    assert world.condition(MODEL_VERSION, "iris-v1", "Verified")[0] == "True"
    world.edit(MODEL_VERSION, "iris-v1", {"spec": {"gates": [GATE_FAILED | {"bound": 0.6, "passed": True}]}})
    await world.operate(MODEL_VERSION)
    assert phase(world) == "Ready"


async def test_a_missing_claim_is_waited_for(world: World) -> None:
    version(world, artifact={"uri": "pvc://elsewhere/a"})
    await world.operate(MODEL_VERSION)
    assert phase(world) == "Pending"
    assert world.condition(MODEL_VERSION, "iris-v1", "Reconciling")[1] == "ClaimNotFound"
    world.claim("elsewhere")
    await world.operate(MODEL_VERSION)
    assert world.names(JOB) == ["iris-v1-verify"]


async def test_services_that_serve_it_or_rolled_it_back_are_mirrored(world: World) -> None:
    for number in (1, 2):
        version(world, number)
    await world.operate(MODEL_VERSION)
    for number in (1, 2):
        verify(world, f"iris-v{number}")
    await world.operate(MODEL_VERSION)
    world.create(
        {
            "apiVersion": INFERENCE_SERVICE.api_version,
            "kind": INFERENCE_SERVICE.kind,
            "metadata": {"name": "web"},
            "spec": {"model": {"name": "iris"}},
        }
    )
    stable = {"version": "iris-v1", "revision": "abc"}
    rolled_back = {"version": "iris-v2", "revision": "def", "reason": "ErrorRate", "at": at(9)}
    world.set_status(INFERENCE_SERVICE, "web", {"stable": stable, "quarantine": [rolled_back]})
    await world.operate(MODEL_VERSION)
    first, second = (world.get(MODEL_VERSION, f"iris-v{number}")["status"] for number in (1, 2))
    assert first["serving"] == [{"inferenceService": "web", "role": "Stable"}]
    assert second["quarantine"] == [{"inferenceService": "web", "reason": "ErrorRate", "at": at(9)}]
    assert (first["phase"], second["phase"]) == ("Ready", "Quarantined")
    assert world.condition(MODEL_VERSION, "iris-v2")[0] == "True"
    world.api.delete(INFERENCE_SERVICE, world.namespace, "web")
    await world.operate(MODEL_VERSION)
    assert (
        "serving" not in world.get(MODEL_VERSION, "iris-v1")["status"]
        or not (world.get(MODEL_VERSION, "iris-v1")["status"]["serving"])
    )
    assert phase(world, "iris-v2") == "Ready"


async def test_a_job_of_somebody_else_is_not_touched(world: World) -> None:
    before = world.create(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "iris-v1-verify"},
            "spec": {
                "template": {
                    "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}
                }
            },
        }
    )
    version(world)
    await world.operate(MODEL_VERSION)
    assert world.condition(MODEL_VERSION, "iris-v1", "Stalled")[1] == "NameConflict"
    assert world.get(JOB, "iris-v1-verify") == before


async def test_what_was_registered_does_not_change(world: World) -> None:
    version(world, metrics={"f1": 0.8})
    for change in (
        {"number": 2},
        {"metrics": {"f1": 0.99}},
        {"metrics": None},
        {"artifact": {"digest": sha("other")}},
        {"lineage": {"parent": "iris-v0"}},
    ):
        with pytest.raises(RefusedError, match="is immutable: register another version"):
            world.edit(MODEL_VERSION, "iris-v1", {"spec": change})


async def life(world: World) -> None:
    """A version whose store is down at first, and whose gates fail at first."""
    version(world, gates=[GATE_FAILED])
    await world.operate(MODEL_VERSION)
    fail(world, "fetch", 1, "StoreUnreachable", "s3 did not answer")
    await world.operate(MODEL_VERSION)
    world.later = 400
    await world.operate(MODEL_VERSION)
    verify(world)
    await world.operate(MODEL_VERSION)
    world.edit(MODEL_VERSION, "iris-v1", {"spec": {"gates": []}})
    await world.operate(MODEL_VERSION)


async def test_killed_before_any_write_the_next_operator_comes_to_the_same_end(
    world: World, api: Api, account: Any
) -> None:
    await life(world)
    wanted, total = world.snapshot(), world.writes
    assert total > 6
    for number in range(1, total + 1):
        again = World(api, world.client.session, account.server, api.new_namespace())
        again.claim("data")
        again.claim("models")
        again.kill_before = number
        await life(again)
        assert again.kills == 1, number
        assert again.snapshot() == wanted, f"killed before write {number} of {total}"
