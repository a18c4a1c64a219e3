"""What a pod's status means to its user."""

from __future__ import annotations

import pytest
from tests.unit.controllers.objects import NOW, Object, at, pod, terminated, waiting

from redstart.controllers import pod_status

JOB: Object = {"metadata": {"name": "job", "uid": "job", "labels": {}}}
PULL = 'failed to pull and unpack image "x": not found'

BLOCKED: dict[str, tuple[Object, str | None, str]] = {
    "a pod that runs is not blocked": (pod(JOB), None, ""),
    "a pod whose containers are being made is not blocked": (
        pod(JOB, phase="Pending", containerStatuses=[waiting("trainer", "ContainerCreating")]),
        None,
        "",
    ),
    "no node has room": (
        pod(
            JOB,
            phase="Pending",
            conditions=[
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "Unschedulable",
                    "message": "0/1 nodes are available: 1 Insufficient memory.",
                }
            ],
        ),
        "Unschedulable",
        "no node can take the pod: 0/1 nodes are available: 1 Insufficient memory.",
    ),
    "an image cannot be pulled": (
        pod(JOB, phase="Pending", containerStatuses=[waiting("trainer", "ErrImagePull", PULL)]),
        "ImagePullBackOff",
        f'image "example.com/runtime:1" of container trainer cannot be pulled: {PULL}',
    ),
    "between two attempts to pull the sentence is the same": (
        pod(
            JOB,
            phase="Pending",
            containerStatuses=[
                waiting("trainer", "ImagePullBackOff", f'Back-off pulling image "x": ErrImagePull: {PULL}')
            ],
        ),
        "ImagePullBackOff",
        f'image "example.com/runtime:1" of container trainer cannot be pulled: {PULL}',
    ),
    "an older kubelet does not say why it backs off": (
        pod(
            JOB,
            phase="Pending",
            containerStatuses=[waiting("trainer", "ImagePullBackOff", 'Back-off pulling image "x"')],
        ),
        "ImagePullBackOff",
        'image "example.com/runtime:1" of container trainer cannot be pulled',
    ),
    "a container cannot be made": (
        pod(
            JOB,
            phase="Pending",
            initContainerStatuses=[
                waiting("fetch", "CreateContainerConfigError", "failed to create subPath directory")
            ],
        ),
        "CreateContainerConfigError",
        "container fetch cannot start: failed to create subPath directory",
    ),
    "a container keeps crashing, and its last words are told": (
        pod(
            JOB,
            containerStatuses=[
                waiting(
                    "server",
                    "CrashLoopBackOff",
                    lastState={"terminated": {"exitCode": 1, "message": "Traceback\nValueError: no\n"}},
                )
            ],
        ),
        "CrashLoopBackOff",
        "container server keeps failing: container server ended with exit code 1: ValueError: no",
    ),
}


@pytest.mark.parametrize(("observed", "reason", "message"), BLOCKED.values(), ids=BLOCKED.keys())
def test_blocked(observed: Object, reason: str | None, message: str) -> None:
    problem = pod_status.blocked(observed)
    if reason is None:
        assert problem is None
    else:
        assert problem == (reason, message)


FAILURES: dict[str, tuple[Object, str | None, str]] = {
    "a pod that ended well did not fail": (
        pod(JOB, phase="Succeeded", containerStatuses=[terminated("trainer")]),
        None,
        "",
    ),
    "memory ran out, and the limit is named": (
        pod(
            JOB,
            phase="Failed",
            containerStatuses=[
                terminated("trainer", 137, reason="OOMKilled") | {"resources": {"limits": {"memory": "1Gi"}}}
            ],
        ),
        "OOMKilled",
        "container trainer was killed because it needed more memory than its limit of 1Gi",
    ),
    "memory ran out without a limit": (
        pod(JOB, phase="Failed", containerStatuses=[terminated("trainer", 137, reason="OOMKilled")]),
        "OOMKilled",
        "container trainer was killed because it needed more memory than the node has",
    ),
    "the node evicted it": (
        pod(JOB, phase="Failed", reason="Evicted", message="The node was low on resource: memory."),
        "Evicted",
        "the pod was ended by its node: The node was low on resource: memory.",
    ),
    "it ended with an exit code and the end of a log": (
        pod(
            JOB,
            phase="Failed",
            containerStatuses=[terminated("trainer", 1, "Traceback...\nKeyError: 'a'\n")],
        ),
        "ContainerFailed",
        "container trainer ended with exit code 1: KeyError: 'a'",
    ),
}


