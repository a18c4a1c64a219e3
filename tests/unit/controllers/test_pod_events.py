"""What is asked of events, and how often."""

from __future__ import annotations

from typing import Any, cast

import pytest
from tests.unit.controllers.objects import NOW, Object, at, pod, waiting

from redstart.controllers import pod_events
from redstart.controllers.pod_events import Asked
from redstart.controllers.storage import Problem
from redstart.kube.cluster import Cluster

JOB: Object = {"metadata": {"name": "job", "uid": "job", "labels": {}}}
WAITING = pod(JOB, phase="Pending", ago=60, containerStatuses=[waiting("server", "ContainerCreating")])
SECRET = 'MountVolume.SetUp failed for volume "secret-s" : secret "s" not found'


class Events:
    """A cluster that has one newest event."""

    def __init__(self, newest: Object | None) -> None:
        self.newest, self.asked = newest, 0

    async def newest_event(self, about: Object) -> Object | None:
        self.asked += 1
        return self.newest


def event(type_: str, reason: str, message: str) -> Object:
    return {"type": type_, "reason": reason, "message": message}


@pytest.mark.parametrize(
    ("newest", "want"),
    [
        pytest.param(None, None, id="nothing is told"),
        pytest.param(
            event("Warning", "FailedMount", SECRET), Problem("FailedMount", SECRET), id="a missing Secret"
        ),
        pytest.param(event("Normal", "Pulling", "pulling x"), None, id="what hindered it is over"),
        pytest.param(
            event(
                "Warning",
                "FailedCreate",
                'Error creating: pods "iris-run-1-x" is forbidden: exceeded quota: q',
            ),
            Problem("FailedCreate", "the API server refuses the pod: forbidden: exceeded quota: q"),
            id="a Job whose pod is refused",
        ),
    ],
)
async def test_what_the_newest_event_says(newest: Object | None, want: Problem | None) -> None:
    assert await pod_events.hindrance(WAITING, cast(Cluster, Events(newest))) == want


async def test_a_pod_that_waits_is_asked_about_every_ten_seconds() -> None:
    asked, cluster = Asked(), Events(event("Warning", "FailedMount", SECRET))
    told: list[Any] = [await asked.about(WAITING, cast(Cluster, cluster), NOW + look) for look in range(21)]
    assert told == [Problem("FailedMount", SECRET)] * 21
    assert cluster.asked == 3


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(
            WAITING | {"metadata": WAITING["metadata"] | {"creationTimestamp": at(4)}}, id="a new pod"
        ),
        pytest.param(
            pod(JOB, containerStatuses=[{"name": "server", "state": {"running": {}}}]), id="one that runs"
        ),
    ],
)
async def test_nothing_is_asked_about(found: Object) -> None:
    cluster = Events(event("Warning", "FailedMount", SECRET))
    assert await Asked().about(found, cast(Cluster, cluster), NOW) is None
    assert cluster.asked == 0
