"""The status of an InferenceService: conditions and phase, each computed in one place. Pure."""

from __future__ import annotations

import json
from typing import Any

from redstart.api.v1alpha1.inference_service import (
    CanaryStatus,
    InferenceServiceStatus,
    Phase,
    RolloutRecord,
    StableStatus,
)
from redstart.controllers.conditions import Condition, true, written
from redstart.controllers.inference_service import conditions
from redstart.controllers.inference_service.analysis import Analysis
from redstart.controllers.inference_service.history import history
from redstart.controllers.inference_service.record import Record, Role, RolloutState
from redstart.controllers.inference_service.serving import COMPONENT
from redstart.controllers.inference_service.situation import Situation
from redstart.controllers.pods import owner_label


def status(situation: Situation) -> dict[str, Any]:
    """The whole status as it is written."""
    observed, record = situation.observed, situation.record
    before = observed.service.get("status") or {}
    stable = _stable(situation, record.stable) if record else None
    canary = (
        _canary(situation, record, record.rollout) if record and record.canary and record.rollout else None
    )
    rollouts, quarantine = history(observed.status, record)
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
        desired_replicas=situation.replicas.get(role.revision, 0),
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
        desired_replicas=situation.replicas.get(state.other.revision, 0),
        loaded_digest=revision.loaded_digest if revision else None,
        weight=_weight(situation, state),
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


def _weight(situation: Situation, state: RolloutState) -> int:
    """What the routers say; while none can be read, what they said last: it is in force until they learn another."""
    shown = situation.observed.status.canary
    if situation.weights:
        return min(situation.weights)
    return shown.weight if shown is not None and shown.rollout == state.id else 0


def test_state(analysis: Analysis) -> str:
    """The test's state as status keeps it."""
    return json.dumps(analysis.test.to_state(), separators=(",", ":"))


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
