"""What should be done about a TrainingJob, from what was observed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from redstart.api.v1alpha1 import TrainingJobSpec
from redstart.api.v1alpha1.training_job import DataReport, Progress, Run
from redstart.controllers import conditions, pod_status, storage
from redstart.controllers.conditions import seconds
from redstart.controllers.job_status import ending, left_running, newest_first
from redstart.controllers.reports import BadReportError
from redstart.controllers.storage import Problem
from redstart.controllers.training_job import job as jobs
from redstart.controllers.training_job.job import Runtime, number_of
from redstart.controllers.training_job.observe import Observed
from redstart.controllers.training_job.outcome import Outcome, reported, why_failed
from redstart.controllers.training_job.runs import lost_in_a_row, needs_run, next_number
from redstart.controllers.training_job.version import Registration, registration

Object = dict[str, Any]

Phase = Literal["Pending", "Suspended", "Running", "Succeeded", "Failed", "Rejected"]

PROGRESS_INTERVAL = 2.0  # seconds between two looks at a run that is under way
LOOK_AGAIN = (
    30.0  # seconds until what nobody tells us of is looked at again: ConfigMaps of users, other owners
)
LOST_DELAY = 10.0  # seconds before a lost run is started again, for each one that was lost in a row


class State(NamedTuple):
    """How things stand, for phase and conditions."""

    phase: Phase
    standing: Literal["Reconciling", "Stalled", "Ready", "Waiting"]
    """Waiting: for the user, who suspended it."""
    reason: str
    message: str


_MOST_WARNINGS = 16  # events of one run


class Event(NamedTuple):
    """What happened, to be told once."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True)
class Plan:
    """Writes, in the order of the fields; then status."""

    state: State
    run: Run | None
    stop: list[Object] = field(default_factory=list)
    """Jobs that the spec has overtaken."""
    end: Object | None = None
    """A pod whose trainer failed and that others keep running."""
    start: tuple[Object, Object] | None = None
    """ConfigMap and Job of a new run."""
    suspend: Object | None = None
    """What to apply to the run's Job."""
    register: Registration | None = None
    outcome: Outcome | None = None
    """Of the run, when it has just ended."""
    prune: list[Object] = field(default_factory=list)
    """Jobs and ConfigMaps of earlier runs."""
    progress: Progress | None = None
    events: Sequence[Event] = ()
    requeue: float | None = None


def desired(observed: Observed, runtime: Runtime) -> Plan:
    """The next steps. One reconcile ends a run or starts one, never both: in between it is in status."""
    if observed.spec is None:
        return Plan(State("Failed", "Stalled", "InvalidSpec", observed.invalid), observed.run)
    if observed.run is not None and observed.run.finished_at is None:
        plan = _under_way(observed, observed.run, observed.spec)
    else:
        plan = _between_runs(observed, observed.run, observed.spec, runtime)
    return replace(plan, prune=_outdated(observed))


def _between_runs(observed: Observed, run: Run | None, spec: TrainingJobSpec, runtime: Runtime) -> Plan:
    if observed.older is not None:
        state = State(
            "Pending",
            "Stalled",
            "ModelConflict",
            f'TrainingJob "{observed.older}" is older and trains the model "{spec.model}" already: give this one '
            "another spec.model, or delete one of the two",
        )
        return Plan(state, run, requeue=LOOK_AGAIN)
    if not needs_run(
        run,
        observed.status.history,
        digest=observed.digest,
        generation=observed.generation,
        version_gone=observed.version_gone,
    ):
        return Plan(_settled(observed, run), run)
    if spec.suspend:
        return Plan(_suspended("nothing is started while spec.suspend is true"), run)
    if (hindrance := _hindrance(observed, spec, runtime)) is not None:
        return Plan(hindrance, run, requeue=LOOK_AGAIN)
    if (wait := _wait(observed, run)) is not None:
        return Plan(wait, run, requeue=PROGRESS_INTERVAL)
    return _start(observed, run, spec, runtime)


