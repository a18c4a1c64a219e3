"""What a person sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console, RenderableType
from tests.benchmarks.detection import Detection
from tests.demo import view
from tests.demo.board import Board, Outcome, Phase

from redstart.routing.counters import Counts

CANARY = {
    "stable": {"version": "machine-failure-v2", "revision": "aaaa", "readyReplicas": 1},
    "canary": {"version": "machine-failure-v3", "revision": "bbbb", "weight": 20},
}
EVIDENCE = {"evidence": 31.6, "needed": 100.0, "passEvidence": 0.02, "passNeeded": 20.0}
ROLLOUT = {
    "to": "machine-failure-v3",
    "reason": "ErrorRate",
    "message": "canary 15.6% (7 of 45), stable 0% (0 of 211)",
    "evidence": [{"evidence": 1291.0, "needed": 100.0}],
}


def clients(**fields: Any) -> dict[str, Any]:
    return {
        "sent": 10453,
        "status": {"200": 10453},
        "failed": 0,
        "failures": [],
        "p50": 0.0012,
        "p99": 0.117,
        **fields,
    }


def second(at: int) -> dict[str, Any]:
    versions = {"machine-failure-v2": 80 * at, "machine-failure-v3": 20 * at}
    return clients(time=1000.0 + at, sent=100 * at, answered=100 * at, versions=versions)


def outcome(**fields: Any) -> Outcome:
    known: dict[str, Any] = {
        "clients": clients(),
        "rollout": ROLLOUT,
        "canary": Counts(73, 7),
        "detection": Detection(2.6, 2.7411),
        "wrong_version": 0,
        "versions": {"machine-failure-v2": 10387, "machine-failure-v3": 66},
    }
    return Outcome(**known | fields)


def text(shown: RenderableType, width: int = 80) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(shown)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def phases() -> list[Phase]:
    return [
        Phase("Train", "machine-failure-v1: random forest of 10,000 rows, f1 0.80 ≥ 0.5", "Done", 0.0, 16.2),
        Phase("Roll back", "machine-failure-v3 at 20 %: 2s of 15s at 20%", "Running", 90.0),
        Phase("What comes after it"),
    ]


def test_before_there_are_clients_only_the_phases_are_shown(golden: Callable[[str, str], None]) -> None:
    golden("phases.txt", text(view.board(Board(phases(), 0.0), 93.0)))


def test_during_a_canary_its_weight_answers_failures_and_evidence_are_shown(
    golden: Callable[[str, str], None],
) -> None:
    board = Board(phases(), 0.0)
    board.clients = [second(at) for at in range(1, 9)]
    board.service = {"status": CANARY}
    board.attempts = {"aaaa": Counts(640, 0), "bbbb": Counts(160, 29)}
    board.evidence = EVIDENCE
    golden("canary.txt", text(view.board(board, 93.0)))


def test_a_phase_that_failed_is_marked() -> None:
    board = Board([Phase("Train", "no such column", "Failed", 1.0, 2.0)], 0.0)
    assert "✗  Train  no such column" in text(view.board(board, 3.0))


def test_it_fits_a_terminal_of_80_by_24(golden: Callable[[str, str], None]) -> None:
    board = Board([Phase(f"Phase {number}", "x" * 200, "Done", 0.0, 10.0) for number in range(12)], 0.0)
    board.clients, board.service, board.evidence = [second(1), second(2)], {"status": CANARY}, EVIDENCE
    lines = text(view.board(board, 10.0)).splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80


def test_the_final_table(golden: Callable[[str, str], None]) -> None:
    golden("outcome.txt", text(view.outcome(outcome(), 150.0)))


def test_a_rollback_by_what_the_pods_report_has_no_evidence_in_the_final_table() -> None:
    rollout = {
        "to": "machine-failure-v3",
        "reason": "CrashLoopBackOff",
        "message": "a pod restarts",
        "evidence": [],
    }
    shown = text(view.outcome(outcome(rollout=rollout), 150.0))
    assert "evidence" not in shown
    assert "v3: CrashLoopBackOff: a pod restarts" in shown


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        pytest.param({}, None, id="every request answered well"),
        pytest.param(
            {"clients": clients(status={"200": 10452, "TimeoutError": 1}, failed=1)},
            "1 client requests failed",
            id="a failed one",
        ),
        pytest.param(
            {"clients": clients(status={"200": 10450, "422": 3})},
            "3 client requests failed",
            id="a good row that was refused",
        ),
        pytest.param(
            {"wrong_version": 2}, "2 answers came from a version", id="an answer by a wrong version"
        ),
    ],
)
def test_what_fails_the_demo(fields: dict[str, Any], problem: str | None) -> None:
    found = outcome(**fields).problem
    assert found is None if problem is None else problem in str(found)


@pytest.mark.parametrize(
    ("seconds", "told"), [(8.44, "8.4 s"), (59.4, "59 s"), (72.0, "1 min 12 s"), (125.0, "2 min  5 s")]
)
def test_durations(seconds: float, told: str) -> None:
    assert view.duration(seconds) == told
