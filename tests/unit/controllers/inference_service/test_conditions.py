"""What each condition of an InferenceService says, sentence by sentence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.controllers.inference_service.builders import (
    entry,
    observed,
    pods,
    role,
    rolled_back,
    rolling,
    situation,
    spec,
    steady,
    to,
    version,
)

from redstart.controllers.conditions import Condition
from redstart.controllers.inference_service import conditions
from redstart.controllers.inference_service.analysis import Analysis
from redstart.controllers.inference_service.revision import Target
from redstart.controllers.inference_service.scrape import PodAddress, RouterReport
from redstart.controllers.inference_service.transitions import policy_of
from redstart.controllers.storage import Problem
from redstart.rollout.decision import Action, Decision
from redstart.rollout.e_process import Block, Counts
from redstart.rollout.error_rate import ErrorRateTest

V1, V2 = role(1).revision, role(2).revision
WAITING = Target(None, "WaitingForVersion", "model m has no ModelVersion in this namespace yet")
BARRED = Target(None, "CanaryRolledBack", "revision x of m-v2 was rolled back here", blocked=True)
REFUSED = ("Refused", "the API server refuses what the spec asks for: no")
TEST = ErrorRateTest.begin(policy_of(spec().rollout))
STOPPED = spec(predictor={"replicas": 0})
TWO = spec(predictor={"replicas": 2})


def decided(action: Action, reason: str, message: str = "as it is") -> Decision:
    return Decision(action, reason, message, 0, 5, 1)


def seen(**fields: Any) -> Analysis:
    return replace(Analysis("rollout-1", TEST, step=0, elapsed=20.0), **fields)


CRASHES = Problem("CrashLoopBackOff", "pod p: container server keeps failing")
FULL = Problem("Unschedulable", "pod p: no node can take the pod: 0/1 nodes are available")
QUOTA = Problem("FailedCreate", "the API server refuses the pod: forbidden: exceeded quota: q")


def without_pods(problem: Problem | None = None, **fields: Any) -> dict[str, Any]:
    return {"observed": observed(revisions={V1: pods(0, problem, **fields)})}


def waiting_canary(problem: Problem | None, **fields: Any) -> dict[str, Any]:
    """A canary whose pods are waited for."""
    return {
        "observed": observed(revisions={V1: pods(1), V2: pods(0, problem, **fields)}),
        "record": rolling(weight=0, step=-1),
        "decision": decided(Action.WAIT, "CanaryNotReady", "0 of 1 canary pods are ready for 5%"),
    }


def told(condition: Condition | None) -> str | None:
    """A condition in one line; None where nothing is said."""
    if condition is None:
        return None
    return f"{condition.type}={condition.status} {condition.reason}: {condition.message}"


@pytest.mark.parametrize(
    ("found", "want"),
    [
        pytest.param({}, "Ready=True Serving: m-v1 serves on 1 of 1 pods", id="a service that serves"),
        pytest.param(
            {"record": None, "target": WAITING},
            "Ready=False WaitingForVersion: model m has no ModelVersion in this namespace yet",
            id="before the first version",
        ),
        pytest.param(
            {"record": None, "refused": REFUSED},
            "Ready=False Refused: the API server refuses what the spec asks for: no",
            id="before the first version, when nothing may be made",
        ),
        pytest.param(
            {"observed": observed(STOPPED)},
            "Ready=False Stopped: spec.predictor.replicas is 0",
            id="a service that was stopped",
        ),
        pytest.param(
            without_pods(CRASHES),
            "Ready=False PodsNotReady: no pod of m-v1 is ready: pod p: container server keeps failing",
            id="no pod is ready, and it is known why",
        ),
        pytest.param(
            without_pods(), "Ready=False PodsNotReady: no pod of m-v1 is ready", id="no pod is ready yet"
        ),
        pytest.param(
            {"observed": observed(ready_routers=frozenset())},
            "Ready=False RouterNotReady: no router pod is ready",
            id="no router is ready",
        ),
        pytest.param(
            {"observed": observed(ready_routers=frozenset(), router_problem=QUOTA)},
            f"Ready=False RouterNotReady: no router pod is ready: {QUOTA.message}",
            id="no router may be made",
        ),
        pytest.param(
            {"record": steady(10)},
            "Ready=False PodsNotReady: no pod of m-v10 is ready",
            id="a revision whose pods nobody has seen",
        ),
        pytest.param(
            {"observed": observed(revisions={role(10).revision: pods(1)}), "record": steady(10)},
            "Ready=False RouterNotReady: the router looks for the pods of m-v10",
            id="a router that finds no pod of what serves",
        ),
    ],
)
def test_ready(found: dict[str, Any], want: str) -> None:
    assert told(conditions.ready(situation(**found))) == want


@pytest.mark.parametrize(
    ("found", "want"),
    [
        pytest.param({}, None, id="a service that serves"),
        pytest.param(
            {"record": None, "target": WAITING},
            "Reconciling=True WaitingForVersion: model m has no ModelVersion in this namespace yet",
            id="before the first version",
        ),
        pytest.param({"record": None, "target": BARRED}, None, id="blocked before the first version"),
        pytest.param({"record": None, "refused": REFUSED}, None, id="refused"),
        pytest.param(
            {"record": rolling(), "decision": decided(Action.WAIT, "HoldingStep", "1s of 30s at 5%")},
            "Reconciling=True RollingOut: 1s of 30s at 5%",
            id="in a rollout",
        ),
        pytest.param(
            {"record": rolling(weight=0, step=-1)},
            "Reconciling=True RollingOut: canary m-v2 starts",
            id="as a rollout begins",
        ),
        pytest.param(
            {"record": rolling(), "decision": decided(Action.HOLD, "Inconclusive")},
            None,
            id="a rollout that waits for a person",
        ),
        pytest.param(
            waiting_canary(FULL),
            f"Reconciling=True RollingOut: 0 of 1 canary pods are ready for 5%: {FULL.message}",
            id="in a rollout whose canary finds no node",
        ),
        pytest.param(
            waiting_canary(FULL, overdue=True), None, id="in a rollout whose canary has found none for long"
        ),
        pytest.param(
            {"record": rolled_back()},
            "Reconciling=True Finishing: m-v2 is being taken out",
            id="while the loser is taken out",
        ),
        pytest.param(
            {"observed": observed(TWO)},
            "Reconciling=True WaitingForPods: 1 of 2 pods of m-v1 are ready",
            id="with fewer pods than wanted",
        ),
        pytest.param(
            without_pods(FULL),
            f"Reconciling=True WaitingForPods: 0 of 1 pods of m-v1 are ready: {FULL.message}",
            id="with pods that wait for something",
        ),
        pytest.param(without_pods(overdue=True), None, id="with pods that never came"),
        pytest.param(
            {"observed": observed(ready_routers=frozenset())},
            "Reconciling=True WaitingForRouter: no router pod reaches a serving pod yet",
            id="without a router",
        ),
        pytest.param(
            {"target": WAITING},
            "Reconciling=True WaitingForVersion: model m has no ModelVersion in this namespace yet",
            id="serving, while the version that is asked for is not fit yet",
        ),
    ],
)
def test_reconciling(found: dict[str, Any], want: str | None) -> None:
    assert told(conditions.reconciling(situation(**found))) == want


@pytest.mark.parametrize(
    ("found", "want"),
    [
        pytest.param({}, None, id="a service that serves"),
        pytest.param(
            {"refused": REFUSED},
            "Stalled=True Refused: the API server refuses what the spec asks for: no",
            id="refused",
        ),
        pytest.param(
            {"target": BARRED},
            "Stalled=True CanaryRolledBack: revision x of m-v2 was rolled back here",
            id="the version that is asked for was rolled back",
        ),
        pytest.param(
            {"target": Target(None, "VersionNotFound", "there is no m-v9")},
            "Stalled=True VersionNotFound: there is no m-v9",
            id="another version than the one that is asked for serves",
        ),
        pytest.param(
            {"record": None, "target": Target(None, "VersionNotFound", "there is no m-v9")},
            None,
            id="a version that may still come, when nothing serves",
        ),
        pytest.param(
            {"record": rolling(), "decision": decided(Action.HOLD, "Inconclusive", "deadline reached")},
            "Stalled=True Inconclusive: deadline reached",
            id="undecided at the deadline",
        ),
        pytest.param(
            {"record": rolling(), "decision": decided(Action.HOLD, "Paused")}, None, id="a paused rollout"
        ),
        pytest.param(
            without_pods(FULL, overdue=True),
            f"Stalled=True ProgressDeadlineExceeded: the pods did not become ready in time: {FULL.message}",
            id="pods that never came",
        ),
        pytest.param(waiting_canary(QUOTA), None, id="a canary whose pods may still come in time"),
        pytest.param(
            waiting_canary(QUOTA, overdue=True),
            f"Stalled=True FailedCreate: canary m-v2 does not start: {QUOTA.message}; when that is mended the "
            "rollout goes on",
            id="a canary whose pods cannot be made for longer than they may take",
        ),
    ],
)
def test_stalled(found: dict[str, Any], want: str | None) -> None:
    assert told(conditions.stalled(situation(**found))) == want


@pytest.mark.parametrize(
    ("found", "want"),
    [
        pytest.param({}, None, id="without a rollout"),
        pytest.param(
            {"record": rolling(), "decision": decided(Action.WAIT, "TooFewSamples", "3 of 200 requests")},
            "Progressing=True TooFewSamples: 3 of 200 requests",
            id="a rollout that goes on by itself",
        ),
        pytest.param(
            {"record": rolling(), "decision": decided(Action.HOLD, "Paused", "spec.rollout.paused is true")},
            "Progressing=False Paused: spec.rollout.paused is true",
            id="a rollout that is held",
        ),
        pytest.param({"record": rolled_back(), "decision": None}, None, id="a rollout that is decided"),
        pytest.param(
            waiting_canary(QUOTA),
            f"Progressing=True CanaryNotReady: 0 of 1 canary pods are ready for 5%: {QUOTA.message}",
            id="a canary whose pods cannot be made",
        ),
    ],
)
def test_progressing(found: dict[str, Any], want: str | None) -> None:
    assert told(conditions.progressing(situation(**found))) == want


@pytest.mark.parametrize(
    ("found", "want"),
    [
        pytest.param({}, None, id="all pods run"),
        pytest.param({"record": None}, None, id="nothing has been made"),
        pytest.param(
            without_pods(FULL),
            f"PodsBlocked=True Unschedulable: stable: {FULL.message}",
            id="stable finds no node",
        ),
        pytest.param(
            {"observed": observed(TWO, revisions={V1: pods(1, QUOTA)})},
            f"PodsBlocked=True FailedCreate: stable: {QUOTA.message}",
            id="the second pod of stable cannot be made",
        ),
        pytest.param(
            waiting_canary(QUOTA),
            f"PodsBlocked=True FailedCreate: canary: {QUOTA.message}",
            id="the canary's cannot",
        ),
        pytest.param(
            {"observed": observed(router_problem=FULL)},
            f"PodsBlocked=True Unschedulable: router: {FULL.message}",
            id="a router finds no node",
        ),
        pytest.param(
            {"observed": observed(revisions={V1: pods(0, QUOTA)}, router_problem=QUOTA)},
            f"PodsBlocked=True FailedCreate: stable: {QUOTA.message}; router: {QUOTA.message}",
            id="neither stable's nor the router's can be made",
        ),
        pytest.param(
            {"observed": observed(revisions={V1: pods(1, QUOTA)})},
            None,
            id="more pods than wanted, of which one waits",
        ),
    ],
)
def test_pods_blocked(found: dict[str, Any], want: str | None) -> None:
    assert told(conditions.pods_blocked(situation(**found))) == want


BLIND = (RouterReport(PodAddress("router-0", "uid", "10.0.0.1"), None),)


@pytest.mark.parametrize(
    ("found", "want"),
    [
        pytest.param({"analysis": seen()}, None, id="without a rollout"),
        pytest.param(
            {"record": rolling(), "analysis": seen()},
            "MetricsAvailable=True Read: every router's counts are read",
            id="every router answers",
        ),
        pytest.param(
            {"record": rolling(), "analysis": seen(), "observed": observed(routers=())},
            "MetricsAvailable=Unknown NoRouter: no router pod is running yet",
            id="no router runs",
        ),
        pytest.param(
            {
                "record": rolling(),
                "analysis": seen(metrics_available=False),
                "observed": observed(routers=BLIND),
            },
            "MetricsAvailable=False RouterUnreadable: router-0 cannot be read; the weight is frozen until it can",
            id="a router does not answer",
        ),
    ],
)
def test_metrics_available(found: dict[str, Any], want: str | None) -> None:
    assert told(conditions.metrics_available(situation(**found))) == want


BUSY = TEST.observe(Block(Counts(500, 0), Counts(9500, 0)), 20.0)


@pytest.mark.parametrize(
    ("analysis", "want"),
    [
        pytest.param(seen(step=-1), None, id="before the first weight"),
        pytest.param(seen(elapsed=5.0), None, id="before traffic was seen for a while"),
        pytest.param(
            seen(),
            "EnoughTraffic=False TooSlow: no requests: nothing can be proven about the canary",
            id="without requests",
        ),
        pytest.param(
            seen(test=BUSY),
            "EnoughTraffic=True Enough: the traffic suffices to prove a good canary by the deadline",
            id="with many",
        ),
    ],
)
def test_enough_traffic(analysis: Analysis, want: str | None) -> None:
    found = situation(record=rolling(), analysis=analysis)
    assert told(conditions.enough_traffic(found)) == want


@pytest.mark.parametrize(
    ("decision", "want"),
    [
        pytest.param(decided(Action.WAIT, "HoldingStep"), None, id="a healthy stable"),
        pytest.param(
            decided(Action.HOLD, "BaselineUnhealthy", "both arms fail"),
            "BaselineUnhealthy=True BaselineUnhealthy: both arms fail",
            id="both arms fail",
        ),
    ],
)
def test_baseline_unhealthy(decision: Decision, want: str | None) -> None:
    assert told(conditions.baseline_unhealthy(situation(record=rolling(), decision=decision))) == want


def test_numbers_that_move_are_not_written_at_every_look() -> None:
    kept = {
        "type": "Reconciling",
        "status": "True",
        "reason": "RollingOut",
        "message": "1s of 30s at 5%",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    found = situation(
        observed=observed(status={"conditions": [kept]}),
        record=rolling(),
        target=to(2),
        analysis=seen(),
        decision=decided(Action.WAIT, "HoldingStep", "2s of 30s at 5%"),
    )
    messages = {c.type: c.message for c in conditions.conditions(found)}
    assert messages["Reconciling"] == "1s of 30s at 5%"
    fresh = {c.type: c.message for c in conditions.conditions(replace(found, test_state="{}"))}
    assert fresh["Reconciling"] == "2s of 30s at 5%"


EDITED = spec(
    rollout={"minSamples": 50, "onInconclusive": "Promote", "paused": True, "onNewVersion": "Finish"}
)


@pytest.mark.parametrize(
    ("found", "want"),
    [
        pytest.param({"observed": observed(EDITED)}, None, id="edits while stable serves alone"),
        pytest.param({"record": rolling()}, None, id="a rollout whose policy nobody edited"),
        pytest.param(
            {"observed": observed(spec(rollout={"paused": True})), "record": rolling()},
            None,
            id="a pause, which acts at once",
        ),
        pytest.param(
            {"observed": observed(EDITED), "record": rolling()},
            "PolicyUpToDate=False ChangedDuringRollout: a rollout keeps the policy that it began with: the changes "
            'of spec.rollout count from the next one on: minSamples (200, now 50), onInconclusive ("Hold", now '
            '"Promote"). To promote this canary now: kubectl annotate infsvc s --overwrite '
            "redstart.dev/promote=rollout-1",
            id="edits that wait",
        ),
    ],
)
def test_policy_up_to_date(found: dict[str, Any], want: str | None) -> None:
    assert told(conditions.policy_up_to_date(situation(**found))) == want


DELETED = Target(
    None, "VersionDeleted", "m-v1 serves on, and its ModelVersion was deleted; there is no other"
)


@pytest.mark.parametrize(
    ("found", "want"),
    [
        pytest.param({"record": None}, None, id="nothing serves"),
        pytest.param({"observed": observed(versions={"m-v1": version(1)})}, None, id="it is there"),
        pytest.param(
            {"target": DELETED},
            "VersionDeleted=True VersionDeleted: m-v1 serves on, and its ModelVersion was deleted; there is no other",
            id="it was deleted, and nothing takes its place",
        ),
        pytest.param(
            {"target": to(2)},
            "VersionDeleted=True VersionDeleted: m-v1 serves on, and its ModelVersion was deleted",
            id="it was deleted, and another one comes",
        ),
    ],
)
def test_version_deleted(found: dict[str, Any], want: str | None) -> None:
    assert told(conditions.version_deleted(situation(**found))) == want


@pytest.mark.parametrize(
    ("results", "want"),
    [
        pytest.param([], None, id="no rollout yet"),
        pytest.param(["Superseded", "Promoted"], None, id="one"),
        pytest.param(["Promoted", "Superseded", "Superseded"], None, id="several, and then one was promoted"),
        pytest.param(
            ["Superseded"] * 4 + ["Promoted"],
            "RolloutsSuperseded=True SupersededInARow: the last 4 rollouts were superseded before they ended, and "
            "none of their versions has served: rollout.onNewVersion: Finish lets each end first; or leave more time "
            "between two versions",
            id="one after the other",
        ),
    ],
)
def test_rollouts_superseded(results: list[str], want: str | None) -> None:
    history = [entry(result, number) for number, result in enumerate(results, start=2)]
    found = situation(observed=observed(status={"rollouts": history}))
    assert told(conditions.rollouts_superseded(found)) == want