def _start(observed: Observed, run: Run | None, spec: TrainingJobSpec, runtime: Runtime) -> Plan:
    number = next_number(observed.name, run, observed.status.history, observed.jobs, observed.versions)
    started = Run(
        number=number,
        job=jobs.job_name(observed.name, number),
        spec_digest=observed.digest,
        generation=observed.generation,
        started_at=conditions.timestamp(observed.now),
    )
    why = (
        f", because ModelVersion {observed.status.latest_version} was deleted"
        if observed.version_gone
        else ""
    )
    return Plan(
        State("Pending", "Reconciling", "Starting", f"run {number} is starting{why}"),
        started,
        start=(
            jobs.config_map(observed.resource, spec, number, runtime),
            jobs.job(observed.resource, spec, number, runtime, observed.claims),
        ),
        requeue=PROGRESS_INTERVAL,
    )


def _hindrance(observed: Observed, spec: TrainingJobSpec, runtime: Runtime) -> State | None:
    """Why no run can start now."""
    if spec.output.format not in runtime.allowed_formats:
        return State(
            "Pending",
            "Stalled",
            "FormatNotAllowed",
            f"output.format {spec.output.format} is not among the formats that this cluster allows "
            f"({', '.join(runtime.allowed_formats)}): choose one of these, or have allowedFormats changed in the "
            "operator's settings",
        )
    if (problem := storage.problem(jobs.uses(spec), observed.claims)) is not None:
        missing = problem.reason == "ClaimNotFound"
        return State("Pending", "Reconciling" if missing else "Stalled", *problem)
    if observed.missing is not None:
        return State("Pending", "Reconciling", *observed.missing)
    return None


def _wait(observed: Observed, run: Run | None) -> State | None:
    """What a new run has to wait for: the pod of the one before, and a pause after lost ones."""
    alive = next((pod for pod in observed.pods if pod_status.is_alive(pod)), None)
    if alive is not None:
        name = alive["metadata"]["name"]
        return State("Pending", "Reconciling", "Stopping", f"waiting for pod {name} of an earlier run to end")
    if run is not None and run.result == "Lost" and run.finished_at is not None:
        pause = LOST_DELAY * lost_in_a_row(observed.status.history)
        if observed.now < seconds(run.finished_at) + pause:
            return State("Pending", "Reconciling", run.reason or "Lost", run.message or "")
    return None


def _settled(observed: Observed, run: Run | None) -> State:
    """The state after a run that needs no other."""
    assert run is not None
    reason, message = run.reason or "", run.message or ""
    if run.result in ("Failed", "Lost"):
        return State("Failed", "Stalled", reason, message)
    if any(not gate.passed for gate in observed.status.gates):
        return State("Rejected", "Stalled", reason, message)
    return State("Succeeded", "Ready", reason, message)


def _under_way(observed: Observed, run: Run, spec: TrainingJobSpec) -> Plan:
    """A run that has not ended as far as status knows."""
    job = observed.job
    outdated = run.spec_digest != observed.digest
    if job is None:
        return _superseded(observed, run) if outdated else _job_gone(observed, run)
    made_of = job["metadata"].get("annotations", {}).get(jobs.WHOLE_SPEC_ANNOTATION)
    if made_of == jobs.whole_spec_digest(spec):
        # Since then the spec was suspended or resumed at most, and that starts no other run.
        run = run.model_copy(update={"generation": observed.generation})
    if ending(job) is not None:
        return _ended(observed, run, job, spec)
    newest = _newest_alive(observed, job)
    problem = pod_status.blocked(newest) if newest else None
    problem = problem or observed.warning
    if outdated or (problem is not None and run.generation != observed.generation):
        return _superseded(observed, run, job)
    return _running(observed, run, job, spec, pod=newest, problem=problem)