@pytest.mark.parametrize(("observed", "reason", "message"), FAILURES.values(), ids=FAILURES.keys())
def test_failure(observed: Object, reason: str | None, message: str) -> None:
    problem = pod_status.failure(observed)
    if reason is None:
        assert problem is None
    else:
        assert problem == (reason, message)


WAITING: dict[str, tuple[Object, bool]] = {
    "every container is being made": (
        pod(JOB, phase="Pending", containerStatuses=[waiting("trainer", "ContainerCreating")]),
        True,
    ),
    "a container runs": (pod(JOB, containerStatuses=[{"name": "trainer", "state": {"running": {}}}]), False),
    "an init container has ended": (
        pod(
            JOB,
            phase="Pending",
            initContainerStatuses=[terminated("fetch")],
            containerStatuses=[waiting("verify", "PodInitializing")],
        ),
        False,
    ),
    "no node has been chosen": (pod(JOB, phase="Pending") | {"spec": {}}, False),
    "the pod has ended": (pod(JOB, phase="Failed"), False),
}


@pytest.mark.parametrize(("observed", "wanted"), WAITING.values(), ids=WAITING.keys())
def test_waiting_for_volumes(observed: Object, wanted: bool) -> None:
    assert pod_status.waiting_for_volumes(observed) is wanted


QUOTA = "exceeded quota: q, requested: limits.cpu=1, used: limits.cpu=2, limited: limits.cpu=2"
REFUSED: dict[str, tuple[Object | None, str | None]] = {
    "its pods can be made": (None, None),
    "a quota is used up": (
        {"message": f'pods "iris-7d9f-x2x1k" is forbidden: {QUOTA}'},
        f"the API server refuses the pod: forbidden: {QUOTA}",
    ),
    "pod security refuses it": (
        {
            "message": 'pods "iris-7d9f-abcde" is forbidden: violates PodSecurity "restricted:latest": seccompProfile'
        },
        'the API server refuses the pod: forbidden: violates PodSecurity "restricted:latest": seccompProfile',
    ),
    "a webhook refuses it": (
        {"message": 'admission webhook "cost.example.com" denied the request: label cost-center is missing'},
        'the API server refuses the pod: admission webhook "cost.example.com" denied the request: '
        "label cost-center is missing",
    ),
    "its pods can be made again": ({"status": "False", "message": "old"}, None),
}


@pytest.mark.parametrize(("condition", "want"), REFUSED.values(), ids=REFUSED.keys())
def test_why_a_deployment_has_no_pod(condition: Object | None, want: str | None) -> None:
    told = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate"} | (condition or {})
    problem = pod_status.refused({"status": {"conditions": [told] if condition else []}})
    assert (problem.message if problem else None) == want
    assert problem is None or problem.reason == "FailedCreate"


def started(seconds_ago: float) -> Object:
    return {"name": "server", "state": {"running": {"startedAt": at(seconds_ago)}}}


STARTABLE = {"type": "PodReadyToStartContainers", "status": "True", "lastTransitionTime": at(300)}
FETCHED = {
    "name": "fetch",
    "state": {"terminated": {"startedAt": at(200), "finishedAt": at(90), "exitCode": 0}},
}
PULLING = waiting("server", "ImagePullBackOff")
TIMES: dict[str, tuple[Object, float, float]] = {
    "a pod that was never scheduled": (pod(JOB, phase="Pending"), 0.0, 0.0),
    "a pod whose first image cannot be pulled": (
        pod(JOB, phase="Pending", conditions=[STARTABLE], containerStatuses=[PULLING]),
        0.0,
        300.0,
    ),
    "a pod whose second image cannot be pulled": (
        pod(
            JOB,
            phase="Pending",
            conditions=[STARTABLE],
            initContainerStatuses=[FETCHED],
            containerStatuses=[PULLING],
        ),
        200.0,
        90.0,
    ),
    "a pod that runs": (
        pod(JOB, conditions=[STARTABLE], initContainerStatuses=[FETCHED], containerStatuses=[started(60)]),
        200.0,
        60.0,
    ),
}


@pytest.mark.parametrize(("found", "running", "still"), TIMES.values(), ids=TIMES.keys())
def test_for_how_long(found: Object, running: float, still: float) -> None:
    assert pod_status.seconds_running(found, NOW) == running
    assert pod_status.seconds_still(found, NOW) == still
