"""Jobs whose pods go on running after their main container has ended."""

from __future__ import annotations

import pytest
from tests.unit.controllers.objects import NOW, Object, at, pod, terminated
from tests.unit.controllers.training_job.cluster_objects import run_job

from redstart.controllers import pod_status
from redstart.controllers.job_status import LINGERING, ending, failed_beside_others, judged

JOB = run_job(1)
PAUSE: Object = {"name": "a-pause", "state": {"running": {"startedAt": at(60)}}}
KILLED = terminated("a-pause", 137)


def left(exit_code: int, ago: float = LINGERING, phase: str = "Running") -> Object:
    trainer = terminated("trainer", exit_code, finishedAt=at(ago))
    return pod(JOB, phase=phase, containerStatuses=[PAUSE, trainer])


RUNNING = pod(JOB, containerStatuses=[PAUSE, {"name": "trainer", "state": {"running": {}}}])


@pytest.mark.parametrize(
    ("found", "complete", "ended"),
    [
        pytest.param(
            left(0), True, False, id="a trainer that ended well completes the Job, whatever else runs"
        ),
        pytest.param(left(1), False, True, id="one that failed has its pod ended, so that it is tried again"),
        pytest.param(
            left(3), False, True, id="one that failed for good has its pod ended, so that the Job fails"
        ),
        pytest.param(left(0, ago=LINGERING - 1), False, False, id="a pod has a while to end by itself"),
        pytest.param(
            left(0, phase="Succeeded"), False, False, id="a pod that has ended is the Job controller's"
        ),
        pytest.param(RUNNING, False, False, id="a trainer that runs goes on"),
    ],
)
def test_what_is_made_of_a_pod_that_others_keep_running(found: Object, complete: bool, ended: bool) -> None:
    judgement = ending(judged(JOB, [found], "trainer", now=NOW))
    assert (judgement is not None and judgement.complete) == complete
    if judgement is not None:
        assert judgement.at == at(LINGERING)
    assert (failed_beside_others([found], "trainer", now=NOW) is found) == ended


def test_a_pod_that_we_had_ended_is_told_by_its_main_container() -> None:
    trainer = terminated("trainer", 137, reason="OOMKilled")
    found = pod(JOB, phase="Failed", reason="DeadlineExceeded", containerStatuses=[KILLED, trainer])
    told = pod_status.failure(found | {"spec": {"activeDeadlineSeconds": 1}})
    assert told is not None
    assert told.reason == "OOMKilled"
    assert "container trainer" in told.message


def test_what_was_added_is_told_where_nothing_of_ours_is_at_fault() -> None:
    found = pod(JOB, phase="Failed", initContainerStatuses=[terminated("mesh-init", 2, "no rights")])
    told = pod_status.failure(found)
    assert told is not None
    assert "container mesh-init ended with exit code 2: no rights" in told.message
