"""The status of an InferenceService: conditions and phase, each computed in one place. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from redstart.api.v1alpha1.common import condition_of
from redstart.api.v1alpha1.inference_service import (
    AnalysisStatus,
    CanaryStatus,
    InferenceServiceStatus,
    Phase,
    Quarantined,
    RolloutRecord,
    StableStatus,
)
from redstart.controllers import conditions
from redstart.controllers.conditions import Condition, false, true, unknown
from redstart.controllers.inference_service.analysis import Analysis
from redstart.controllers.inference_service.observe import Observed, RevisionFacts
from redstart.controllers.inference_service.record import Record, Role, RolloutState
from redstart.controllers.inference_service.revision import Target
from redstart.controllers.inference_service.serving import COMPONENT
from redstart.controllers.pods import owner_label
from redstart.rollout.decision import Action, Decision
from redstart.rollout.forecast import too_slow

HISTORY = 10
TRAFFIC_SECONDS = 10.0
"""Traffic is not judged before it was seen for so long."""
QUARANTINED = 20


@dataclass(frozen=True)
class Facts:
    """What status tells of, after this reconcile's transition."""

    observed: Observed
    record: Record | None
    target: Target
    decision: Decision | None
    analysis: Analysis | None
    evidence: list[AnalysisStatus]
    """The evidence lines to show: fresh ones, or those that status has where they are recent enough."""
    test_state: str | None
    weights: tuple[int, ...]
    refused: tuple[str, str] | None
    """Reason and message where the API server refuses what the spec asks for."""
    now: float

    def revision(self, name: str) -> RevisionFacts | None:
        """Facts of one revision."""
        return self.observed.revisions.get(name)


def status(facts: Facts) -> dict[str, Any]:
    """The whole status as it is written."""
    observed, record = facts.observed, facts.record
    before = observed.service.get("status") or {}
    stable = _stable(facts, record.stable) if record else None
    canary = _canary(facts, record, record.rollout) if record and record.canary and record.rollout else None
    rollouts, quarantine = _history(observed.status, record)
    phase = _phase(facts, rollouts)
    result = InferenceServiceStatus(
        observed_generation=observed.generation,
        phase=phase,
        url=f"http://{observed.name}.{observed.namespace}.svc" if record else None,
        replicas=sum(len(revision.pods) for revision in observed.revisions.values()),
        selector=f"{owner_label('InferenceService')}={observed.name},app.kubernetes.io/component={COMPONENT}",
        stable=stable,
        canary=canary,
        analysis=facts.evidence if canary else [],
        rollouts=rollouts,
        quarantine=quarantine,
    ).to_dict()
    result["conditions"] = conditions.written(
        _conditions(facts),
        before.get("conditions", []),
        generation=observed.generation,
        now=facts.now,
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
        "conditions": conditions.written(
            wanted, observed_status.get("conditions", []), generation=generation, now=now
        ),
    }


def _stable(facts: Facts, role: Role) -> StableStatus:
    revision = facts.revision(role.revision)
    return StableStatus(
        version=role.version,
        revision=role.revision,
        ready_replicas=revision.ready if revision else 0,
        loaded_digest=revision.loaded_digest if revision else None,
    )


def _canary(facts: Facts, record: Record, state: RolloutState) -> CanaryStatus:
    revision = facts.revision(state.other.revision)
    analysis = facts.analysis
    shown = facts.observed.status.canary
    kept = shown is not None and shown.rollout == state.id and facts.test_state is None
    return CanaryStatus(
        version=state.other.version,
        revision=state.other.revision,
        ready_replicas=revision.ready if revision else 0,
        loaded_digest=revision.loaded_digest if revision else None,
        weight=min(facts.weights) if facts.weights else 0,
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
        test=shown.test if kept and shown else facts.test_state,
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
        message=conditions.clipped(decision.message),
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
            message=conditions.clipped(decision.message),
            at=decision.at,
        )
        quarantine = [barred, *quarantine][:QUARANTINED]
    return [entry, *before.rollouts][:HISTORY], quarantine


def _phase(facts: Facts, rollouts: list[RolloutRecord]) -> Phase:
    record = facts.record
    if record is None:
        return "Pending"
    if facts.observed.spec.predictor.replicas == 0:
        return "Stopped"
    if not record.established:
        return "Pending"
    if _ready(facts).status != "True":
        return "Degraded"
    if record.canary is not None:
        return "Canary"
    if rollouts and rollouts[0].result == "RolledBack" and rollouts[0].revision != record.stable.revision:
        return "RolledBack"
    return "Serving"


def _conditions(facts: Facts) -> list[Condition]:
    found = (
        _ready(facts),
        _reconciling(facts),
        _stalled(facts),
        _progressing(facts),
        _metrics_available(facts),
        _enough_traffic(facts),
        _baseline_unhealthy(facts),
    )
    return [_settled(condition, facts) for condition in found if condition is not None]


_COUNTING = frozenset({"Reconciling", "Progressing", "EnoughTraffic", "BaselineUnhealthy"})
"""Conditions whose messages hold numbers that move at every look."""


def _settled(condition: Condition, facts: Facts) -> Condition:
    """With the message that status has, where only numbers moved and evidence was written a moment ago."""
    if facts.test_state is not None or facts.analysis is None or condition.type not in _COUNTING:
        return condition
    before = condition_of(facts.observed.service.get("status") or {}, condition.type)
    if before is None or (before["status"], before["reason"]) != (condition.status, condition.reason):
        return condition
    return condition._replace(message=before["message"])


