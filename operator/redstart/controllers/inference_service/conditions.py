"""The conditions of an InferenceService, one function for each. Pure.

Each answers its condition, or None where it has nothing to say.
"""

from __future__ import annotations

from redstart.api.v1alpha1.common import condition_of
from redstart.controllers.conditions import Condition, false, true, unknown
from redstart.controllers.inference_service.situation import Situation
from redstart.rollout.decision import Action
from redstart.rollout.forecast import too_slow

TRAFFIC_SECONDS = 10.0
"""Traffic is not judged before it was seen for so long."""


def conditions(situation: Situation) -> list[Condition]:
    found = (
        ready(situation),
        reconciling(situation),
        stalled(situation),
        progressing(situation),
        metrics_available(situation),
        enough_traffic(situation),
        baseline_unhealthy(situation),
    )
    return [_settled(condition, situation) for condition in found if condition is not None]


_COUNTING = frozenset({"Reconciling", "Progressing", "EnoughTraffic", "BaselineUnhealthy"})
"""Conditions whose messages hold numbers that move at every look."""


def _settled(condition: Condition, situation: Situation) -> Condition:
    """With the message that status has, where only numbers moved and evidence was written a moment ago."""
    if situation.test_state is not None or situation.analysis is None or condition.type not in _COUNTING:
        return condition
    before = condition_of(situation.observed.service.get("status") or {}, condition.type)
    if before is None or (before["status"], before["reason"]) != (condition.status, condition.reason):
        return condition
    return condition._replace(message=before["message"])


def ready(situation: Situation) -> Condition:
    """Whether clients are answered."""
    record, spec = situation.record, situation.observed.spec
    if record is None and situation.refused is not None:
        return false("Ready", *situation.refused)
    if record is None:
        return false(
            "Ready", situation.target.reason or "Pending", situation.target.message or "waiting for a version"
        )
    if spec.predictor.replicas == 0:
        return false("Ready", "Stopped", "spec.predictor.replicas is 0")
    revision = situation.revision(record.stable.revision)
    ready = revision.ready if revision else 0
    if ready == 0:
        trouble = revision.trouble if revision else ""
        message = f"no pod of {record.stable.version} is ready" + (f": {trouble}" if trouble else "")
        return false("Ready", "PodsNotReady", message)
    if not situation.observed.ready_routers:
        return false("Ready", "RouterNotReady", "no router pod is ready")
    if not situation.observed.reaches(record.stable.revision):
        return false("Ready", "RouterNotReady", f"the router looks for the pods of {record.stable.version}")
    return true(
        "Ready", "Serving", f"{record.stable.version} serves on {ready} of {spec.predictor.replicas} pods"
    )


def reconciling(situation: Situation) -> Condition | None:
    record, spec = situation.record, situation.observed.spec
    if situation.refused is not None and (record is None or record.weight == 0):
        return None
    if record is None:
        if situation.target.blocked:
            return None
        return true(
            "Reconciling", situation.target.reason or "Pending", situation.target.message or "starting"
        )
    if record.canary is not None:
        held = situation.decision is not None and situation.decision.reason == "Inconclusive"
        if held:
            return None
        message = (
            situation.decision.message if situation.decision else f"canary {record.canary.version} starts"
        )
        return true("Reconciling", "RollingOut", message)
    if record.rollout is not None:
        return true("Reconciling", "Finishing", f"{record.rollout.other.version} is being taken out")
    revision = situation.revision(record.stable.revision)
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
        situation.observed.ready_routers and situation.observed.reaches(record.stable.revision)
    ):
        return true("Reconciling", "WaitingForRouter", "no router pod reaches a serving pod yet")
    if situation.target.revision is None and situation.target.reason == "WaitingForVersion":
        return true("Reconciling", situation.target.reason, situation.target.message)
    return None


def stalled(situation: Situation) -> Condition | None:
    """What only the user can mend."""
    if situation.refused is not None:
        return true("Stalled", *situation.refused)
    if situation.target.blocked or (
        situation.target.reason == "VersionNotFound" and situation.record is not None
    ):
        return true("Stalled", situation.target.reason, situation.target.message)
    decision = situation.decision
    if decision is not None and decision.action is Action.HOLD and decision.reason == "Inconclusive":
        return true("Stalled", decision.reason, decision.message)
    record = situation.record
    revision = situation.revision(record.stable.revision) if record and record.rollout is None else None
    if revision is not None and revision.progress_deadline_exceeded and revision.ready == 0:
        trouble = f": {revision.trouble}" if revision.trouble else ""
        return true("Stalled", "ProgressDeadlineExceeded", f"the pods did not become ready in time{trouble}")
    return None


def progressing(situation: Situation) -> Condition | None:
    """What the rollout is doing or waiting for."""
    record, decision = situation.record, situation.decision
    if record is None or record.canary is None or decision is None:
        return None
    kind = false if decision.action is Action.HOLD else true
    return kind("Progressing", decision.reason, decision.message)


def metrics_available(situation: Situation) -> Condition | None:
    """Whether the routers' counts can be read, while a rollout needs them."""
    record, analysis = situation.record, situation.analysis
    if record is None or record.canary is None or analysis is None:
        return None
    if not situation.observed.routers:
        return unknown("MetricsAvailable", "NoRouter", "no router pod is running yet")
    if analysis.metrics_available:
        return true("MetricsAvailable", "Read", "every router's counts are read")
    unread = [router.pod.name for router in situation.observed.routers if router.reading is None]
    return false(
        "MetricsAvailable",
        "RouterUnreadable",
        f"{', '.join(unread)} cannot be read; the weight is frozen until it can",
    )


def enough_traffic(situation: Situation) -> Condition | None:
    """Whether even a canary as good as stable can be proven by the deadline."""
    record, analysis = situation.record, situation.analysis
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


def baseline_unhealthy(situation: Situation) -> Condition | None:
    decision = situation.decision
    if decision is None or decision.reason != "BaselineUnhealthy":
        return None
    return true("BaselineUnhealthy", decision.reason, decision.message)
