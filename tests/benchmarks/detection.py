"""What the routers of a service do, looked at many times a second, and how soon a failing canary was out of it.

Read through the API server, as it is the same on every kind of cluster: the routers' counters tell the first
failing response on the canary and the plan that is in force, a watch of the router's ConfigMap tells what each plan
says.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

import httpx
from tests.e2e.kubernetes import Kubernetes, RefusedError

from redstart.controllers.inference_service.record import ANNOTATION, Record
from redstart.routing.counters import CLUSTERS_PATH, STATS_PATH, Counts, Reading, parse_reading
from redstart.routing.pod import router_name

STATS_PORT = 9902
ROUTER = "app.kubernetes.io/component"
OWNER = "redstart.dev/inference-service"
PODS_SECONDS = 1.0
"""Between two looks at which routers there are."""


@dataclass(frozen=True)
class Look:
    """One look at one router. Its answer was given between `began` and `ended`, in seconds since the epoch."""

    router: str
    began: float
    ended: float
    reading: Reading

    def counts(self, revision: str) -> Counts:
        """First attempts on a revision since the router learned of it."""
        arm = self.reading.arms.get(revision)
        return sum(arm.hosts.values(), Counts()) if arm else Counts()


@dataclass(frozen=True)
class Detection:
    """Seconds from the first failing response on the canary until it has weight 0 at every router.

    Both ends are seen by looking: the true time is at most `at_most` and at least `at_least`."""

    at_least: float
    at_most: float


class RouterWatch:
    """Looks at every router of a service, from `with` to its end. Of looks that saw the same, two are kept."""

    def __init__(self, cluster: Kubernetes, service: str, *, every: float = 0.04) -> None:
        self.looks: list[Look] = []
        self.plans: dict[int, Record] = {}
        self.written: dict[int, float] = {}
        """When each plan was first seen in the API server, in seconds since the epoch."""
        self._cluster = cluster
        self._service = service
        self._every = every
        self._stop = threading.Event()
        self._last: dict[str, Look] = {}
        self._routers: list[str] = []
        self._threads = [
            threading.Thread(target=target, daemon=True)
            for target in (self._list_routers, self._look_on, self._read_plans)
        ]

    def __enter__(self) -> RouterWatch:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=5)

    def latest(self) -> list[Look]:
        """The newest look at each router that is there."""
        return list(self._last.values())

    def _list_routers(self) -> None:
        """Apart from the looks, as a list may take longer than the time between two of them."""
        labels = {OWNER: self._service, ROUTER: "router"}
        while not self._stop.is_set():
            with suppress(httpx.HTTPError, RefusedError):  # asked again in a moment
                self._routers = [
                    pod["metadata"]["name"]
                    for pod in self._cluster.list("Pod", labels)
                    if pod["status"].get("phase") == "Running"
                    and not pod["metadata"].get("deletionTimestamp")
                ]
            self._stop.wait(PODS_SECONDS)

    def _look_on(self) -> None:
        while not self._stop.is_set():
            begun = time.monotonic()
            routers = self._routers
            self._last = {name: look for name, look in self._last.items() if name in routers}
            for router in routers:
                try:
                    self._look(router)
                except (httpx.HTTPError, RefusedError, ValueError):
                    continue  # a router that came or went, or was too busy
            self._stop.wait(max(0.005, self._every - (time.monotonic() - begun)))

    def _look(self, router: str) -> None:
        began = time.time()
        # The plan first: counters that are read later cannot be older than it.
        stats = self._cluster.pod(router, STATS_PORT, STATS_PATH).raise_for_status().text
        clusters = self._cluster.pod(router, STATS_PORT, CLUSTERS_PATH).raise_for_status().text
        look = Look(router, began, time.time(), parse_reading(clusters, stats))
        last = self._last.get(router)
        self._last[router] = look
        # Of looks that saw the same in a row the first and the last are kept.
        if (
            len(self.looks) > 1
            and self.looks[-1] is last
            and _same(self.looks[-2], last)
            and _same(last, look)
        ):
            self.looks[-1] = look
        else:
            self.looks.append(look)

    def _read_plans(self) -> None:
        while not self._stop.is_set():
            try:
                for record in self._cluster.watch("ConfigMap", router_name(self._service), self._stop):
                    text = record["metadata"].get("annotations", {}).get(ANNOTATION)
                    if text:
                        plan = Record.model_validate_json(text)
                        self.written.setdefault(plan.number, time.time())
                        self.plans[plan.number] = plan
            except (httpx.HTTPError, RefusedError, json.JSONDecodeError):
                self._stop.wait(0.2)


def _same(one: Look, other: Look) -> bool:
    """But for when, and how long the router has run."""
    return (one.router, one.reading.plan, one.reading.clusters_plan, one.reading.arms) == (
        other.router, other.reading.plan, other.reading.clusters_plan, other.reading.arms,
    )  # fmt: skip


def detection(looks: Sequence[Look], plans: Mapping[int, Record], revision: str) -> Detection | None:
    """How long the failing canary `revision` got requests, or None while that has no beginning or no end.

    `looks` at every router in the order of time; `plans` by number."""
    healthy: dict[str, Look] = {}
    weighted: dict[str, Look] = {}
    failing: tuple[float, float] | None = None
    for look in looks:
        plan = plans.get(look.reading.plan or 0)
        if plan is None:
            continue
        if failing is None and look.counts(revision).errors > 0:
            failing = (healthy.get(look.router, look).began, look.ended)
        healthy[look.router] = look
        if weight(plan, revision) > 0:
            weighted[look.router] = look
        elif failing is not None and (last := weighted.pop(look.router, None)) and not weighted:
            return Detection(max(0.0, last.began - failing[1]), look.ended - failing[0])
    return None


def weight(plan: Record, revision: str) -> int:
    """Percent of the requests that a plan gives to a canary."""
    return plan.weight if plan.canary is not None and plan.canary.revision == revision else 0


def attempts(looks: Sequence[Look], revision: str) -> Counts:
    """First attempts on a revision that is gone, over all routers."""
    most: dict[str, Counts] = {}
    for look in looks:
        found, known = look.counts(revision), most.get(look.router, Counts())
        most[look.router] = found if found.requests >= known.requests else known
    return sum(most.values(), Counts())
