"""Status as users read it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.controllers.objects import (
    GATE_FAILED,
    at,
    ended_job,
    pod,
    terminated,
    training_job,
    training_spec,
)
from tests.unit.controllers.training_job.cluster_objects import RUNTIME, observed, run_job, run_of
from tests.unit.controllers.training_job.test_desired import ended, outcome

from redstart.api.v1alpha1.training_job import RunRecord, TrainingJobStatus
from redstart.controllers.storage import Problem
from redstart.controllers.training_job.desired import desired
from redstart.controllers.training_job.observe import Observed
from redstart.controllers.training_job.status import hindrances, status

Conditions = dict[str, tuple[str, str]]


def told(found: Observed) -> tuple[dict[str, object], Conditions]:
    result = status(found, desired(found, RUNTIME))
    conditions = {c["type"]: (c["status"], c["reason"]) for c in result["conditions"]}
    return result, conditions


def test_a_new_training_job() -> None:
    result, conditions = told(observed())
    assert conditions == {
        "Ready": ("False", "Starting"),
        "Reconciling": ("True", "Starting"),
        "Complete": ("False", "UnderWay"),
        "Suspended": ("False", "NotSuspended"),
    }
    assert result["phase"] == "Pending"
    assert result["observedGeneration"] == 1


def test_a_run_that_was_rejected() -> None:
    result, conditions = told(ended(outcome("Rejected", "GateFailed", "f1 0.62 < 0.75", GATE_FAILED)))
    assert conditions == {
        "Ready": ("False", "GateFailed"),
        "Stalled": ("True", "GateFailed"),
        "Complete": ("True", "Rejected"),
        "Suspended": ("False", "NotSuspended"),
    }
    assert result["latestVersion"] == "iris-v3"
    assert result["metrics"] == {"f1": 0.83}
    assert result["gates"] == [GATE_FAILED]
    assert result["conversion"] == {"format": "ONNX", "reason": "exact", "largestDifference": 1e-7}
    assert result["data"]["rows"]["dropped"] == [{"reason": "MissingTarget", "column": "kind", "count": 3}]
    assert result["history"] == [
        {"number": 1, "result": "Rejected", "reason": "GateFailed", "version": "iris-v3", "finishedAt": at(5)}
    ]


def test_after_a_failure_the_last_version_stays() -> None:
    before = TrainingJobStatus.model_validate(
        {"latestVersion": "iris-v2", "metrics": {"f1": 0.8}, "run": run_of(run_job(1)).to_dict()}
    )
    found = ended(outcome("Failed", "ColumnMissing", "no column petal"), status=before)
    result, conditions = told(found)
    assert result["latestVersion"] == "iris-v2"
    assert result["metrics"] == {"f1": 0.8}
    assert conditions["Stalled"] == ("True", "ColumnMissing")
    assert conditions["Complete"] == ("False", "Failed")


def test_while_suspended_it_is_neither_stalled_nor_reconciling() -> None:
    _, conditions = told(observed(training_job(training_spec(suspend=True))))
    assert conditions == {
        "Ready": ("False", "Suspended"),
        "Complete": ("False", "NotTrained"),
        "Suspended": ("True", "Suspended"),
    }


def test_a_changed_spec_is_not_complete() -> None:
    run = run_of(run_job(1), result="Succeeded")
    owner = training_job(training_spec(suspend=True, task="Regression"), generation=2)
    _, conditions = told(observed(owner, run, status=TrainingJobStatus(run=run)))
    assert conditions["Complete"] == ("False", "NotTrained")


def test_without_its_version_a_run_is_not_complete() -> None:
    owner = training_job(training_spec(suspend=True), generation=2)
    run = run_of(run_job(1), result="Succeeded")
    told_before = TrainingJobStatus(run=run, latest_version="iris-v3")
    _, conditions = told(observed(owner, run, status=told_before, version_gone=True))
    assert conditions == {
        "Ready": ("False", "Suspended"),
        "Complete": ("False", "VersionDeleted"),
        "Suspended": ("True", "Suspended"),
    }


def test_history_keeps_ten_runs_and_each_once() -> None:
    history = [RunRecord(number=n, result="Failed", reason="R") for n in range(1, 11)][::-1]
    run = run_of(run_job(11))
    found = observed(
        run=run,
        status=TrainingJobStatus(run=run, history=history),
        job=ended_job(run_job(11), "Failed"),
        outcome=outcome("Failed", "R", "m"),
    )
    result, _ = told(found)
    again = replace(found, status=TrainingJobStatus.model_validate(result | {"run": run.to_dict()}))
    twice, _ = told(again)
    assert [record["number"] for record in twice["history"]] == list(range(11, 1, -1))  # type: ignore[index,attr-defined]


MOUNT = Problem("FailedMount", 'secret "s" not found')
WAITS = observed(
    run=run_of(run_job(1)), job=run_job(1), pods=[pod(run_job(1), phase="Pending")], warning=MOUNT
)


@pytest.mark.parametrize(
    ("found", "want"),
    [
        pytest.param(observed(), [], id="a run that starts"),
        pytest.param(WAITS, [("FailedMount", 'secret "s" not found')], id="a pod that lacks a Secret"),
        pytest.param(
            observed(older="elder"),
            [
                (
                    "ModelConflict",
                    'TrainingJob "elder" is older and trains the model "iris" already: give this one '
                    "another spec.model, or delete one of the two",
                )
            ],
            id="a spec that cannot be carried out",
        ),
        pytest.param(
            ended(outcome("Failed", "ColumnMissing", "no column")), [], id="a run that ended, told by its own"
        ),
    ],
)
def test_what_hinders_a_run_is_told_once(found: Observed, want: list[tuple[str, str]]) -> None:
    plan = desired(found, RUNTIME)
    assert [(event.reason, event.message) for event in hindrances(found, plan)] == want
    known = replace(found, resource=found.resource | {"status": status(found, plan)})
    assert hindrances(known, desired(known, RUNTIME)) == []


ENDED_WELL = pod(
    run_job(1),
    phase="Succeeded",
    containerStatuses=[
        terminated("trainer", 0, json.dumps({"result": "Succeeded", "reason": "GatesPassed", "message": "m"}))
    ],
)


@pytest.mark.parametrize(
    ("pods", "want"),
    [
        pytest.param(
            [pod(run_job(1), phase="Pending")], ("Running", "Starting"), id="its next attempt starts"
        ),
        pytest.param([ENDED_WELL], ("Running", "ReadingResult"), id="its pod has ended and its Job not yet"),
        pytest.param([], ("Running", "Starting"), id="its pod is gone"),
    ],
)
def test_a_run_that_was_running_is_never_pending_again(pods: list[Any], want: tuple[str, str]) -> None:
    run = run_of(run_job(1))
    found = observed(run=run, status=TrainingJobStatus(run=run, phase="Running"), job=run_job(1), pods=pods)
    result, conditions = told(found)
    assert (result["phase"], conditions["Reconciling"][1]) == want


def test_the_next_run_begins_as_pending() -> None:
    run = run_of(run_job(2))
    before = TrainingJobStatus(run=run_of(run_job(1)), phase="Running")
    result, _ = told(observed(run=run, status=before, job=run_job(2)))
    assert result["phase"] == "Pending"
