"""Keeps the board up to date while the story goes on: service, clients, routers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import TracebackType

import httpx

from redstart.api.v1alpha1.inference_service import Rollout
from redstart.controllers.inference_service.analysis import evidence
from redstart.controllers.inference_service.record import Record
from redstart.controllers.inference_service.transitions import policy_of
from redstart.rollout.e_process import Block
from redstart.rollout.e_process import Counts as TestCounts
from redstart.rollout.error_rate import ErrorRateTest
from redstart.routing.counters import Counts
from tests.benchmarks.detection import RouterWatch, weight
from tests.demo.board import Board, since
from tests.demo.resources import SERVICE
from tests.e2e.kubernetes import Kubernetes, Object, RefusedError

EVERY = 0.25
"""Seconds between two looks."""
LINES = 20
"""Lines of the clients' log that are read each time: they say one each second."""


class Observer:
    """Looks from `with` to its end."""

    def __init__(self, cluster: Kubernetes, board: Board, routers: RouterWatch) -> None:
        self._cluster = cluster
        self._board = board
        self._routers = routers
        self._comparison: Comparison | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Observer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._board.service = self._cluster.get("InferenceService", SERVICE) or {}
                self._read_clients()
            except (httpx.HTTPError, RefusedError):
                pass  # looked at again in a moment; what is shown is what was known last
            self._count_attempts()
            self._stop.wait(EVERY)

    def _read_clients(self) -> None:
        seen = self._board.clients[-1]["time"] if self._board.clients else 0.0
        for text in self._cluster.logs(f"{SERVICE}-clients", tail=LINES).splitlines():
            if text.startswith("{") and not (line := json.loads(text))["total"] and line["time"] > seen:
                self._board.clients.append(line)

    def _count_attempts(self) -> None:
        """What the routers have counted since the rollout's first weight, and what follows from it."""
        canary = (self._board.service.get("status") or {}).get("canary")
        looks = self._routers.latest()
        numbers = {look.reading.plan or 0 for look in looks}
        plan = self._routers.plans.get(numbers.pop()) if len(numbers) == 1 else None
        if canary is None or plan is None or weight(plan, canary["revision"]) == 0:
            self._comparison = None
            return
        counts = {
            role.revision: sum((look.counts(role.revision) for look in looks), Counts())
            for role in plan.revisions
        }
        if self._comparison is None or self._comparison.rollout != canary["rollout"]:
            self._comparison = Comparison.begin(canary, counts)
        self._comparison = self._comparison.after(plan, counts, time.monotonic())
        self._board.attempts = since(counts, self._comparison.base)
        self._board.evidence = evidence(self._comparison.test).to_dict()


@dataclass(frozen=True)
class Comparison:
    """The operator's own test, fed with what is seen here: status has its evidence every 10 s only."""

    rollout: str
    test: ErrorRateTest
    began: float
    plan: int
    base: Mapping[str, Counts]
    last: Mapping[str, Counts]

    @classmethod
    def begin(cls, canary: Object, counts: Mapping[str, Counts]) -> Comparison:
        """Before the first request counts."""
        policy = policy_of(Rollout.model_validate(canary["policy"]))
        return cls(canary["rollout"], ErrorRateTest.begin(policy), time.monotonic(), 0, counts, counts)

    def after(self, plan: Record, counts: Mapping[str, Counts], now: float) -> Comparison:
        """With what was counted since the last look, unless the weight changed in between."""
        test = self.test
        if plan.number == self.plan and plan.canary is not None:
            new = since(counts, self.last)
            canary, stable = new[plan.canary.revision], new[plan.stable.revision]
            if canary.requests or stable.requests:
                block = Block(_counts(canary), _counts(stable))
                test = test.observe(block, now - self.began)
        elif plan.number != self.plan:
            test = test.new_weight()
        return replace(self, test=test, plan=plan.number, last=counts)


def _counts(counted: Counts) -> TestCounts:
    return TestCounts(counted.requests, counted.errors)
