"""What the demo knows at a moment, and what follows from it. Pure, but for the clock of the phases."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from redstart.controllers.inference_service.record import Record
from redstart.routing.counters import Counts
from tests.benchmarks.detection import Detection, Look
from tests.e2e.kubernetes import Object

IN_FLIGHT = 1.0
"""Seconds that an answer may come after the plan that it was drawn by has ended."""


@dataclass
class Phase:
    """One step of the story. Times are in seconds on the monotonic clock."""

    title: str
    detail: str = ""
    state: Literal["Waiting", "Running", "Done", "Failed"] = "Waiting"
    began: float = 0.0
    ended: float = 0.0

    def seconds(self, now: float) -> float:
        """How long it has taken so far."""
        return (self.ended or now) - self.began

    @contextmanager
    def running(self) -> Iterator[Phase]:
        """From its begin to its end."""
        self.state, self.began = "Running", time.monotonic()
        try:
            yield self
        except BaseException:
            self.state = "Failed"
            raise
        else:
            self.state = "Done"
        finally:
            self.ended = time.monotonic()


@dataclass
class Board:
    """All that is shown. `clients` are what they said, each second, all counts since their start."""

    phases: list[Phase]
    began: float = field(default_factory=time.monotonic)
    clients: list[Object] = field(default_factory=list)
    service: Object = field(default_factory=dict)
    attempts: dict[str, Counts] = field(default_factory=dict)
    """First attempts since the rollout's first weight, by revision, as the routers count them."""
    evidence: Object = field(default_factory=dict)
    """What follows from them, in the form of status.analysis."""


@dataclass(frozen=True)
class Outcome:
    """What came of it."""

    clients: Object
    rollout: Object
    """How status tells of the rollback."""
    canary: Counts
    """First attempts on the failing canary."""
    detection: Detection
    wrong_version: int
    versions: Mapping[str, int]

    @property
    def problem(self) -> str | None:
        """Why the demo has failed, or None."""
        seen = self.clients
        if unanswered(seen):
            return f"{unanswered(seen)} client requests failed: {seen['status']}; {seen['failures'][:3]}"
        if self.wrong_version:
            return f"{self.wrong_version} answers came from a version that had no traffic at that time"
        return None


def unanswered(clients: Object) -> int:
    """Requests without a good answer. A refusal is one too: every row that is sent is a good one."""
    return int(clients["sent"] - clients["status"].get("200", 0))


def per_second(lines: Sequence[Object], seconds: float = 5.0) -> float:
    """Requests answered per second of late."""
    new, old = _of_late(lines, seconds)
    if new is None or old is None:
        return 0.0
    return float((new["answered"] - old["answered"]) / (new["time"] - old["time"]))


def shares(lines: Sequence[Object], seconds: float = 5.0) -> dict[str, float]:
    """Each version's share of the answers of late."""
    new, old = _of_late(lines, seconds)
    if new is None:
        return {}
    before = old["versions"] if old else {}
    counts = {version: count - before.get(version, 0) for version, count in new["versions"].items()}
    total = sum(counts.values())
    return {version: count / total for version, count in counts.items() if count and total}


def _of_late(lines: Sequence[Object], seconds: float) -> tuple[Object | None, Object | None]:
    new = lines[-1] if lines else None
    if new is None:
        return None, None
    earlier = [line for line in lines[:-1] if line["time"] >= new["time"] - seconds - 0.5]
    return new, next(iter(earlier), None)


def since(now: Mapping[str, Counts], base: Mapping[str, Counts]) -> dict[str, Counts]:
    """What was counted after `base`."""
    return {revision: counts.since(base.get(revision, Counts())) for revision, counts in now.items()}


def wrong_versions(lines: Sequence[Object], looks: Sequence[Look], plans: Mapping[int, Record]) -> int:
    """Answers by a version that no router's plan gave any traffic when they came.

    `lines` are what the clients counted, `looks` the plans in force, both in the order of time."""
    wrong = 0
    before: Object = {"time": 0.0, "versions": {}}
    for line in lines:
        allowed = {
            version
            for number in _in_force(looks, before["time"] - IN_FLIGHT, line["time"])
            for version in _drawn(plans.get(number))
        }
        wrong += sum(
            count - before["versions"].get(version, 0)
            for version, count in line["versions"].items()
            if version not in allowed
        )
        before = line
    return wrong


def _in_force(looks: Sequence[Look], begin: float, end: float) -> set[int]:
    """Numbers of the plans that were in force at any router at any time between the two."""
    plans: set[int | None] = set()
    for router in {look.router for look in looks}:
        ours = [look for look in looks if look.router == router]
        first = max((at for at, look in enumerate(ours) if look.ended <= begin), default=0)
        last = min((at for at, look in enumerate(ours) if look.began >= end), default=len(ours) - 1)
        plans |= {look.reading.plan for look in ours[first : last + 1]}
    return {plan for plan in plans if plan is not None}


def _drawn(plan: Record | None) -> set[str]:
    if plan is None:
        return set()
    canary = {plan.canary.version} if plan.canary is not None and plan.weight > 0 else set()
    return {plan.stable.version, *canary}
