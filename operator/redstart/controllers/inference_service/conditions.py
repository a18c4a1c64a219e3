"""The conditions of an InferenceService, one function for each. Pure.

Each answers its condition, or None where it has nothing to say.
"""

from __future__ import annotations

import json
from typing import Any

from redstart.api.v1alpha1.common import condition_of
from redstart.controllers.conditions import Condition, false, true, unknown
from redstart.controllers.inference_service.history import history
from redstart.controllers.inference_service.observe import PROMOTE_ANNOTATION
from redstart.controllers.inference_service.situation import Situation
from redstart.controllers.storage import Problem
from redstart.rollout.decision import Action, Decision
from redstart.rollout.forecast import too_slow

ACT_AT_ONCE = frozenset({"paused", "onNewVersion"})
"""Fields of spec.rollout that act on the rollout that is under way."""
SUPERSEDED_IN_A_ROW = 2
TRAFFIC_SECONDS = 10.0
"""Traffic is not judged before it was seen for so long."""


_WAITS_FOR_PODS = frozenset({"CanaryNotReady", "ScalingForPromotion"})


def conditions(situation: Situation) -> list[Condition]:
    """All that hold or have something to say, with messages as they are written."""
    found = (
        ready(situation),
        reconciling(situation),
        stalled(situation),
        pods_blocked(situation),
        progressing(situation),
        metrics_available(situation),
        enough_traffic(situation),
        baseline_unhealthy(situation),
        policy_up_to_date(situation),
        version_deleted(situation),
        rollouts_superseded(situation),
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
        message = f"no pod of {record.stable.version} is ready"
        return false("Ready", "PodsNotReady", _because(message, revision.problem if revision else None))
    if not situation.observed.ready_routers:
        message = _because("no router pod is ready", situation.observed.router_problem)
        return false("Ready", "RouterNotReady", message)
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
        if held or _canary_stuck(situation) is not None:
            return None
        message = _told(situation.decision, situation) or f"canary {record.canary.version} starts"
        return true("Reconciling", "RollingOut", message)
    if record.rollout is not None:
        return true("Reconciling", "Finishing", f"{record.rollout.other.version} is being taken out")
    revision = situation.revision(record.stable.revision)
    ready = revision.ready if revision else 0
    if ready < spec.predictor.replicas:
        if revision is not None and revision.overdue and ready == 0:
            return None
        message = f"{ready} of {spec.predictor.replicas} pods of {record.stable.version} are ready"
        return true(
            "Reconciling", "WaitingForPods", _because(message, revision.problem if revision else None)
        )
    if spec.predictor.replicas and not (
        situation.observed.ready_routers and situation.observed.reaches(record.stable.revision)
    ):
        message = _because("no router pod reaches a serving pod yet", situation.observed.router_problem)
        return true("Reconciling", "WaitingForRouter", message)
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
    if revision is not None and revision.overdue and revision.ready == 0:
        message = _because("the pods did not become ready in time", revision.problem)
        return true("Stalled", "ProgressDeadlineExceeded", message)
    if record is not None and record.canary is not None and (problem := _canary_stuck(situation)) is not None:
        message = f"canary {record.canary.version} does not start: {problem.message}"
        return true("Stalled", problem.reason, f"{message}; when that is mended the rollout goes on")
    return None


def pods_blocked(situation: Situation) -> Condition | None:
    """What keeps pods from being made, started or ready, of every arm and of the router."""
    record, wanted = situation.record, situation.observed.spec.predictor.replicas
    if record is None:
        return None
    found = []
    stable, canary = situation.revision(record.stable.revision), None
    if stable is not None and stable.ready < wanted:
        found.append(("stable", stable.problem))
    if record.canary is not None and (canary := situation.revision(record.canary.revision)) is not None:
        found.append(("canary", canary.problem))
    found.append(("router", situation.observed.router_problem))
    problems = [(name, problem) for name, problem in found if problem is not None]
    if not problems:
        return None
    message = "; ".join(f"{name}: {problem.message}" for name, problem in problems)
    return true("PodsBlocked", problems[0][1].reason, message)


def _canary_stuck(situation: Situation) -> Problem | None:
    """What has kept the canary from becoming ready for longer than pods may take, though it is not at fault."""
    record, decision = situation.record, situation.decision
    canary = situation.revision(record.canary.revision) if record and record.canary else None
    if canary is None or decision is None or decision.reason not in _WAITS_FOR_PODS or not canary.overdue:
        return None
    return canary.problem


def _told(decision: Decision | None, situation: Situation) -> str:
    """What the rollout waits for; of pods that are not ready, why."""
    record = situation.record
    if decision is None or record is None or record.canary is None:
        return ""
    canary = situation.revision(record.canary.revision)
    waits = decision.reason in _WAITS_FOR_PODS
    return _because(decision.message, canary.problem if canary and waits else None)


def _because(message: str, problem: Problem | None) -> str:
    return f"{message}: {problem.message}" if problem else message


def progressing(situation: Situation) -> Condition | None:
    """What the rollout is doing or waiting for."""
    record, decision = situation.record, situation.decision
    if record is None or record.canary is None or decision is None:
        return None
    kind = false if decision.action is Action.HOLD else true
    return kind("Progressing", decision.reason, _told(decision, situation))


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


def policy_up_to_date(situation: Situation) -> Condition | None:
    """Said only while edits of spec.rollout wait for the next rollout."""
    record = situation.record
    if record is None or record.canary is None or record.rollout is None:
        return None
    policy, spec = record.rollout.policy.to_dict(), situation.observed.spec.rollout.to_dict()
    changed = [
        f"{name} ({_short(policy.get(name))}, now {_short(spec.get(name))})"
        for name in sorted({*policy, *spec} - ACT_AT_ONCE)
        if policy.get(name) != spec.get(name)
    ]
    if not changed:
        return None
    return false(
        "PolicyUpToDate",
        "ChangedDuringRollout",
        f"a rollout keeps the policy that it began with: the changes of spec.rollout count from the next one on: "
        f"{', '.join(changed)}. To promote this canary now: kubectl annotate infsvc {situation.observed.name} "
        f"--overwrite {PROMOTE_ANNOTATION}={record.rollout.id}",
    )


def _short(value: Any) -> str:
    return json.dumps(value)[:80]


def version_deleted(situation: Situation) -> Condition | None:
    """Said only while what serves has no ModelVersion any more."""
    record = situation.record
    if record is None or record.stable.version in situation.observed.versions:
        return None
    told = situation.target.message if situation.target.reason == "VersionDeleted" else ""
    message = f"{record.stable.version} serves on, and its ModelVersion was deleted"
    return true("VersionDeleted", "VersionDeleted", told or message)


def rollouts_superseded(situation: Situation) -> Condition | None:
    """Said only while one rollout after the other is superseded before it ends."""
    row = 0
    rollouts, _ = history(situation.observed.status, situation.record)
    for entry in rollouts:
        if entry.result != "Superseded":
            break
        row += 1
    if row < SUPERSEDED_IN_A_ROW:
        return None
    mend = "rollout.onNewVersion: Finish lets each end first; or leave more time between two versions"
    return true(
        "RolloutsSuperseded",
        "SupersededInARow",
        f"the last {row} rollouts were superseded before they ended, and none of their versions has served: {mend}",
    )
