"""The state machine of a service: what the traffic record becomes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.controllers.inference_service.builders import (
    facts,
    role,
    rolled_back,
    rolling,
    spec,
    steady,
    to,
)

from redstart.controllers.inference_service.record import Record
from redstart.controllers.inference_service.revision import Target
from redstart.controllers.inference_service.transitions import next_transition, policy_of
from redstart.rollout.decision import Action
from redstart.rollout.e_process import Block, Counts
from redstart.rollout.error_rate import ErrorRateTest
from redstart.rollout.verdict import Outcome, Verdict

NOW = 1_767_225_700.0
CRASH = Verdict(Outcome.FAIL, "CrashLoopBackOff", "it crashes")


def fed(canary: tuple[int, int], stable: tuple[int, int], looks: int = 1) -> ErrorRateTest:
    test = ErrorRateTest.begin(policy_of(spec().rollout))
    for look in range(1, looks + 1):
        test = test.observe(Block(Counts(*canary), Counts(*stable)), float(look))
    return test


GOOD = fed((50, 0), (50, 0), looks=60)
BAD = fed((20, 20), (80, 0))


def test_the_first_target_becomes_stable_at_once():
    result = next_transition(None, to(1), spec(), facts(), NOW)
    assert result.record is not None
    assert (result.record.stable, result.record.established) == (role(1), False)
    assert result.replicas == {role(1).revision: 1}


def test_a_first_revision_that_never_was_ready_is_simply_replaced():
    starting = steady(1).model_copy(update={"established": False})
    result = next_transition(starting, to(2), spec(), facts(ready={}), NOW)
    assert result.record is not None
    assert result.record.stable == role(2)
    assert result.record.rollout is None
    assert result.record.number > starting.number


def test_a_first_revision_is_established_once_a_pod_is_ready():
    starting = steady(1).model_copy(update={"established": False})
    result = next_transition(starting, to(1), spec(), facts(), NOW)
    assert result.record == steady(1)


def test_without_a_version_nothing_is_made():
    result = next_transition(None, Target(None, "WaitingForVersion", "none yet"), spec(), facts(), NOW)
    assert (result.record, result.replicas) == (None, {})


def test_a_new_target_starts_a_rollout_at_weight_0():
    result = next_transition(steady(1), to(2), spec(), facts(), NOW)
    assert result.record is not None
    assert result.record.rollout is not None
    assert (result.record.canary, result.record.weight, result.record.rollout.step) == (role(2), 0, -1)
    assert result.notices[0].reason == "RolloutStarted"


def test_a_target_that_serves_changes_nothing():
    result = next_transition(steady(1), to(1), spec(), facts(), NOW)
    assert result.record == steady(1)
    assert result.notices == ()


def test_a_rollout_keeps_the_policy_that_it_started_with():
    changed = spec(rollout={"steps": [{"weight": 90}]})
    result = next_transition(rolling(), to(2), changed, facts(step_elapsed=60, samples=1000, test=GOOD), NOW)
    assert result.record is not None
    assert result.record.weight == 25


def test_pods_neither_shrink_nor_go_while_a_canary_is_beside_stable():
    record, smaller = rolling(), spec(predictor={"replicas": 1})
    busy = facts(replicas={role(1).revision: 4, role(2).revision: 2})
    assert next_transition(record, to(2), smaller, busy, NOW).replicas == {
        role(1).revision: 4,
        role(2).revision: 2,
    }


@pytest.mark.parametrize(
    ("found", "action"),
    [
        pytest.param({"step_elapsed": 5.0}, Action.WAIT, id="a step whose hold is not over waits"),
        pytest.param(
            {"step_elapsed": 60.0, "samples": 10}, Action.WAIT, id="a step with too few samples waits"
        ),
        pytest.param(
            {"step_elapsed": 60.0, "samples": 500, "metrics_available": False},
            Action.HOLD,
            id="without metrics the weight is frozen",
        ),
        pytest.param(
            {"step_elapsed": 60.0, "samples": 500, "weights": (0,)},
            Action.WAIT,
            id="a weight that is not in force at a router is waited for",
        ),
    ],
)
def test_the_weight_stays(found: dict, action: Action):
    result = next_transition(rolling(), to(2), spec(), facts(test=GOOD, **found), NOW)
    assert result.record == rolling()
    assert result.decision is not None
    assert result.decision.action is action


def test_a_step_that_is_over_is_followed_by_the_next_weight():
    result = next_transition(rolling(), to(2), spec(), facts(step_elapsed=31, samples=300, test=GOOD), NOW)
    assert result.record is not None
    assert result.record.rollout is not None
    assert (result.record.weight, result.record.rollout.step) == (25, 1)
    assert result.record.number == rolling().number + 1


CHANGED = "m-v2 after m-v1: wear is ignored"


def test_what_clients_may_notice_is_told_with_the_first_weight_and_at_the_end():
    begun = rolling(weight=0, step=-1)
    first = next_transition(begun, to(2), spec(), facts(weights=(0,), changes=CHANGED), NOW)
    assert first.record is not None
    assert [notice.reason for notice in first.notices] == ["StepStarted", "InputsChanged"]
    assert first.notices[1].message == CHANGED
    second = next_transition(first.record, to(2), spec(), facts(step_elapsed=31, samples=300, test=GOOD), NOW)
    assert [notice.reason for notice in second.notices] == ["StepStarted"]
    assert second.record is not None
    ended = next_transition(second.record, to(2), spec(), facts(weights=(25,), test=BAD), NOW).record
    assert ended is not None
    assert ended.rollout is not None
    assert ended.rollout.decision is not None
    assert ended.rollout.decision.message.endswith(f"needed 100. {CHANGED}")


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        pytest.param({"test": BAD}, "ErrorRate", id="a canary that fails more than stable"),
        pytest.param({"structural": CRASH}, "CrashLoopBackOff", id="a canary that crashes"),
        pytest.param(
            {"structural": CRASH, "metrics_available": False},
            "CrashLoopBackOff",
            id="a canary that crashes while nothing can be read",
        ),
    ],
)
def test_rolled_back(found: dict, reason: str):
    result = next_transition(rolling(), to(2), spec(), facts(**found), NOW)
    assert result.record is not None
    assert result.record.rollout is not None
    assert result.record.rollout.decision is not None
    assert result.record.rollout.decision.result == "RolledBack"
    assert result.record.rollout.decision.reason == reason
    assert (result.record.weight, result.record.stable) == (0, role(1))
    assert result.notices[0].type == "Warning"


def test_a_paused_rollout_still_rolls_back():
    paused = spec(rollout={"paused": True})
    result = next_transition(rolling(), to(2), paused, facts(test=BAD), NOW)
    assert result.record is not None
    assert result.record.weight == 0


@pytest.mark.parametrize(
    ("target", "service", "why"),
    [
        pytest.param(to(3), spec(), "m-v3", id="another version is asked for"),
        pytest.param(to(1), spec(), "m-v1", id="the serving version is asked for again"),
        pytest.param(
            Target(None, "VersionRejected", "its gates failed", blocked=True),
            spec(),
            "its gates failed",
            id="the version was rejected meanwhile",
        ),
        pytest.param(to(2), spec(predictor={"replicas": 0}), "replicas is 0", id="the service is stopped"),
    ],
)
def test_superseded(target: Target, service, why: str):
    result = next_transition(rolling(), target, service, facts(), NOW)
    assert result.record is not None
    assert result.record.rollout is not None
    assert result.record.rollout.decision is not None
    assert result.record.rollout.decision.result == "Superseded"
    assert why in result.record.rollout.decision.message
    assert result.record.weight == 0


def test_a_target_that_is_not_known_yet_lets_the_rollout_go_on():
    unknown = Target(None, "WaitingForVersion", "not yet")
    assert next_transition(rolling(), unknown, spec(), facts(), NOW).record == rolling()


def test_promotion_scales_the_canary_to_full_before_it_gets_all_traffic():
    last = rolling(weight=50, step=2)
    three = spec(predictor={"replicas": 3})
    passed = facts(weights=(50,), step_elapsed=60, samples=1000, test=GOOD)
    result = next_transition(last, to(2), three, passed, NOW)
    assert result.record is not None
    assert result.record.weight == 50
    assert result.replicas[role(2).revision] == 3
    assert result.decision is not None
    assert result.decision.reason == "ScalingForPromotion"

    ready = facts(weights=(50,), ready={role(1).revision: 3, role(2).revision: 3}, test=GOOD)
    promoted = next_transition(result.record, to(2), three, ready, NOW).record
    assert promoted is not None
    assert (promoted.stable, promoted.canary, promoted.weight) == (role(2), None, 0)
    assert promoted.rollout is not None
    assert promoted.rollout.other == role(1)


def test_a_canary_that_fails_while_it_is_scaled_for_promotion_is_rolled_back():
    waiting = rolling(weight=50, step=2)
    passed = facts(weights=(50,), step_elapsed=60, samples=1000, test=GOOD)
    three = spec(predictor={"replicas": 3})
    promoting = next_transition(waiting, to(2), three, passed, NOW).record
    result = next_transition(promoting, to(2), three, facts(weights=(50,), structural=CRASH), NOW)
    assert result.record is not None
    assert result.record.stable == role(1)
    assert result.record.weight == 0


def test_a_promotion_that_is_asked_for_scales_the_canary_first_and_names_the_person():
    three = spec(predictor={"replicas": 3}, rollout={"paused": True})
    begun = next_transition(rolling(), to(2), three, facts(requested=True), NOW)
    assert begun.record is not None
    assert (begun.record.weight, begun.replicas[role(2).revision]) == (5, 3)
    ready = {role(1).revision: 3, role(2).revision: 3}
    ended = next_transition(begun.record, to(2), three, facts(requested=True, ready=ready), NOW).record
    assert ended is not None
    assert ended.stable == role(2)
    assert ended.rollout is not None
    assert ended.rollout.decision is not None
    assert ended.rollout.decision.reason == "Requested"


@pytest.mark.parametrize(
    ("rollout", "found"),
    [
        pytest.param({"paused": True}, {}, id="while it is paused"),
        pytest.param({}, {"metrics_available": False}, id="without metrics"),
        pytest.param({}, {"test": fed((50, 20), (50, 20), looks=60)}, id="while both arms fail"),
    ],
)
def test_a_promotion_that_has_begun_is_held(rollout: dict, found: dict):
    three = {"predictor": {"replicas": 3}}
    last = rolling(weight=50, step=2)
    passed = facts(weights=(50,), step_elapsed=60, samples=1000, test=GOOD)
    begun = next_transition(last, to(2), spec(**three), passed, NOW).record
    assert begun is not None
    ready = {role(1).revision: 3, role(2).revision: 3}
    seen = facts(**({"weights": (50,), "ready": ready, "test": GOOD} | found))
    held = next_transition(begun, to(2), spec(**three, rollout=rollout), seen, NOW)
    assert held.record == begun
    assert held.decision is not None
    assert held.decision.action is Action.HOLD
    assert held.replicas[role(2).revision] >= 1

    promoted = next_transition(
        begun, to(2), spec(**three), replace(seen, metrics_available=True, test=GOOD), NOW
    )
    assert promoted.record is not None
    assert promoted.record.stable == role(2)


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(steady(1), id="while stable serves alone"),
        pytest.param(rolling(), id="in a rollout"),
        pytest.param(rolled_back(), id="while a canary is taken out"),
    ],
)
def test_another_routing_is_another_plan(record: Record):
    routed = spec(traffic={"retryOnStable": False, "timeout": "3s"})
    canary = record.canary or record.stable
    result = next_transition(record, to(canary.number), routed, facts(), NOW)
    assert result.record == record.model_copy(update={"number": record.number + 1, "traffic": routed.traffic})
    again = next_transition(result.record, to(canary.number), routed, facts(), NOW)
    assert again.record == result.record


@pytest.mark.parametrize(
    ("recorded", "quiet"),
    [
        pytest.param(False, 60.0, id="while status does not tell why"),
        pytest.param(True, 9.0, id="while its last request may still be waiting for an answer"),
    ],
)
def test_the_loser_stays(recorded: bool, quiet: float):
    result = next_transition(rolled_back(), to(1), spec(), facts(recorded=recorded, quiet_seconds=quiet), NOW)
    assert result.record == rolled_back()
    assert result.replicas[role(2).revision] == 1


def test_how_a_rollout_ended_is_said_again_until_status_tells_it():
    (said,) = next_transition(rolled_back(), to(1), spec(), facts(recorded=False), NOW).notices
    assert (said.type, said.reason) == ("Warning", "RolledBack")
    assert "ErrorRate: worse" in said.message
    assert next_transition(rolled_back(), to(1), spec(), facts(recorded=True), NOW).notices == ()


def test_the_loser_goes_once_status_tells_and_its_last_request_is_over():
    result = next_transition(rolled_back(), to(1), spec(), facts(recorded=True, quiet_seconds=10.1), NOW)
    assert result.record is not None
    assert result.record.rollout is None
    assert role(2).revision not in result.replicas


def test_a_decided_rollout_never_gets_weight_again():
    record = rolled_back()
    for _ in range(20):
        result = next_transition(
            record, to(2), spec(), facts(weights=(0,), test=GOOD, step_elapsed=99, samples=9999), NOW
        )
        assert result.record is not None
        record = result.record
        assert record.weight == 0
