"""What a pod's status means to its user."""

from __future__ import annotations

import pytest
from tests.unit.controllers.objects import Object, pod, terminated, waiting

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
