"""Events that tell of a change: once for each."""

from __future__ import annotations

import pytest

from redstart.api.v1alpha1.inference_service import InferenceServiceStatus
from redstart.controllers.conditions import Condition, false, true, unknown, written
from redstart.controllers.inference_service.notices import changes, unknown_rollout

NOW = 1_767_225_700.0
SERVES = true("Ready", "Serving", "m-v1 serves on 1 of 1 pods")
DOWN = false("Ready", "PodsNotReady", "no pod of m-v1 is ready")
READ = true("MetricsAvailable", "Read", "every router's counts are read")
BLIND = false("MetricsAvailable", "RouterUnreadable", "router-0 cannot be read")
QUOTA = true("PodsBlocked", "FailedCreate", "canary: exceeded quota")
FULL = true("PodsBlocked", "Unschedulable", "canary: no node can take the pod")


@pytest.mark.parametrize(
    ("before", "after", "want"),
    [
        pytest.param([SERVES], [SERVES], [], id="nothing changes"),
        pytest.param([], [DOWN], [], id="it has never served"),
        pytest.param([SERVES], [DOWN], ["Degraded: no pod of m-v1 is ready"], id="it serves no more"),
        pytest.param([DOWN], [DOWN], [], id="it still does not serve"),
        pytest.param(
            [SERVES], [false("Ready", "Stopped", "replicas is 0")], [], id="it is stopped by its user"
        ),
        pytest.param(
            [READ], [BLIND], ["MetricsUnavailable: router-0 cannot be read"], id="a router cannot be read"
        ),
        pytest.param([BLIND], [BLIND], [], id="a router still cannot be read"),
        pytest.param([BLIND], [READ], [], id="it can be read again"),
        pytest.param([], [unknown("MetricsAvailable", "NoRouter", "none yet")], [], id="no router runs yet"),
        pytest.param(
            [],
            [true("BaselineUnhealthy", "BaselineUnhealthy", "both fail")],
            ["BaselineUnhealthy: both fail"],
            id="both arms fail",
        ),
        pytest.param(
            [],
            [true("Stalled", "Inconclusive", "deadline reached")],
            ["Inconclusive: deadline reached"],
            id="the deadline passed undecided",
        ),
        pytest.param([], [QUOTA], ["FailedCreate: canary: exceeded quota"], id="pods cannot be made"),
        pytest.param([QUOTA], [QUOTA._replace(message="used: 3")], [], id="the same in other words"),
        pytest.param(
            [QUOTA], [FULL], ["Unschedulable: canary: no node can take the pod"], id="another cause"
        ),
        pytest.param([QUOTA], [], [], id="pods can be made again"),
    ],
)
def test_changes(before: list[Condition], after: list[Condition], want: list[str]) -> None:
    previous = written(before, [], generation=1, now=NOW)
    found = changes(after, previous)
    assert [f"{notice.reason}: {notice.message}" for notice in found] == want
    assert {notice.type for notice in found} <= {"Warning"}


def test_edits_that_wait_are_told_once() -> None:
    waits = false("PolicyUpToDate", "ChangedDuringRollout", "minSamples waits")
    (told,) = changes([waits], [])
    assert (told.type, told.reason, told.message) == ("Normal", "ChangedDuringRollout", "minSamples waits")
    assert changes([waits], written([waits], [], generation=1, now=NOW)) == []


CANARY = {"version": "m-v2", "revision": "abc", "rollout": "abc-6", "policy": {}}
PAST = {
    "id": "abc-3",
    "to": "m-v2",
    "revision": "abc",
    "result": "Promoted",
    "reason": "Passed",
    "message": "",
    "startedAt": "2026-01-01T00:00:00Z",
    "decidedAt": "2026-01-01T00:00:00Z",
}


@pytest.mark.parametrize(
    ("asked", "ignored"),
    [
        pytest.param("", False, id="nobody asks"),
        pytest.param("abc-6", False, id="the rollout that is under way"),
        pytest.param("abc-3", False, id="one that has ended: the annotation is left over"),
        pytest.param("yes", True, id="no rollout at all"),
    ],
)
def test_a_promotion_that_names_no_rollout_is_told(asked: str, ignored: bool) -> None:
    status = InferenceServiceStatus.model_validate({"canary": CANARY, "rollouts": [PAST]})
    found = unknown_rollout(asked, status)
    assert (found is not None) == ignored
    if found is not None:
        assert found.reason == "PromoteIgnored"
        assert "abc-6" in found.message
    assert unknown_rollout(asked, InferenceServiceStatus()) is None