def _running(
    observed: Observed,
    run: Run,
    job: Object,
    spec: TrainingJobSpec,
    *,
    pod: Object | None,
    problem: Problem | None,
) -> Plan:
    held = job["spec"].get("suspend", False)
    ours = jobs.SUSPENDED_ANNOTATION in job["metadata"].get("annotations", {})
    if spec.suspend:
        return Plan(
            _suspended(f"run {run.number} is suspended and starts anew when spec.suspend is false"),
            run,
            suspend=None if ours and held else jobs.suspended(job, suspend=True),
        )
    resume = jobs.suspended(job, suspend=False) if ours else None
    if held and resume is None:
        state = State(
            "Pending",
            "Reconciling",
            "Queued",
            f"Job {run.job} is suspended by a queueing system until it is admitted",
        )
        return Plan(state, run, requeue=LOOK_AGAIN)
    progress = None
    if problem is not None:
        state = State("Pending", "Reconciling", problem.reason, problem.message)
    elif pod is None and reported(observed.pods_of(job)) is not None:
        # The kubelet tells of the pod's end some time before the Job controller tells of the Job's.
        state = _reading_result(run)
    elif pod is None or not pod_status.is_running(pod):
        state = State("Pending", "Reconciling", "Starting", f"run {run.number} is starting")
    else:
        progress = observed.progress or observed.status.progress
        state = State("Running", "Reconciling", "Running", f"run {run.number} is under way")
    if state.phase == "Pending" and _has_run(observed, run):
        state = state._replace(phase="Running")
    if (failed := _last_failure(observed, job)) is not None:
        attempt = job["status"]["failed"] + 1
        state = state._replace(
            message=f"{state.message} (attempt {attempt} of at most {spec.backoff_limit + 1}; the one before: {failed})"
        )
    return Plan(state, run, end=observed.left, suspend=resume, progress=progress, requeue=PROGRESS_INTERVAL)


def _reading_result(run: Run) -> State:
    return State("Running", "Reconciling", "ReadingResult", f"reading the result of run {run.number}")


def _has_run(observed: Observed, run: Run) -> bool:
    """Whether an attempt of this run was told to be running: its phase goes on from there, never back."""
    known = observed.status
    return known.phase == "Running" and known.run is not None and known.run.number == run.number


def _ended(observed: Observed, run: Run, job: Object, spec: TrainingJobSpec) -> Plan:
    """A run whose Job has ended: read, register, remember."""
    outcome = observed.outcome
    if outcome is None:
        return Plan(_reading_result(run), run, requeue=PROGRESS_INTERVAL)
    if outcome.trained is None:
        return _finished(run, _held_up(observed, outcome))
    try:
        register = registration(job, outcome.trained, spec.output.secret_ref, observed.versions)
    except BadReportError as error:
        return _finished(run, Outcome("Failed", "ReportInvalid", str(error), outcome.finished_at))
    if isinstance(register, Problem):
        return Plan(State("Running", "Stalled", *register), run, requeue=LOOK_AGAIN)
    return _finished(run, outcome, register)


def _finished(run: Run, outcome: Outcome, register: Registration | None = None) -> Plan:
    trained = outcome.trained
    finished = run.model_copy(
        update={
            "result": outcome.result,
            "reason": outcome.reason,
            "message": conditions.clipped(outcome.message),
            "finished_at": outcome.finished_at,
        }
        | (
            {"input_digest": trained.input_digest, "data_digest": trained.data_digest, "rows": trained.rows}
            if trained
            else {}
        )
    )
    if register is None or trained is None:
        failed = outcome.result == "Failed"
        state = State(
            "Failed" if failed else "Pending",
            "Stalled" if failed else "Reconciling",
            outcome.reason,
            outcome.message,
        )
        event = Event("Warning", f"Run{outcome.result}", f"run {run.number}: {outcome.message}")
        return Plan(state, finished, outcome=outcome, events=[event], requeue=0.0)
    rejected = any(not gate.passed for gate in trained.details.gates)
    state = (
        State("Rejected", "Stalled", outcome.reason, outcome.message)
        if rejected
        else State("Succeeded", "Ready", outcome.reason, outcome.message)
    )
    told = f"run {run.number}, version {register.name}: {outcome.message}"
    event = Event("Warning", "RunRejected", told) if rejected else Event("Normal", "RunSucceeded", told)
    events = [event, *_warnings(outcome, trained.details.data)]
    return Plan(state, finished, outcome=outcome, register=register, events=events, requeue=0.0)


