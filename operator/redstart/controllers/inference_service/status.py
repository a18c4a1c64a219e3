"""The status of an InferenceService: conditions and phase, each computed in one place. Pure."""

from __future__ import annotations

import json
from typing import Any

from redstart.api.v1alpha1.inference_service import (
    CanaryStatus,
    InferenceServiceStatus,
    Phase,
    Quarantined,
    RolloutRecord,
    StableStatus,
)
from redstart.controllers.conditions import Condition, clipped, true, written
from redstart.controllers.inference_service import conditions
from redstart.controllers.inference_service.analysis import Analysis
from redstart.controllers.inference_service.record import Record, Role, RolloutState
from redstart.controllers.inference_service.serving import COMPONENT
from redstart.controllers.inference_service.situation import Situation
from redstart.controllers.pods import owner_label

HISTORY = 10
QUARANTINED = 20


def status(situation: Situation) -> dict[str, Any]:
    """The whole status as it is written."""
    observed, record = situation.observed, situation.record
    before = observed.service.get("status") or {}
    stable = _stable(situation, record.stable) if record else None
    canary = (
        _canary(situation, record, record.rollout) if record and record.canary and record.rollout else None
    )
    rollouts, quarantine = _history(observed.status, record)
    phase = _phase(situation, rollouts)
    result = InferenceServiceStatus(
        observed_generation=observed.generation,
        phase=phase,
        url=f"http://{observed.name}.{observed.namespace}.svc" if record else None,
        replicas=sum(len(revision.pods) for revision in observed.revisions.values()),
        selector=f"{owner_label('InferenceService')}={observed.name},app.kubernetes.io/component={COMPONENT}",
        stable=stable,
        canary=canary,
        analysis=situation.evidence if canary else [],
        rollouts=rollouts,
        quarantine=quarantine,
    ).to_dict()
    result["conditions"] = written(
        conditions.conditions(situation),
        before.get("conditions", []),
        generation=observed.generation,
        now=situation.now,
    )
    return result


def failure(
    observed_status: dict[str, Any], generation: int, reason: str, message: str, now: float
) -> dict[str, Any]:
    """Status where the spec cannot be acted on: all that was known is kept, and the mend is told."""
    ready = next(
        (entry for entry in observed_status.get("conditions", []) if entry["type"] == "Ready"),
        {"status": "False", "reason": reason, "message": message},
    )
    wanted = [
        Condition(
            "Ready", "True" if ready["status"] == "True" else "False", ready["reason"], ready["message"]
        ),
        true("Stalled", reason, message),
    ]
    return {
        **observed_status,
        "observedGeneration": generation,
        "conditions": written(wanted, observed_status.get("conditions", []), generation=generation, now=now),
    }


def _stable(situation: Situation, role: Role) -> StableStatus:
    revision = situation.revision(role.revision)
    return StableStatus(
        version=role.version,
        revision=role.revision,
        ready_replicas=revision.ready if revision else 0,
        loaded_digest=revision.loaded_digest if revision else None,
    )


def _canary(situation: Situation, record: Record, state: RolloutState) -> CanaryStatus:
    revision = situation.revision(state.other.revision)
    analysis = situation.analysis
    shown = situation.observed.status.canary
    kept = shown is not None and shown.rollout == state.id and situation.test_state is None
    return CanaryStatus(
        version=state.other.version,
        revision=state.other.revision,
        ready_replicas=revision.ready if revision else 0,
        loaded_digest=revision.loaded_digest if revision else None,
        weight=min(situation.weights) if situation.weights else 0,
        step=state.step + 1,
        steps=len(state.policy.steps),
        since=state.since,
        rollout=state.id,
        started_at=state.started_at,
        first_weight_at=state.first_weight_at,
        active_seconds=shown.active_seconds
        if kept and shown
        else round(analysis.elapsed, 1)
        if analysis
        else 0.0,
        policy=state.policy,
        test=shown.test if kept and shown else situation.test_state,
    )


def test_state(analysis: Analysis) -> str:
    """The test's state as status keeps it."""
    return json.dumps(analysis.test.to_state(), separators=(",", ":"))


def _history(
    before: InferenceServiceStatus, record: Record | None
) -> tuple[list[RolloutRecord], list[Quarantined]]:
    """History and quarantine, with the rollout that the record says has ended; each rollout once."""
    state = record.rollout if record else None
    if record is None or state is None or state.decision is None:
        return before.rollouts, before.quarantine
    decision = state.decision
    if any(entry.id == state.id for entry in before.rollouts):
        return before.rollouts, before.quarantine
    promoted = decision.result == "Promoted"
    came, served = (record.stable, state.other) if promoted else (state.other, record.stable)
    entry = RolloutRecord(
        id=state.id,
        from_version=served.version,
        to=came.version,
        revision=came.revision,
        result=decision.result,
        reason=decision.reason,
        message=clipped(decision.message),
        evidence=list(decision.evidence),
        started_at=state.started_at,
        decided_at=decision.at,
    )
    quarantine = before.quarantine
    if decision.result == "RolledBack":
        barred = Quarantined(
            revision=came.revision,
            version=came.version,
            reason=decision.reason,
            message=clipped(decision.message),
            at=decision.at,
        )
        quarantine = [barred, *quarantine][:QUARANTINED]
    return [entry, *before.rollouts][:HISTORY], quarantine


def _phase(situation: Situation, rollouts: list[RolloutRecord]) -> Phase:
    record = situation.record
    if record is None:
        return "Pending"
    if situation.observed.spec.predictor.replicas == 0:
        return "Stopped"
    if not record.established:
        return "Pending"
    if conditions.ready(situation).status != "True":
        return "Degraded"
    if record.canary is not None:
        return "Canary"
    if rollouts and rollouts[0].result == "RolledBack" and rollouts[0].revision != record.stable.revision:
        return "RolledBack"
    return "Serving"
