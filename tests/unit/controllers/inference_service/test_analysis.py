"""What a look at the routers adds to the evidence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.controllers.inference_service.builders import role, rolling

from redstart.api.v1alpha1.inference_service import Traffic
from redstart.controllers.inference_service import analysis
from redstart.controllers.inference_service.analysis import Alone, Analysis
from redstart.controllers.inference_service.record import Record
from redstart.controllers.inference_service.scrape import PodAddress, RouterReport
from redstart.rollout import e_process
from redstart.rollout.verdict import Outcome
from redstart.routing.counters import ArmReading, Counts, Reading

RECORD = rolling(weight=20)
STABLE, CANARY = role(1).revision, role(2).revision


def arm(requests: int, errors: int = 0, *, healthy: int = 1, refused: int = 0) -> ArmReading:
    return ArmReading({"10.0.0.1:8080": Counts(requests, errors)}, healthy, refused)


def router(stable: ArmReading, canary: ArmReading, number: int = RECORD.number) -> RouterReport:
    reading = Reading(60, number, number, {STABLE: stable, CANARY: canary})
    return RouterReport(PodAddress("router", "uid", "10.0.0.9"), reading)


def looked(*looks: tuple[float, RouterReport], record: Record = RECORD, **more: Any) -> Analysis:
    assert record.rollout is not None
    found = analysis.begin(record.rollout, None)
    for now, report in looks:
        found = analysis.look(found, record, [report], paused=False, now=now, **more)
    return found


def test_the_first_look_counts_nothing_and_the_second_what_came_since():
    seen = looked((0.0, router(arm(100), arm(50, 9))), (1.0, router(arm(180), arm(70, 10))))
    assert (seen.test.totals.stable.requests, seen.test.totals.canary.requests) == (80, 20)
    assert (seen.test.totals.canary.errors, seen.samples, seen.elapsed) == (1, 20, 1.0)


def test_no_host_is_counted_from_the_first_look_that_found_none():
    healthy, gone = router(arm(100), arm(50)), router(arm(180), arm(50, healthy=0))
    assert looked((0.0, healthy)).without_host is None
    assert looked((0.0, healthy), (7.0, gone)).without_host == 0.0
    assert looked((0.0, healthy), (7.0, gone), (9.0, gone)).without_host == 2.0
    assert looked((0.0, healthy), (7.0, gone), (9.0, gone), (10.0, healthy)).without_host is None


def test_no_host_while_stable_has_none_either_is_not_the_canarys_fault():
    nobody = router(arm(100, healthy=0), arm(50, healthy=0))
    assert looked((0.0, nobody), (60.0, nobody)).without_host is None


def test_a_canary_alone_is_counted_from_the_first_look_that_found_no_stable():
    beside = router(arm(100), arm(100))
    seen = looked(
        (1.0, beside),
        (2.0, router(arm(100, healthy=0), arm(120))),
        (3.0, router(arm(100, healthy=0), arm(150, 1))),
        (4.0, router(arm(100, healthy=0), arm(190, 1))),
    )
    assert seen.alone == Alone(2.0, e_process.Counts(70, 1))
    assert looked((1.0, beside), (2.0, router(arm(100, healthy=0), arm(120))), (3.0, beside)).alone is None
    assert looked((1.0, router(arm(0, healthy=0), arm(0, healthy=0)))).alone is None


def test_hours_without_a_look_are_no_time_in_which_the_canary_was_watched():
    seen = looked((0.0, router(arm(100), arm(50))), (3 * 3600.0, router(arm(180), arm(70))))
    assert seen.elapsed == analysis.LONGEST_LOOK


def test_a_clock_that_is_set_back_takes_nothing_away():
    seen = looked((100.0, router(arm(100), arm(50))), (40.0, router(arm(180), arm(70))))
    assert seen.elapsed == 0.0


@pytest.mark.parametrize(
    ("retries", "errors"),
    [
        pytest.param(True, 0, id="with retries what stable refuses too is no error"),
        pytest.param(
            False, 12, id="without retries nobody was asked again, and they are errors of their own"
        ),
    ],
)
def test_refusals(retries: bool, errors: int):
    record = RECORD.model_copy(update={"traffic": Traffic(retry_on_stable=retries)})
    seen = looked(
        (0.0, router(arm(100), arm(50))),
        (1.0, router(arm(180), arm(70, 6, refused=6))),
        record=record,
    )
    assert seen.test.totals.canary.errors == errors


def test_counts_of_another_plan_are_not_mixed_with_those_of_this_one():
    before = looked((0.0, router(arm(100), arm(50))), (1.0, router(arm(180), arm(70, 6, refused=6))))
    record = RECORD.model_copy(
        update={"number": RECORD.number + 1, "traffic": Traffic(retry_on_stable=False)}
    )
    for now, canary in ((2.0, arm(90, 12, refused=12)), (3.0, arm(110, 12, refused=12))):
        report = router(arm(260), canary, record.number)
        before = analysis.look(before, record, [report], paused=False, now=now)
    assert before.test.totals.canary.errors == 0
    assert before.test.totals.canary.requests == 40


@pytest.mark.parametrize(
    ("canary", "stable", "fails"),
    [
        pytest.param(30, 120, False, id="clients that are wrong on both arms alike accuse nobody"),
        pytest.param(100, 120, True, id="a canary that refuses what stable takes is found"),
        pytest.param(100, 0, True, id="also where stable refuses nothing"),
    ],
)
def test_refusals_without_retries_are_compared(canary: int, stable: int, fails: bool) -> None:
    """Of 100 requests on the canary and 400 on stable at each of ten looks."""
    record = RECORD.model_copy(update={"traffic": Traffic(retry_on_stable=False)})
    looks = [
        (
            float(number),
            router(arm(400 * number, refused=stable * number), arm(100 * number, refused=canary * number)),
        )
        for number in range(11)
    ]
    seen = looked(*looks, record=record)
    assert (seen.test.verdict().outcome is Outcome.FAIL) is fails
    assert seen.test.baseline_unhealthy() is None


def test_a_block_that_is_open_at_the_end_of_a_step_is_not_closed_in_the_next() -> None:
    found = looked((0.0, router(arm(100), arm(50))), (1.0, router(arm(100), arm(70, 20))))
    record = rolling(weight=50, step=1).model_copy(update={"number": RECORD.number + 1})
    for now, stable in ((2.0, arm(100)), (3.0, arm(120))):
        report = router(stable, arm(70, 20), record.number)
        found = analysis.look(found, record, [report], paused=False, now=now)
    assert found.test.totals.canary.errors == 20
    assert found.test.verdict().outcome is Outcome.UNDECIDED


def test_an_unreadable_router_is_told_and_no_time_passes():
    seen = looked((0.0, router(arm(100), arm(50))))
    assert RECORD.rollout is not None
    unread = replace(router(arm(0), arm(0)), reading=None)
    seen = analysis.look(seen, RECORD, [unread], paused=False, now=1.0)
    assert (seen.metrics_available, seen.elapsed) == (False, 0.0)
