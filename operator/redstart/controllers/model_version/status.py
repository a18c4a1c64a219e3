"""What status says of a ModelVersion, from what was observed and planned. Pure."""

from __future__ import annotations

from typing import Any, Literal

from redstart.api.v1alpha1.model_version import ModelVersionStatus
from redstart.controllers.conditions import Condition, false, news, true, unknown, written
from redstart.controllers.model_version.desired import Plan, failed_gates
from redstart.controllers.model_version.observe import Observed

Object = dict[str, Any]

ON_ITS_WAY = frozenset({"Starting", "Verifying", "ReadingResult", "Verified"})
"""Reasons of Verified that hinder nothing."""

Phase = Literal["Pending", "Verifying", "Ready", "Rejected", "Quarantined"]


def status(observed: Observed, plan: Plan) -> Object:
    """The whole status, as the API server holds it."""
    before, outcome = observed.status, plan.outcome
    verified = outcome is not None and outcome.result == "Verified"
    digest = observed.spec.artifact.digest if verified and observed.spec else before.verified_digest
    result: Object = ModelVersionStatus(
        observed_generation=observed.generation,
        phase=_phase(observed, plan),
        verified_digest=digest,
        importance=outcome.importance if outcome is not None and verified else before.importance,
        serving=observed.serving,
        quarantine=observed.quarantine,
    ).to_dict()
    result["conditions"] = written(
        conditions(observed, plan),
        observed.resource.get("status", {}).get("conditions", []),
        generation=observed.generation,
        now=observed.now,
    )
    return result


def conditions(observed: Observed, plan: Plan) -> list[Condition]:
    """Ready, Reconciling, Stalled, Verified, GatesPassed, Quarantined."""
    return [
        ready(observed, plan),
        reconciling(plan),
        stalled(observed, plan),
        plan.verification.condition,
        gates_passed(observed),
        quarantined(observed),
    ]


def hindrance(observed: Observed, plan: Plan) -> Condition | None:
    """What has begun to hinder the verification; what came of it is told when it ends."""
    if plan.outcome is not None or plan.verification.condition.reason in ON_ITS_WAY:
        return None
    before = observed.resource.get("status", {}).get("conditions", [])
    wanted = conditions(observed, plan)
    return news(wanted, before, "Reconciling") or news(wanted, before, "Stalled")


def _phase(observed: Observed, plan: Plan) -> Phase:
    standing = plan.verification.standing
    if standing in ("Waiting", "Stalled"):
        return "Pending"
    if standing == "UnderWay":
        return "Verifying"
    if standing == "Rejected" or _gates(observed):
        return "Rejected"
    return "Quarantined" if observed.quarantine else "Ready"


def ready(observed: Observed, plan: Plan) -> Condition:
    """Whether a service may take it. A quarantine is one service's own, and no reason against the others."""
    condition, standing = plan.verification
    if standing == "Done" and not _gates(observed):
        return true("Ready", "Verified", condition.message)
    if standing != "Done":
        return false("Ready", condition.reason, condition.message)
    return false("Ready", "GateFailed", "; ".join(_gates(observed)))


def reconciling(plan: Plan) -> Condition:
    condition, standing = plan.verification
    holds = standing in ("UnderWay", "Waiting")
    return (true if holds else false)("Reconciling", condition.reason, condition.message)


def stalled(observed: Observed, plan: Plan) -> Condition:
    condition, standing = plan.verification
    if standing in ("Rejected", "Stalled"):
        return true("Stalled", condition.reason, condition.message)
    if standing == "Done" and (failed := _gates(observed)):
        return true("Stalled", "GateFailed", "; ".join(failed))
    return false("Stalled", "NotStalled", "")


def gates_passed(observed: Observed) -> Condition:
    if observed.spec is None:
        return unknown("GatesPassed", "InvalidSpec", "the spec cannot be read")
    if not observed.spec.gates:
        return true("GatesPassed", "NoGates", "no gate was set")
    if failed := _gates(observed):
        return false("GatesPassed", "GateFailed", "; ".join(failed))
    count = len(observed.spec.gates)
    return true("GatesPassed", "GatesPassed", f"{count} of {count} gates passed")


def quarantined(observed: Observed) -> Condition:
    if not observed.quarantine:
        return false("Quarantined", "NotQuarantined", "no service has rolled it back")
    told = ", ".join(f"{entry.inference_service} ({entry.reason})" for entry in observed.quarantine)
    return true("Quarantined", "RolledBack", f"rolled back by {told}; these do not take it again")


def _gates(observed: Observed) -> list[str]:
    return failed_gates(observed.spec.gates) if observed.spec else []