def _warnings(outcome: Outcome, data: DataReport | None) -> list[Event]:
    """One event for each kind of what was found in the data, the first of its kind with the number of others. What the
    store held already was told by the run that wrote it."""
    if data is None or outcome.result == "SameInputs":
        return []
    kinds: dict[str, list[str]] = {}
    for warning in data.warnings:
        kinds.setdefault(warning.kind, []).append(warning.message)
    for dropped in data.rows.dropped:
        if dropped.reason == "MissingTarget":
            told = f"{dropped.count:,} of {data.rows.read:,} rows have no target and were dropped"
            kinds.setdefault(dropped.reason, []).append(told)
    return [
        Event(
            "Warning", kind, first + (f" (and {len(others)} more in status.data.warnings)" if others else "")
        )
        for kind, (first, *others) in kinds.items()
    ][:_MOST_WARNINGS]


def _superseded(observed: Observed, run: Run, job: Object | None = None) -> Plan:
    outcome = Outcome(
        "Superseded",
        "SpecChanged",
        "the spec changed before the run ended",
        conditions.timestamp(observed.now),
    )
    event = Event("Normal", "RunSuperseded", f"run {run.number}: {outcome.message}")
    return replace(_finished(run, outcome), stop=[job] if job is not None else [], events=[event])


def _job_gone(observed: Observed, run: Run) -> Plan:
    outcome = Outcome(
        "Lost", "JobDeleted", f"Job {run.job} was deleted before it ended", conditions.timestamp(observed.now)
    )
    return _finished(run, outcome)


def _suspended(message: str) -> State:
    return State("Suspended", "Waiting", "Suspended", message)


def _outdated(observed: Observed) -> list[Object]:
    """Jobs and ConfigMaps of runs before the newest that status knows of: nothing of theirs is asked for again."""
    known = observed.status.run
    if known is None:
        return []
    # A run whose result is recorded has ended, whatever else in its pod goes on.
    running = [
        job
        for job in observed.jobs
        if number_of(job) == known.number
        and known.finished_at is not None
        and any(left_running(pod, jobs.CONTAINER, now=observed.now) for pod in observed.pods_of(job))
    ]
    outdated = [child for child in (*observed.jobs, *observed.config_maps) if number_of(child) < known.number]
    return [*running, *outdated]


def _newest_alive(observed: Observed, job: Object) -> Object | None:
    alive = [pod for pod in observed.pods_of(job) if pod_status.is_alive(pod)]
    return next(iter(newest_first(alive)), None)


def _last_failure(observed: Observed, job: Mapping[str, Any]) -> str | None:
    """Why the newest attempt of a Job that goes on failed."""
    if not job.get("status", {}).get("failed"):
        return None
    problem = why_failed([pod for pod in observed.pods_of(dict(job)) if not pod_status.is_alive(pod)])
    return problem.message if problem else None


def _held_up(observed: Observed, outcome: Outcome) -> Outcome:
    """Says of a run that ended by its deadline without ever running what had kept it from starting."""
    ready = next((known for known in observed.status.conditions if known.type == "Ready"), None)
    if outcome.reason != "DeadlineExceeded" or observed.status.phase != "Pending" or ready is None:
        return outcome
    return replace(outcome, message=f"{outcome.message}; when last seen: {ready.message}")
