"""What each condition of a TrainingJob says, sentence by sentence."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.controllers.objects import training_job, training_spec
from tests.unit.controllers.training_job.cluster_objects import observed, run_job, run_of

from redstart.api.v1alpha1.training_job import Run, TrainingJobStatus
from redstart.controllers.conditions import Condition
from redstart.controllers.training_job import status
from redstart.controllers.training_job.desired import State
from redstart.controllers.training_job.observe import Observed


def told(condition: Condition) -> str:
    return f"{condition.type}={condition.status} {condition.reason}: {condition.message}"


@pytest.mark.parametrize(
    ("state", "holds"),
    [
        pytest.param(State("Succeeded", "Ready", "GatesPassed", "m"), "Ready", id="a version that passed"),
        pytest.param(State("Running", "Reconciling", "Running", "m"), "Reconciling", id="a run under way"),
        pytest.param(
            State("Pending", "Reconciling", "FailedCreate", "m"), "Reconciling", id="a pod that is refused"
        ),
        pytest.param(State("Rejected", "Stalled", "GateFailed", "m"), "Stalled", id="a gate that failed"),
        pytest.param(
            State("Failed", "Stalled", "InvalidSpec", "m"), "Stalled", id="a spec that cannot be read"
        ),
        pytest.param(
            State("Suspended", "Waiting", "Suspended", "m"), "Suspended", id="a run that is held back"
        ),
    ],
)
def test_one_of_four_holds(state: State, holds: str) -> None:
    found = [judge(state) for judge in (status.ready, status.reconciling, status.stalled, status.suspended)]
    assert [condition.type for condition in found if condition.status == "True"] == [holds]
    held = next(condition for condition in found if condition.status == "True")
    assert (held.reason, held.message) == (state.reason, "m")


RUN = run_of(run_job(1), result="Succeeded")


@pytest.mark.parametrize(
    ("found", "run", "want"),
    [
        pytest.param(
            observed(), None, "Complete=False NotTrained: this spec has not been trained yet", id="no run"
        ),
        pytest.param(
            observed(),
            run_of(run_job(1)),
            "Complete=False UnderWay: run 1 has not ended",
            id="a run under way",
        ),
        pytest.param(observed(), RUN, "Complete=True Succeeded: run 1 ended with a version", id="trained"),
        pytest.param(
            observed(),
            run_of(run_job(1), result="Failed"),
            "Complete=False Failed: run 1 ended without a version",
            id="a run that failed",
        ),
        pytest.param(
            observed(training_job(training_spec(task="Regression"), generation=2)),
            RUN,
            "Complete=False NotTrained: this spec has not been trained yet",
            id="another spec than was trained",
        ),
        pytest.param(
            observed(status=TrainingJobStatus(latest_version="iris-v3"), version_gone=True),
            RUN,
            "Complete=False VersionDeleted: ModelVersion iris-v3 was deleted",
            id="a version that was deleted",
        ),
    ],
)
def test_complete(found: Observed, run: Run | None, want: Any) -> None:
    assert told(status.complete(found, run)) == want