def _ready(facts: Facts) -> Condition:
    """Whether clients are answered."""
    record, spec = facts.record, facts.observed.spec
    if record is None and facts.refused is not None:
        return false("Ready", *facts.refused)
    if record is None:
        return false(
            "Ready", facts.target.reason or "Pending", facts.target.message or "waiting for a version"
        )
    if spec.predictor.replicas == 0:
        return false("Ready", "Stopped", "spec.predictor.replicas is 0")
    revision = facts.revision(record.stable.revision)
    ready = revision.ready if revision else 0
    if ready == 0:
        trouble = revision.trouble if revision else ""
        message = f"no pod of {record.stable.version} is ready" + (f": {trouble}" if trouble else "")
        return false("Ready", "PodsNotReady", message)
    if not facts.observed.ready_routers:
        return false("Ready", "RouterNotReady", "no router pod is ready")
    if not facts.observed.reaches(record.stable.revision):
        return false("Ready", "RouterNotReady", f"the router looks for the pods of {record.stable.version}")
    return true(
        "Ready", "Serving", f"{record.stable.version} serves on {ready} of {spec.predictor.replicas} pods"
    )


def _reconciling(facts: Facts) -> Condition | None:
    record, spec = facts.record, facts.observed.spec
    if facts.refused is not None and (record is None or record.weight == 0):
        return None
    if record is None:
        if facts.target.blocked:
            return None
        return true("Reconciling", facts.target.reason or "Pending", facts.target.message or "starting")
    if record.canary is not None:
        held = facts.decision is not None and facts.decision.reason == "Inconclusive"
        if held:
            return None
        message = facts.decision.message if facts.decision else f"canary {record.canary.version} starts"
        return true("Reconciling", "RollingOut", message)
    if record.rollout is not None:
        return true("Reconciling", "Finishing", f"{record.rollout.other.version} is being taken out")
    revision = facts.revision(record.stable.revision)
    ready = revision.ready if revision else 0
    if ready < spec.predictor.replicas:
        if revision is not None and revision.progress_deadline_exceeded and ready == 0:
            return None
        trouble = f": {revision.trouble}" if revision and revision.trouble else ""
        return true(
            "Reconciling",
            "WaitingForPods",
            f"{ready} of {spec.predictor.replicas} pods of {record.stable.version} are ready{trouble}",
        )
    if spec.predictor.replicas and not (
        facts.observed.ready_routers and facts.observed.reaches(record.stable.revision)
    ):
        return true("Reconciling", "WaitingForRouter", "no router pod reaches a serving pod yet")
    if facts.target.revision is None and facts.target.reason == "WaitingForVersion":
        return true("Reconciling", facts.target.reason, facts.target.message)
    return None


def _stalled(facts: Facts) -> Condition | None:
    """What only the user can mend."""
    if facts.refused is not None:
        return true("Stalled", *facts.refused)
    if facts.target.blocked or (facts.target.reason == "VersionNotFound" and facts.record is not None):
        return true("Stalled", facts.target.reason, facts.target.message)
    decision = facts.decision
    if decision is not None and decision.action is Action.HOLD and decision.reason == "Inconclusive":
        return true("Stalled", decision.reason, decision.message)
    record = facts.record
    revision = facts.revision(record.stable.revision) if record and record.rollout is None else None
    if revision is not None and revision.progress_deadline_exceeded and revision.ready == 0:
        trouble = f": {revision.trouble}" if revision.trouble else ""
        return true("Stalled", "ProgressDeadlineExceeded", f"the pods did not become ready in time{trouble}")
    return None


def _progressing(facts: Facts) -> Condition | None:
    """What the rollout is doing or waiting for."""
    record, decision = facts.record, facts.decision
    if record is None or record.canary is None or decision is None:
        return None
    kind = false if decision.action is Action.HOLD else true
    return kind("Progressing", decision.reason, decision.message)


def _metrics_available(facts: Facts) -> Condition | None:
    """Whether the routers' counts can be read, while a rollout needs them."""
    record, analysis = facts.record, facts.analysis
    if record is None or record.canary is None or analysis is None:
        return None
    if not facts.observed.routers:
        return unknown("MetricsAvailable", "NoRouter", "no router pod is running yet")
    if analysis.metrics_available:
        return true("MetricsAvailable", "Read", "every router's counts are read")
    unread = [router.pod.name for router in facts.observed.routers if router.reading is None]
    return false(
        "MetricsAvailable",
        "RouterUnreadable",
        f"{', '.join(unread)} cannot be read; the weight is frozen until it can",
    )


def _enough_traffic(facts: Facts) -> Condition | None:
    """Whether even a canary as good as stable can be proven by the deadline."""
    record, analysis = facts.record, facts.analysis
    if record is None or record.canary is None or analysis is None or analysis.step < 0:
        return None
    if analysis.elapsed < TRAFFIC_SECONDS:
        return None
    totals = analysis.test.totals
    warning = too_slow(
        analysis.test.policy,
        analysis.test,
        step=analysis.step,
        step_elapsed=analysis.step_elapsed,
        elapsed=analysis.elapsed,
        requests_per_second=(totals.canary.requests + totals.stable.requests) / analysis.elapsed,
    )
    if warning is None:
        return true("EnoughTraffic", "Enough", "the traffic suffices to prove a good canary by the deadline")
    return false("EnoughTraffic", "TooSlow", warning)


def _baseline_unhealthy(facts: Facts) -> Condition | None:
    decision = facts.decision
    if decision is None or decision.reason != "BaselineUnhealthy":
        return None
    return true("BaselineUnhealthy", decision.reason, decision.message)
