"""What status says of a TrainingJob, from what was observed and planned. Pure."""

from __future__ import annotations

from typing import Any

from redstart.api.v1alpha1.training_job import Run, RunRecord, TrainingJobStatus
from redstart.controllers.conditions import Condition, false, news, true, written
from redstart.controllers.training_job.desired import Event, Plan, State
from redstart.controllers.training_job.observe import Observed
from redstart.controllers.training_job.outcome import TRAINED

Object = dict[str, Any]

_HISTORY = 10
ON_ITS_WAY = frozenset(
    {"Starting", "Running", "ReadingResult", "Stopping", "Queued", "SpecChanged", "ResultLost", "JobDeleted"}
)
"""Reasons of Reconciling that hinder nothing."""


def status(observed: Observed, plan: Plan) -> Object:
    """The whole status, as the API server holds it."""
    before = observed.status
    result: Object = TrainingJobStatus(
        observed_generation=observed.generation,
        phase=plan.state.phase,
        progress=plan.progress,
        run=plan.run,
        latest_version=before.latest_version,
        metrics=before.metrics,
        gates=before.gates,
        data=before.data,
        conversion=before.conversion,
        history=_history(before.history, plan),
    ).to_dict()
    if plan.register is not None and plan.outcome is not None and plan.outcome.trained is not None:
        details = plan.outcome.trained.details
        result |= {
            "latestVersion": plan.register.name,
            "metrics": details.metrics,
            "gates": [gate.to_dict() for gate in details.gates],
        }
        for name, part in (("data", details.data), ("conversion", details.conversion)):
            result.pop(name, None)
            if part is not None:
                result[name] = part.to_dict()
    result["conditions"] = written(
        conditions(observed, plan),
        observed.resource.get("status", {}).get("conditions", []),
        generation=observed.generation,
        now=observed.now,
    )
    return result


def conditions(observed: Observed, plan: Plan) -> list[Condition]:
    """Ready, Reconciling, Stalled, Complete, Suspended."""
    return [
        ready(plan.state),
        reconciling(plan.state),
        stalled(plan.state),
        complete(observed, plan.run),
        suspended(plan.state),
    ]


def hindrances(observed: Observed, plan: Plan) -> list[Event]:
    """What has begun to hinder a run, or keeps one from starting; how a run ended is among the plan's events."""
    if plan.outcome is not None or plan.state.reason in ON_ITS_WAY:
        return []
    before = observed.resource.get("status", {}).get("conditions", [])
    found = (news(conditions(observed, plan), before, type_) for type_ in ("Reconciling", "Stalled"))
    return [Event("Warning", condition.reason, condition.message) for condition in found if condition]


def ready(state: State) -> Condition:
    holds = state.standing == "Ready"
    return (true if holds else false)("Ready", state.reason, state.message)


def reconciling(state: State) -> Condition:
    holds = state.standing == "Reconciling"
    return (true if holds else false)("Reconciling", state.reason, state.message)


def stalled(state: State) -> Condition:
    holds = state.standing == "Stalled"
    return (true if holds else false)("Stalled", state.reason, state.message)


def complete(observed: Observed, run: Run | None) -> Condition:
    """Whether there is a version for the spec as it is, passed by its gates or not."""
    if run is None or run.spec_digest != observed.digest:
        return false("Complete", "NotTrained", "this spec has not been trained yet")
    if run.result in TRAINED and observed.version_gone:
        return false(
            "Complete", "VersionDeleted", f"ModelVersion {observed.status.latest_version} was deleted"
        )
    if run.result in TRAINED:
        return true("Complete", run.result, f"run {run.number} ended with a version")
    if run.result is None:
        return false("Complete", "UnderWay", f"run {run.number} has not ended")
    return false("Complete", run.result, f"run {run.number} ended without a version")


def suspended(state: State) -> Condition:
    if state.phase == "Suspended":
        return true("Suspended", "Suspended", state.message)
    return false("Suspended", "NotSuspended", "nothing is held back by spec.suspend")


def _history(before: list[RunRecord], plan: Plan) -> list[RunRecord]:
    run = plan.run
    if plan.outcome is None or run is None or run.result is None:
        return before
    version = plan.register.name if plan.register else None
    record = RunRecord(
        number=run.number,
        result=run.result,
        reason=run.reason or "",
        version=version,
        finished_at=run.finished_at,
    )
    return [record, *(other for other in before if other.number != run.number)][:_HISTORY]
