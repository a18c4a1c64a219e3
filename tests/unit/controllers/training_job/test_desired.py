"""What is done about a TrainingJob, from what was found: one table for starting, one for runs under way, ..."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.controllers.objects import (
    DETAILS,
    GATE_FAILED,
    GATE_PASSED,
    NOW,
    at,
    claim,
    ended_job,
    model_version,
    pod,
    sha,
    terminated,
    training_job,
    training_spec,
    waiting,
)
from tests.unit.controllers.training_job.cluster_objects import (
    RUNTIME,
    observed,
    run_job,
    run_of,
    suspended_by_us,
)

from redstart.api.v1alpha1.common import Condition
from redstart.api.v1alpha1.training_job import Progress, RunRecord, TrainingJobStatus
from redstart.controllers.reports import Details, ReportedArtifact
from redstart.controllers.storage import Problem
from redstart.controllers.training_job.desired import Plan, desired
from redstart.controllers.training_job.observe import Observed
from redstart.controllers.training_job.outcome import Outcome, Trained

JOB = run_job(1)
UNDER_WAY = run_of(JOB)
OTHER_SPEC = training_job(training_spec(algorithm={"estimator": "LogisticRegression"}), generation=2)
MORE_MEMORY = training_job(training_spec(template={"resources": {"limits": {"memory": "8Gi"}}}), generation=2)
SUSPENDED = training_job(training_spec(suspend=True), generation=2)
RESUMED = training_job(training_spec(suspend=False), generation=3)


def written(plan: Plan) -> list[str]:
    """The writes of a plan in order, in words."""
    return [
        *(f"delete {job['metadata']['name']}" for job in plan.stop),
        *(f"create {child['kind']} {child['metadata']['name']}" for child in plan.start or ()),
        *([f"suspend={plan.suspend['spec']['suspend']}"] if plan.suspend else []),
        *([f"register {plan.register.name}"] if plan.register else []),
        *(f"prune {child['kind']} {child['metadata']['name']}" for child in plan.prune),
    ]


START = ["create ConfigMap iris-run-1", "create Job iris-run-1"]

BEFORE: dict[str, tuple[Observed, str, list[str], str]] = {
    "the first run starts": (observed(), "Pending Reconciling Starting", START, "run 1 is starting"),
    "nothing starts while it is suspended": (
        observed(SUSPENDED),
        "Suspended Waiting Suspended",
        [],
        "nothing is started while spec.suspend is true",
    ),
    "an older TrainingJob has the model": (
        observed(older="elder"),
        "Pending Stalled ModelConflict",
        [],
        'TrainingJob "elder" is older and trains the model "iris" already',
    ),
    "the format is not allowed": (
        observed(training_job(training_spec(output={"uri": "pvc://models", "format": "Joblib"}))),
        "Pending Stalled FormatNotAllowed",
        [],
        "not among the formats that this cluster allows (ONNX, Skops)",
    ),
    "a claim is missing, and may still come": (
        observed(claims={"data": claim("data", "ReadWriteMany"), "models": None}),
        "Pending Reconciling ClaimNotFound",
        [],
        'PersistentVolumeClaim "models" does not exist',
    ),
    "a claim cannot be shared": (
        observed(
            claims={"data": claim("data", "ReadWriteMany"), "models": claim("models", "ReadWriteOncePod")}
        ),
        "Pending Stalled VolumeNotShared",
        [],
        "ReadWriteOncePod",
    ),
    "a ConfigMap is missing, and may still come": (
        observed(missing=Problem("ConfigMapNotFound", 'ConfigMap "rows" does not exist')),
        "Pending Reconciling ConfigMapNotFound",
        [],
        'ConfigMap "rows"',
    ),
    "the pod of an earlier run has not ended": (
        observed(OTHER_SPEC, run_of(JOB, result="Superseded"), pods=[pod(JOB, "iris-run-1-abcde")]),
        "Pending Reconciling Stopping",
        [],
        "waiting for pod iris-run-1-abcde of an earlier run to end",
    ),
    "after a superseded run the next one starts": (
        observed(OTHER_SPEC, run_of(JOB, result="Superseded"), pods=[pod(JOB, phase="Failed")]),
        "Pending Reconciling Starting",
        ["create ConfigMap iris-run-2", "create Job iris-run-2"],
        "run 2",
    ),
    "a changed spec starts the next run and prunes the one before": (
        observed(OTHER_SPEC, run_of(run_job(2), result="Succeeded"), jobs=[JOB, run_job(2)]),
        "Pending Reconciling Starting",
        ["create ConfigMap iris-run-3", "create Job iris-run-3", "prune Job iris-run-1"],
        "run 3",
    ),
    "a failed run is tried again with more memory": (
        observed(MORE_MEMORY, run_of(JOB, result="Failed")),
        "Pending Reconciling Starting",
        ["create ConfigMap iris-run-2", "create Job iris-run-2"],
        "run 2",
    ),
    "a deleted version is registered again by another run": (
        observed(
            run=run_of(JOB, result="Succeeded"),
            status=TrainingJobStatus(run=run_of(JOB, result="Succeeded"), latest_version="iris-v3"),
            version_gone=True,
        ),
        "Pending Reconciling Starting",
        ["create ConfigMap iris-run-2", "create Job iris-run-2"],
        "run 2 is starting, because ModelVersion iris-v3 was deleted",
    ),
    "a deleted version waits while it is suspended": (
        observed(SUSPENDED, run_of(JOB, result="Succeeded"), version_gone=True),
        "Suspended Waiting Suspended",
        [],
        "nothing is started while spec.suspend is true",
    ),
    "a lost run waits before it is tried again": (
        observed(
            run=run_of(JOB, result="Lost"),
            status=TrainingJobStatus(
                run=run_of(JOB, result="Lost"),
                history=[RunRecord(number=1, result="Lost", reason="ResultLost")],
            ),
        ),
        "Pending Reconciling R",
        [],
        "m",
    ),
}


@pytest.mark.parametrize(("found", "state", "writes", "message"), BEFORE.values(), ids=BEFORE.keys())
def test_starting(found: Observed, state: str, writes: list[str], message: str) -> None:
    plan = desired(found, RUNTIME)
    assert " ".join(plan.state[:3]) == state
    assert written(plan) == writes
    assert message in plan.state.message


def attempt(name: str, *, ago: float, **changes: Any) -> Any:
    report = {"result": "Failed", "reason": "StoreUnreachable", "message": "s3 did not answer"} | changes
    return pod(JOB, name, phase="Failed", ago=ago, containerStatuses=[terminated("trainer", 1, report)])


PULLING = pod(JOB, phase="Pending", containerStatuses=[waiting("trainer", "ErrImagePull", "not found")])
RETRIED = JOB | {"status": {"failed": 1}}

DURING: dict[str, tuple[Observed, str, list[str], str]] = {
    "it runs": (
        observed(run=UNDER_WAY, job=JOB, pods=[pod(JOB)]),
        "Running Reconciling Running",
        [],
        "run 1 is under way",
    ),
    "its pod is not there yet": (
        observed(run=UNDER_WAY, job=JOB),
        "Pending Reconciling Starting",
        [],
        "run 1 is starting",
    ),
    "its image cannot be pulled": (
        observed(run=UNDER_WAY, job=JOB, pods=[PULLING]),
        "Pending Reconciling ImagePullBackOff",
        [],
        'image "example.com/runtime:1" of container trainer cannot be pulled: not found',
    ),
    "a Secret is missing, which only an event tells": (
        observed(
            run=UNDER_WAY,
            job=JOB,
            pods=[pod(JOB, phase="Pending")],
            warning=Problem(
                "FailedMount", 'MountVolume.SetUp failed for volume "secret-s" : secret "s" not found'
            ),
        ),
        "Pending Reconciling FailedMount",
        [],
        'secret "s" not found',
    ),
    "the first attempt failed for a passing reason, and the next one runs": (
        observed(run=UNDER_WAY, job=RETRIED, pods=[attempt("a", ago=60), pod(JOB, "b", ago=10)]),
        "Running Reconciling Running",
        [],
        "run 1 is under way (attempt 2 of at most 3; the one before: s3 did not answer)",
    ),
    "a changed spec ends the run": (
        observed(OTHER_SPEC, UNDER_WAY, job=JOB, pods=[pod(JOB)]),
        "Pending Reconciling SpecChanged",
        ["delete iris-run-1"],
        "the spec changed before the run ended",
    ),
    "a changed template leaves a run alone that gets on": (
        observed(MORE_MEMORY, UNDER_WAY, job=JOB, pods=[pod(JOB)]),
        "Running Reconciling Running",
        [],
        "under way",
    ),
    "a changed template ends a run that cannot start": (
        observed(MORE_MEMORY, UNDER_WAY, job=JOB, pods=[PULLING]),
        "Pending Reconciling SpecChanged",
        ["delete iris-run-1"],
        "the spec changed",
    ),
    "its Job was deleted by somebody": (
        observed(run=UNDER_WAY),
        "Pending Reconciling JobDeleted",
        [],
        "Job iris-run-1 was deleted before it ended",
    ),
    "its Job was deleted for a changed spec before the operator stopped": (
        observed(OTHER_SPEC, UNDER_WAY),
        "Pending Reconciling SpecChanged",
        [],
        "the spec changed",
    ),
    "it is suspended while it runs": (
        observed(SUSPENDED, UNDER_WAY, job=JOB, pods=[pod(JOB)]),
        "Suspended Waiting Suspended",
        ["suspend=True"],
        "run 1 is suspended",
    ),
    "it stays suspended without another write": (
        observed(SUSPENDED, UNDER_WAY, job=suspended_by_us(JOB)),
        "Suspended Waiting Suspended",
        [],
        "run 1 is suspended",
    ),
    "it is resumed": (
        observed(run=UNDER_WAY, job=suspended_by_us(JOB)),
        "Pending Reconciling Starting",
        ["suspend=False"],
        "run 1 is starting",
    ),
    "it is resumed, and a volume of its new pod is not there at once": (
        observed(
            RESUMED,
            UNDER_WAY,
            job=JOB,
            pods=[pod(JOB, phase="Pending")],
            warning=Problem("FailedMount", "not mounted yet"),
        ),
        "Pending Reconciling FailedMount",
        [],
        "not mounted yet",
    ),
    "a queueing system holds it, and we do not let it go": (
        observed(run=UNDER_WAY, job=run_job(1, suspend=True)),
        "Pending Reconciling Queued",
        [],
        "suspended by a queueing system",
    ),
    "an older TrainingJob appears, and the run may end": (
        observed(run=UNDER_WAY, job=JOB, pods=[pod(JOB)], older="elder"),
        "Running Reconciling Running",
        [],
        "under way",
    ),
    "it has ended and its pod is not known yet": (
        observed(run=UNDER_WAY, job=ended_job(JOB, "Complete")),
        "Running Reconciling ReadingResult",
        [],
        "reading the result",
    ),
}


@pytest.mark.parametrize(("found", "state", "writes", "message"), DURING.values(), ids=DURING.keys())
def test_under_way(found: Observed, state: str, writes: list[str], message: str) -> None:
    plan = desired(found, RUNTIME)
    assert " ".join(plan.state[:3]) == state
    assert written(plan) == writes
    assert message in plan.state.message


def test_a_run_that_was_suspended_and_resumed_is_not_tried_again_when_it_fails() -> None:
    found = observed(RESUMED, UNDER_WAY, job=ended_job(JOB, "Failed"), outcome=outcome("Failed", "R", "m"))
    plan = desired(found, RUNTIME)
    assert plan.run is not None
    assert (plan.run.result, plan.run.generation) == ("Failed", 3)
    settled = desired(observed(RESUMED, plan.run, jobs=[JOB]), RUNTIME)
    assert (settled.start, settled.state.phase) == (None, "Failed")


def outcome(result: Any, reason: str, message: str, *gates: Any, **details: Any) -> Outcome:
    trained = None
    if result in ("Succeeded", "Rejected", "SameInputs"):
        trained = Trained(
            number=3,
            input_digest=sha("input"),
            data_digest=sha("data"),
            rows=150,
            artifact=ReportedArtifact(uri="pvc://models/a", digest=sha("artifact"), format="ONNX"),
            details=Details.model_validate(DETAILS | {"gates": list(gates)} | details),
            image=None,
        )
    return Outcome(result, reason, message, at(5), trained)


def ended(found: Outcome, owner: Any = None, **changes: Any) -> Observed:
    return observed(owner, UNDER_WAY, job=ended_job(JOB, "Complete"), outcome=found, **changes)


UNTOLD = "Warning MissingTarget 3 of 150 rows have no target and were dropped"
WARNED = {
    "rows": {"read": 150, "train": 120, "test": 30},
    "warnings": [
        {"kind": "LeakageSuspected", "column": "petal", "count": 9, "message": "petal alone tells kind"},
        {"kind": "Constant", "column": "a", "count": 9, "message": "a has the same value"},
        {"kind": "Constant", "column": "b", "count": 9, "message": "b has the same value"},
        {"kind": "Guessed", "count": 1, "message": "read as separated by ;"},
    ],
}

AFTER: dict[str, tuple[Observed, str, list[str], list[str], str | None]] = {
    "it succeeded": (
        ended(outcome("Succeeded", "GatesPassed", "f1 0.83 >= 0.75", GATE_PASSED)),
        "Succeeded Ready GatesPassed",
        ["register iris-v3"],
        ["Normal RunSucceeded run 1, version iris-v3: f1 0.83 >= 0.75", UNTOLD],
        "Succeeded",
    ),
    "a gate failed, and its version is registered all the same": (
        ended(outcome("Rejected", "GateFailed", "f1 0.62 < 0.75", GATE_FAILED)),
        "Rejected Stalled GateFailed",
        ["register iris-v3"],
        ["Warning RunRejected run 1, version iris-v3: f1 0.62 < 0.75", UNTOLD],
        "Rejected",
    ),
    "the store had it, and the changed gates fail": (
        ended(outcome("SameInputs", "GateFailed", "f1 0.62 < 0.75", GATE_FAILED)),
        "Rejected Stalled GateFailed",
        ["register iris-v3"],
        ["Warning RunRejected run 1, version iris-v3: f1 0.62 < 0.75"],
        "SameInputs",
    ),
    "it failed, and the reason is the trainer's": (
        ended(outcome("Failed", "ExpectationFailed", "torque: 7 values above 200")),
        "Failed Stalled ExpectationFailed",
        [],
        ["Warning RunFailed run 1: torque: 7 values above 200"],
        "Failed",
    ),
    "its result was lost": (
        ended(outcome("Lost", "ResultLost", "the pod was gone")),
        "Pending Reconciling ResultLost",
        [],
        ["Warning RunLost run 1: the pod was gone"],
        "Lost",
    ),
    "what it trained for an earlier spec is registered too": (
        ended(outcome("Succeeded", "Trained", "f1 0.83"), OTHER_SPEC),
        "Succeeded Ready Trained",
        ["register iris-v3"],
        ["Normal RunSucceeded run 1, version iris-v3: f1 0.83", UNTOLD],
        "Succeeded",
    ),
    "there is one event for each kind of warning": (
        ended(outcome("Succeeded", "Trained", "f1 0.83", data=WARNED)),
        "Succeeded Ready Trained",
        ["register iris-v3"],
        [
            "Normal RunSucceeded run 1, version iris-v3: f1 0.83",
            "Warning LeakageSuspected petal alone tells kind",
            "Warning Constant a has the same value (and 1 more in status.data.warnings)",
            "Warning Guessed read as separated by ;",
        ],
        "Succeeded",
    ),
    "its trainer, one of the user's own, says nothing of the data": (
        ended(outcome("Succeeded", "Trained", "f1 0.83", data=None)),
        "Succeeded Ready Trained",
        ["register iris-v3"],
        ["Normal RunSucceeded run 1, version iris-v3: f1 0.83"],
        "Succeeded",
    ),
    "the name of its version is taken": (
        ended(
            outcome("Succeeded", "Trained", "f1 0.83"),
            versions=[model_version(3, lineage={"inputDigest": sha("x")})],
        ),
        "Running Stalled NameConflict",
        [],
        [],
        None,
    ),
    "its report fits no version": (
        ended(outcome("Succeeded", "Trained", "f1 0.83", inputs=[{"name": 1}])),
        "Failed Stalled ReportInvalid",
        [],
        [
            "Warning RunFailed run 1: the trainer's report does not fit a ModelVersion: "
            "spec.inputs.0.name: Input should be a valid string"
        ],
        "Failed",
    ),
}


@pytest.mark.parametrize(("found", "state", "writes", "events", "result"), AFTER.values(), ids=AFTER.keys())
def test_ended(found: Observed, state: str, writes: list[str], events: list[str], result: str | None) -> None:
    plan = desired(found, RUNTIME)
    assert " ".join(plan.state[:3]) == state
    assert written(plan) == writes
    assert [" ".join(event) for event in plan.events] == events
    assert plan.run is not None
    assert plan.run.result == result
    assert (plan.run.finished_at is not None) == (result is not None)


def test_a_run_that_never_started_tells_what_held_it_up() -> None:
    ready = Condition(
        type="Ready",
        status="False",
        reason="Unschedulable",
        message="no node can take it",
        last_transition_time=at(9),
    )
    found = ended(
        outcome("Failed", "DeadlineExceeded", "the run did not end within 1h"),
        status=TrainingJobStatus(run=UNDER_WAY, phase="Pending", conditions=[ready]),
    )
    plan = desired(found, RUNTIME)
    assert plan.state.message == "the run did not end within 1h; when last seen: no node can take it"


SETTLED: dict[str, tuple[Any, list[Any], str]] = {
    "after success": ("Succeeded", [GATE_PASSED], "Succeeded Ready R"),
    "after a rejection": ("Rejected", [GATE_FAILED], "Rejected Stalled R"),
    "after the same inputs": ("SameInputs", [], "Succeeded Ready R"),
    "after the same inputs, whose gates fail": ("SameInputs", [GATE_FAILED], "Rejected Stalled R"),
    "after a failure": ("Failed", [], "Failed Stalled R"),
}


@pytest.mark.parametrize(("result", "gates", "state"), SETTLED.values(), ids=SETTLED.keys())
def test_settled(result: Any, gates: list[Any], state: str) -> None:
    run = run_of(JOB, result=result)
    found = observed(run=run, status=TrainingJobStatus.model_validate({"run": run.to_dict(), "gates": gates}))
    plan = desired(found, RUNTIME)
    assert " ".join(plan.state[:3]) == state
    assert plan.state.message == "m"
    assert written(plan) == []
    assert plan.requeue is None


def test_three_lost_runs_in_a_row_are_a_failure() -> None:
    run = run_of(run_job(3), result="Lost")
    history = [RunRecord(number=n, result="Lost", reason="ResultLost") for n in (3, 2, 1)]
    plan = desired(observed(run=run, status=TrainingJobStatus(run=run, history=history)), RUNTIME)
    assert " ".join(plan.state[:3]) == "Failed Stalled R"


def test_a_lost_run_is_started_again_after_its_pause() -> None:
    run = run_of(JOB, result="Lost").model_copy(update={"finished_at": at(11)})
    history = [RunRecord(number=1, result="Lost", reason="ResultLost")]
    plan = desired(observed(run=run, status=TrainingJobStatus(run=run, history=history)), RUNTIME)
    assert written(plan) == ["create ConfigMap iris-run-2", "create Job iris-run-2"]


def test_jobs_are_kept_until_status_knows_of_a_newer_one() -> None:
    newest = run_of(run_job(2), result="Succeeded")
    known = TrainingJobStatus(run=run_of(JOB, result="Failed"))
    plan = desired(observed(run=newest, status=known, jobs=[JOB, run_job(2)]), RUNTIME)
    assert plan.prune == []


def test_progress_is_kept_when_a_look_at_it_fails() -> None:
    known = Progress(percent=40, message="fitting")
    found = observed(
        run=UNDER_WAY, job=JOB, pods=[pod(JOB)], status=TrainingJobStatus(run=UNDER_WAY, progress=known)
    )
    assert desired(found, RUNTIME).progress == known
    newer = Progress(percent=60, message="fitting")
    again = observed(run=UNDER_WAY, job=JOB, pods=[pod(JOB)], status=found.status, progress=newer)
    assert desired(again, RUNTIME).progress == newer


def test_an_invalid_spec_changes_nothing() -> None:
    found = Observed(
        training_job(), TrainingJobStatus(run=UNDER_WAY), NOW, invalid="spec.x: no", run=UNDER_WAY
    )
    plan = desired(found, RUNTIME)
    assert plan.state == ("Failed", "Stalled", "InvalidSpec", "spec.x: no")
    assert plan.run == UNDER_WAY
    assert written(plan) == []


LEFT = pod(JOB, containerStatuses=[terminated("trainer", 0, finishedAt=at(20))])


def test_a_job_whose_result_is_recorded_goes_though_something_else_keeps_its_pod_running() -> None:
    known = TrainingJobStatus(run=run_of(JOB, result="Succeeded"), latest_version="iris-v1")
    recorded = desired(observed(run=known.run, status=known, jobs=[JOB], job=JOB, pods=[LEFT]), RUNTIME)
    assert written(recorded) == ["prune Job iris-run-1"]
    not_yet = TrainingJobStatus(run=UNDER_WAY)
    before = desired(observed(run=UNDER_WAY, status=not_yet, jobs=[JOB], job=JOB, pods=[LEFT]), RUNTIME)
    assert written(before) == []


def test_a_pod_that_others_than_a_failed_trainer_keep_running_is_ended() -> None:
    failed = pod(JOB, containerStatuses=[terminated("trainer", 1, finishedAt=at(20))])
    plan = desired(observed(run=UNDER_WAY, jobs=[JOB], job=JOB, pods=[failed], left=failed), RUNTIME)
    assert plan.end is failed
