"""What a service says and does while something in the cluster is missing: nothing of it is a version's fault."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from redstart.controllers.conditions import timestamp
from redstart.kube.client import connect
from redstart.kube.credentials import Credentials
from redstart.kube.kinds import EVENT, INFERENCE_SERVICE, POD, Object
from tests.integration.api import Api
from tests.integration.controllers.serving_world import NAME, ROUTER, ServingWorld, service

QUOTA = "exceeded quota: team, requested: limits.cpu=1, used: limits.cpu=2, limited: limits.cpu=2"
FULL = "0/3 nodes are available: 3 Insufficient cpu."


@pytest.fixture
async def world(api: Api, account: Credentials, namespace: str) -> AsyncIterator[ServingWorld]:
    async with connect(account, connections=20) as session:
        made = ServingWorld(api, session, account.server, namespace)
        yield made
        made.nodes.close()


def refused(pod: str) -> str:
    return f'pods "{pod}-6d4f-x1x2z" is forbidden: {QUOTA}'


def unschedulable() -> Object:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": FULL}
    return {"phase": "Pending", "conditions": [condition | {"lastTransitionTime": timestamp(0)}]}


def pulling(now: float) -> Object:
    """The node can start containers, and the first pull of the first image has just failed."""
    return {
        "phase": "Pending",
        "conditions": [
            {"type": "PodReadyToStartContainers", "status": "True", "lastTransitionTime": timestamp(now)}
        ],
        "initContainerStatuses": [
            {
                "name": "fetch",
                "image": "runtime:1",
                "imageID": "",
                "ready": False,
                "restartCount": 0,
                "state": {"waiting": {"reason": "ErrImagePull", "message": "connection refused"}},
            }
        ],
    }


async def canary(world: ServingWorld) -> str:
    """The second version's rollout begins, whose Deployment has no pod yet; returns the Deployment's name."""
    world.version(2)
    while "rollout" not in world.record:
        await world.look()
    return f"{NAME}-{world.record['rollout']['other']['revision']}"


def events(world: ServingWorld, reason: str) -> list[str]:
    found = world.api.list(EVENT, world.namespace)
    return [event["message"] for event in found if event["reason"] == reason]


@pytest.mark.parametrize("kind", ["quota", "node"])
async def test_a_canary_that_finds_no_room_waits_and_names_it_and_is_promoted_later(
    world: ServingWorld, kind: str
) -> None:
    await world.serve()
    deployment = await canary(world)
    if kind == "quota":
        world.nodes.refused[deployment] = refused(deployment)
        reason, sentence = "FailedCreate", f"the API server refuses the pod: forbidden: {QUOTA}"
    else:
        world.nodes.hindered[deployment] = unschedulable()
        reason, sentence = "Unschedulable", f"no node can take the pod: {FULL}"
    for _ in range(5):
        await world.look()
    assert world.status["phase"] == "Canary"
    assert world.status["quarantine"] == []
    status, told, message = world.condition(INFERENCE_SERVICE, NAME, "PodsBlocked")
    assert (status, told) == ("True", reason)
    assert sentence in message
    assert world.condition(INFERENCE_SERVICE, NAME, "Progressing")[1] == "CanaryNotReady"
    assert world.condition(INFERENCE_SERVICE, NAME)[0] == "True"
    assert len(events(world, reason)) == 1

    # Longer than the Deployment gives its pods: told as what only somebody can mend.
    world.nodes.overdue.add(deployment)
    await world.look()
    assert world.condition(INFERENCE_SERVICE, NAME, "Stalled")[1] == reason
    assert world.status["rollouts"] == []

    world.nodes.refused.clear()
    world.nodes.hindered.clear()
    world.nodes.overdue.clear()
    await world.rest()
    (entry,) = world.status["rollouts"]
    assert (entry["result"], entry["to"]) == ("Promoted", "iris-v2")
    assert world.condition(INFERENCE_SERVICE, NAME, "PodsBlocked")[0] == ""


async def test_a_registry_that_is_away_for_a_while_is_waited_for(world: ServingWorld) -> None:
    await world.serve()
    deployment = await canary(world)
    world.nodes.hindered[deployment] = pulling(world.now())
    for _ in range(12):
        await world.look()
    assert world.status["phase"] == "Canary"
    assert world.condition(INFERENCE_SERVICE, NAME, "PodsBlocked")[1] == "ImagePullBackOff"
    world.nodes.hindered.clear()
    await world.rest()
    assert [entry["result"] for entry in world.status["rollouts"]] == ["Promoted"]


async def test_an_image_that_cannot_be_pulled_for_two_minutes_is_rolled_back(world: ServingWorld) -> None:
    await world.serve()
    deployment = await canary(world)
    world.nodes.hindered[deployment] = pulling(world.now())
    await world.look()
    world.later += 120
    await world.until(lambda: world.status.get("rollouts"))
    (entry,) = world.status["rollouts"]
    assert (entry["result"], entry["reason"]) == ("RolledBack", "ImagePullFailed")
    assert "connection refused" in entry["message"]


async def test_a_secret_that_is_missing_is_told_of_stable_and_of_its_router(world: ServingWorld) -> None:
    world.claim("models")
    world.version(1)
    creating = {"phase": "Pending", "containerStatuses": []}
    world.nodes.hindered[ROUTER] = creating
    world.create(service())
    await world.look()
    (deployment,) = [f"{NAME}-{revision}" for revision in world.revisions]
    world.nodes.hindered[deployment] = creating
    await world.look()
    for name in (f"{deployment}-0", f"{ROUTER}-0"):
        pod = world.get(POD, name)
        world.create(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": f"mount-{name}"},
                "involvedObject": {
                    "kind": "Pod",
                    "namespace": world.namespace,
                    "name": name,
                    "uid": pod["metadata"]["uid"],
                },
                "type": "Warning",
                "reason": "FailedMount",
                "message": f'MountVolume.SetUp failed for volume "secret-s" : secret "{name}" not found',
            }
        )
    world.later += 10
    await world.look()
    status, reason, message = world.condition(INFERENCE_SERVICE, NAME, "PodsBlocked")
    assert (status, reason) == ("True", "FailedMount")
    assert f'secret "{deployment}-0" not found' in message
    assert f'secret "{ROUTER}-0" not found' in message
    assert f'secret "{deployment}-0" not found' in world.condition(INFERENCE_SERVICE, NAME)[2]
    assert len([event for event in events(world, "FailedMount") if event.startswith("stable: ")]) == 1

    world.nodes.hindered.clear()
    await world.rest()
    assert world.status["phase"] == "Serving"


async def test_a_service_that_stops_serving_says_so_once(world: ServingWorld) -> None:
    await world.serve()
    for pod in world.nodes.running.values():
        pod.ready = False
    world.nodes.report()
    for _ in range(3):
        await world.look()
    assert world.status["phase"] == "Degraded"
    assert events(world, "Degraded") == ["no pod of iris-v1 is ready"]


async def test_a_canary_takes_over_from_a_stable_without_pods(world: ServingWorld) -> None:
    await world.serve()
    deployment = await canary(world)
    await world.until(lambda: world.status.get("canary", {}).get("weight") == 20)
    (stable,) = [revision for revision in world.revisions if f"{NAME}-{revision}" != deployment]
    for pod in world.nodes.running.values():
        pod.ready = pod.ready and pod.revision != stable
    world.nodes.report()
    await world.look()
    for _ in range(5):
        world.later += 15
        await world.look()
    await world.until(lambda: world.status.get("rollouts"))
    (entry,) = world.status["rollouts"]
    assert (entry["result"], entry["reason"]) == ("Promoted", "StableUnavailable"), entry["message"]
    await world.rest()
    assert world.status["phase"] == "Serving"
    assert world.status["stable"]["version"] == "iris-v2"


async def test_a_former_replica_set_that_was_refused_is_no_news_while_its_pods_run(
    world: ServingWorld,
) -> None:
    await world.serve()
    world.nodes.refused[ROUTER] = refused(ROUTER)
    world.nodes.admit(ROUTER)
    await world.look()
    assert world.condition(INFERENCE_SERVICE, NAME, "PodsBlocked")[0] == ""
    for pod in world.nodes.running.values():
        pod.ready = pod.router is None
    world.nodes.report()
    await world.look()
    assert world.condition(INFERENCE_SERVICE, NAME, "PodsBlocked")[1] == "FailedCreate"
