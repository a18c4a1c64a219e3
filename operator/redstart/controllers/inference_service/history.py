"""The rollouts that have ended, and what they bar, as status holds them. Pure."""

from __future__ import annotations

from redstart.api.v1alpha1.inference_service import InferenceServiceStatus, Quarantined, RolloutRecord
from redstart.controllers.conditions import clipped
from redstart.controllers.inference_service.record import Record

HISTORY = 10
QUARANTINED = 20


def history(
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
        last_error=decision.last_error,
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
