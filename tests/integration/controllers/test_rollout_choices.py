"""What a person decides of a rollout while it runs, and what newer and deleted versions do to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from redstart.kube.client import connect
from redstart.kube.credentials import Credentials
from redstart.kube.kinds import INFERENCE_SERVICE, MODEL_VERSION
from tests.integration.api import Api
from tests.integration.controllers.serving_world import NAME, ServingWorld


@pytest.fixture
async def world(api: Api, account: Credentials, namespace: str) -> AsyncIterator[ServingWorld]:
    async with connect(account, connections=20) as session:
        made = ServingWorld(api, session, account.server, namespace)
        yield made
        made.nodes.close()


async def test_edits_that_wait_are_told_and_an_annotation_promotes(world: ServingWorld) -> None:
    await world.serve()
    world.requests = 0
    world.version(2)
    await world.until(lambda: world.status.get("canary", {}).get("weight") == 20)
    assert world.condition(INFERENCE_SERVICE, NAME, "PolicyUpToDate")[0] == ""
    world.edit(INFERENCE_SERVICE, NAME, {"spec": {"rollout": {"minSamples": 1, "onInconclusive": "Promote"}}})
    await world.look()
    status, reason, message = world.condition(INFERENCE_SERVICE, NAME, "PolicyUpToDate")
    assert (status, reason) == ("False", "ChangedDuringRollout")
    assert "minSamples (50, now 1), onInconclusive" in message
    assert world.status["canary"]["weight"] == 20

    promote = {"metadata": {"annotations": {"redstart.dev/promote": "yes"}}}
    world.edit(INFERENCE_SERVICE, NAME, promote)
    for _ in range(3):
        await world.look()
    assert world.status["canary"]["weight"] == 20
    assert f"{NAME}: PromoteIgnored" in world.events()

    rollout = world.status["canary"]["rollout"]
    assert f"redstart.dev/promote={rollout}" in message
    world.edit(INFERENCE_SERVICE, NAME, {"metadata": {"annotations": {"redstart.dev/promote": rollout}}})
    await world.rest()
    assert (world.status["phase"], world.status["stable"]["version"]) == ("Serving", "iris-v2")
    assert world.status["rollouts"][0]["reason"] == "Requested"

    # The annotation stays, and promotes no other rollout.
    world.version(3)
    await world.until(lambda: world.status.get("canary", {}).get("weight") == 20)
    for _ in range(3):
        await world.look()
    assert world.status["canary"]["version"] == "iris-v3"
    assert world.status["canary"]["weight"] == 20


async def test_versions_that_come_faster_than_a_rollout_supersede_it_and_status_says_so(
    world: ServingWorld,
) -> None:
    await world.serve()
    world.requests = 0
    for number in (2, 3, 4):
        world.version(number)
        await world.until(
            lambda number=number: world.status.get("canary", {}).get("version") == f"iris-v{number}"  # type: ignore[misc]
        )
    assert [entry["result"] for entry in world.status["rollouts"]] == ["Superseded", "Superseded"]
    status, _, message = world.condition(INFERENCE_SERVICE, NAME, "RolloutsSuperseded")
    assert status == "True"
    assert "the last 2 rollouts were superseded" in message

    # From now on each rollout ends first.
    world.edit(INFERENCE_SERVICE, NAME, {"spec": {"rollout": {"onNewVersion": "Finish"}}})
    world.version(5)
    for _ in range(3):
        await world.look()
    assert world.status["canary"]["version"] == "iris-v4"
    world.requests = 500
    await world.until(lambda: world.status["stable"]["version"] == "iris-v4")
    assert world.condition(INFERENCE_SERVICE, NAME, "RolloutsSuperseded")[0] == ""
    await world.until(lambda: world.status["stable"]["version"] == "iris-v5")
    results = [(entry["to"], entry["result"]) for entry in world.status["rollouts"][:2]]
    assert results == [("iris-v5", "Promoted"), ("iris-v4", "Promoted")]


async def test_a_deleted_version_serves_on_and_status_says_what_is_so(world: ServingWorld) -> None:
    await world.serve()
    world.version(2)
    await world.until(lambda: world.status["stable"]["version"] == "iris-v2")
    await world.rest()
    world.api.delete(MODEL_VERSION, world.namespace, "iris-v2")
    await world.rest()
    assert world.condition(INFERENCE_SERVICE, NAME) == ("True", "Serving", "iris-v2 serves on 1 of 1 pods")
    status, _, message = world.condition(INFERENCE_SERVICE, NAME, "VersionDeleted")
    assert status == "True"
    assert message.startswith("iris-v2 serves on, and its ModelVersion was deleted; iris-v1 is older")
    assert world.condition(INFERENCE_SERVICE, NAME, "Reconciling")[0] == ""
    assert world.condition(INFERENCE_SERVICE, NAME, "Stalled")[0] == ""


async def test_a_service_whose_version_was_rolled_back_says_why(world: ServingWorld) -> None:
    await world.serve("iris-v1")
    world.version(2)
    world.edit(INFERENCE_SERVICE, NAME, {"spec": {"model": {"version": "iris-v2"}}})
    await world.until(lambda: world.status.get("canary"))
    revision = world.status["canary"]["revision"]
    world.nodes.failing = {revision: 1.0}
    world.nodes.last_errors = {
        revision: {"status": 500, "field": None, "error": "ModelError at inference.py:54"}
    }
    await world.rest()
    assert world.status["rollouts"][0]["lastError"] == {
        "pod": f"{NAME}-{revision}-0",
        "status": 500,
        "error": "ModelError at inference.py:54",
    }
    status, reason, message = world.condition(INFERENCE_SERVICE, NAME, "Stalled")
    assert (status, reason) == ("True", "CanaryRolledBack")
    assert "It was rolled back for ErrorRate: canary 100%" in message
