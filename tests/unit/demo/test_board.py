"""What the demo concludes from what it saw."""

from __future__ import annotations

from typing import Any

import pytest
from tests.benchmarks.detection import Detection, Look, attempts, detection
from tests.demo.board import per_second, shares, wrong_versions

from redstart.controllers.inference_service.record import Decision, Record, Role, RolloutState
from redstart.routing.counters import ArmReading, Counts, Reading

DIGEST = f"sha256:{'0' * 64}"
AT = "2026-03-01T00:00:00Z"


def role(version: str) -> Role:
    return Role(revision=f"r{version}", version=version, number=int(version[1:]), digest=DIGEST)


def plan(
    number: int, stable: str, other: str | None = None, weight: int = 0, *, decided: bool = False
) -> Record:
    """A traffic record; `decided` with the other one on its way out."""
    rollout = None
    if other is not None:
        rollout = RolloutState(
            id=f"{other}-1",
            other=role(other),
            policy={},
            started_at=AT,
            since=AT,
            weight=weight,
            decision=Decision(result="RolledBack", reason="ErrorRate", message="", at=AT)
            if decided
            else None,
        )
    return Record(number=number, stable=role(stable), established=True, rollout=rollout)


def look(at: float, number: int, *, errors: int = 0, requests: int = 0, router: str = "a") -> Look:
    """One that took a tenth of a second; the counts are those of v3."""
    arms = {"rv3": ArmReading(hosts={"10.0.0.1:8080": Counts(requests, errors)}, healthy=1)}
    return Look(router, at, at + 0.1, Reading(100, number, number, arms))


PLANS = {
    entry.number: entry
    for entry in (
        plan(1, "v2"),
        plan(2, "v2", "v3"),
        plan(3, "v2", "v3", 20),
        plan(4, "v2", "v3", decided=True),
        plan(5, "v3", "v2", decided=True),
    )
}


def line(at: float, **versions: int) -> dict[str, Any]:
    return {"time": at, "answered": sum(versions.values()), "versions": versions}


@pytest.mark.parametrize(
    ("looks", "lines", "wrong"),
    [
        pytest.param([look(0, 1)], [line(1, v2=100)], 0, id="stable may always answer"),
        pytest.param([look(0, 1)], [line(1, v2=100, v3=2)], 2, id="a version that no plan names may not"),
        pytest.param([look(0, 2)], [line(1, v2=100, v3=2)], 2, id="a canary at weight 0 may not"),
        pytest.param([look(0, 3)], [line(1, v2=80, v3=20)], 0, id="a canary with weight may"),
        pytest.param(
            [look(0, 3), look(5, 4), look(9, 4)],
            [line(4, v3=20), line(5.2, v3=24), line(5.9, v3=25)],
            0,
            id="a canary may end what it began before its weight was 0",
        ),
        pytest.param(
            [look(0, 3), look(5, 4), look(9, 4)],
            [line(5.5, v3=24), line(8, v3=24), line(9, v3=25)],
            1,
            id="a canary that answers long after its rollback may not",
        ),
        pytest.param(
            [look(0, 3), look(5, 5), look(9, 5)],
            [line(5.5, v2=100), line(8, v2=100), line(9, v2=101, v3=90)],
            1,
            id="the former stable that answers long after a promotion may not",
        ),
        pytest.param(
            [look(0, 4, router="a"), look(0, 3, router="b"), look(9, 4, router="b")],
            [line(1, v3=1)],
            0,
            id="a canary may answer while one router gives it weight",
        ),
    ],
)
def test_answers_of_a_version_without_traffic_are_counted(
    looks: list[Look], lines: list[dict[str, Any]], wrong: int
) -> None:
    assert wrong_versions(lines, looks, PLANS) == wrong


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        pytest.param(
            [look(0, 3), look(1, 3, errors=1), look(2, 3, errors=2), look(3, 4, errors=2)],
            Detection(at_least=2 - 1.1, at_most=3.1 - 0),
            id="from the last look without a failure to the first one without weight",
        ),
        pytest.param([look(0, 3), look(1, 3), look(2, 4)], None, id="a canary that never failed has none"),
        pytest.param([look(0, 3), look(1, 3, errors=1)], None, id="a canary that keeps its weight has none"),
        pytest.param(
            [
                look(0, 3),
                look(0, 3, router="b"),
                look(1, 3, errors=1),
                look(2, 4, errors=1),
                look(3, 3, router="b"),
                look(4, 4, router="b"),
            ],
            Detection(at_least=3 - 1.1, at_most=4.1 - 0),
            id="the slowest router decides",
        ),
    ],
)
def test_the_time_from_failure_to_weight_0(looks: list[Look], expected: Detection | None) -> None:
    found = detection(looks, PLANS, "rv3")
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert (found.at_least, found.at_most) == pytest.approx((expected.at_least, expected.at_most))


def test_attempts_on_a_revision_are_summed_over_routers_also_when_it_is_gone() -> None:
    looks = [
        look(0, 3, requests=10, errors=2),
        look(0, 3, requests=5, router="b"),
        look(1, 4),
        look(1, 4, router="b"),
    ]
    assert attempts(looks, "rv3") == Counts(15, 2)


def test_rate_and_shares_are_those_of_late() -> None:
    lines = [line(at, v1=100 * at) for at in range(10)] + [
        line(10 + at, v1=900 + 80 * at, v2=20 * at) for at in range(9)
    ]
    assert per_second(lines) == pytest.approx(100)
    assert shares(lines) == pytest.approx({"v1": 0.8, "v2": 0.2})
