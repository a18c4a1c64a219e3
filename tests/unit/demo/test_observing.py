"""The evidence that is shown live is what the operator's own test says of the same counts."""

from __future__ import annotations

from typing import Any

import pytest
from tests.demo.observing import Comparison

from redstart.controllers.inference_service.record import Record, Role, RolloutState
from redstart.routing.counters import Counts

DIGEST = f"sha256:{'0' * 64}"
AT = "2026-03-01T00:00:00Z"
CANARY: dict[str, Any] = {"rollout": "new-2", "policy": {}}


def plan(number: int, weight: int) -> Record:
    other = Role(revision="new", version="m-v2", number=2, digest=DIGEST)
    rollout = RolloutState(id="new-2", other=other, policy={}, started_at=AT, since=AT, weight=weight)
    stable = Role(revision="old", version="m-v1", number=1, digest=DIGEST)
    return Record(number=number, stable=stable, established=True, rollout=rollout)


def counted(canary: Counts, stable: Counts) -> dict[str, Counts]:
    return {"new": canary, "old": stable}


@pytest.fixture
def begun() -> Comparison:
    before = counted(Counts(3, 0), Counts(1000, 1))
    found = Comparison.begin(CANARY, before)
    return found.after(plan(3, 20), before, found.began)


def test_what_was_counted_before_the_first_weight_has_no_part(begun: Comparison) -> None:
    after = begun.after(plan(3, 20), counted(Counts(23, 0), Counts(1080, 1)), begun.began + 1)
    assert (after.test.totals.canary.requests, after.test.totals.stable.requests) == (20, 80)


def test_a_canary_that_fails_gathers_evidence(begun: Comparison) -> None:
    found = begun
    for second in range(1, 5):
        counts = counted(Counts(3 + 20 * second, 5 * second), Counts(1000 + 80 * second, 1))
        found = found.after(plan(3, 20), counts, begun.began + second)
    assert found.test.evidence > found.test.needed


def test_counts_of_a_look_that_spans_a_change_of_weight_are_left_out(begun: Comparison) -> None:
    after = begun.after(plan(4, 50), counted(Counts(53, 0), Counts(1050, 1)), begun.began + 1)
    assert after.test.totals.canary.requests == 0
    later = after.after(plan(4, 50), counted(Counts(103, 0), Counts(1100, 1)), begun.began + 2)
    assert later.test.totals.canary.requests == 50
