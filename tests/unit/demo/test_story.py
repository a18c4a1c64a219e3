"""What the story says of a decision."""

from __future__ import annotations

from typing import Any

import pytest
from tests.demo.story import why

LINE = {"evidence": 1291.0, "needed": 100.0, "passEvidence": 21.3, "passNeeded": 20.0}


def ended(*evidence: dict[str, Any]) -> dict[str, Any]:
    return {"reason": "CrashLoopBackOff", "message": "a pod restarts", "evidence": list(evidence)}


@pytest.mark.parametrize(
    ("rollout", "told"),
    [
        pytest.param(ended(LINE), "evidence 1,291 ≥ 100 against v3", id="evidence that suffices"),
        pytest.param(ended(), "CrashLoopBackOff: a pod restarts", id="no evidence"),
        pytest.param(
            ended(LINE | {"evidence": 3.2}),
            "CrashLoopBackOff: a pod restarts",
            id="evidence that did not decide",
        ),
        pytest.param(
            {"reason": "CrashLoopBackOff", "message": "a pod restarts"},
            "CrashLoopBackOff: a pod restarts",
            id="a rollout that ended before its first request",
        ),
    ],
)
def test_a_rollback_is_told_by_what_decided_it(rollout: dict[str, Any], told: str) -> None:
    assert why(rollout, "evidence", "needed", "against v3") == told


def test_a_promotion_is_told_by_its_evidence() -> None:
    told = why(ended(LINE), "passEvidence", "passNeeded", "that it is as good as stable")
    assert told == "evidence 21.3 ≥ 20 that it is as good as stable"
