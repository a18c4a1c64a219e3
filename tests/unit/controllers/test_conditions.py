"""Conditions as kstatus reads them."""

from __future__ import annotations

from tests.unit.controllers.objects import NOW, at

from redstart.controllers.conditions import false, seconds, timestamp, true, unknown, written


def test_reconciling_and_stalled_are_there_only_while_they_are_true() -> None:
    wanted = [
        false("Ready", "Starting", "starting"),
        true("Reconciling", "Starting", "starting"),
        false("Stalled", "Starting", "starting"),
        unknown("Verified", "Starting", "starting"),
    ]
    found = written(wanted, [], generation=3, now=NOW)
    assert [(c["type"], c["status"]) for c in found] == [
        ("Ready", "False"),
        ("Reconciling", "True"),
        ("Verified", "Unknown"),
    ]
    assert all(c["observedGeneration"] == 3 for c in found)


def test_a_time_of_transition_moves_with_the_status_alone() -> None:
    first = written([false("Ready", "A", "a"), true("Complete", "A", "a")], [], generation=1, now=NOW - 60)
    found = written([false("Ready", "B", "b"), false("Complete", "A", "a")], first, generation=2, now=NOW)
    assert [c["lastTransitionTime"] for c in found] == [at(60), at(0)]
    assert found[0]["reason"] == "B"


def test_an_endless_message_is_cut() -> None:
    (found,) = written([true("Ready", "R", "x" * 100_000)], [], generation=1, now=NOW)
    assert len(found["message"]) == 4096
    assert found["message"].endswith("…")


def test_times_are_read_as_they_are_written() -> None:
    assert timestamp(NOW) == "2027-01-15T08:00:00Z"
    assert seconds(timestamp(NOW)) == NOW
    assert seconds("2027-01-15T08:00:00.250000Z") == NOW + 0.25
