"""The keys that wait for a reconcile, after controller-runtime's priority queue.

A key is in it once, however often it is added, and is never with two workers at once: added while it is being
worked on, it comes back when that is done. Keys of the initial list have low priority, so that after a restart
in a big cluster a live change does not wait for all that did not change.
https://github.com/kubernetes-sigs/controller-runtime/tree/main/pkg/controller/priorityqueue
"""

import asyncio
import heapq
import itertools
import random
import time
from collections.abc import Callable, Hashable
from enum import IntEnum
from typing import Generic, TypeVar

from redstart.kube import metrics

K = TypeVar("K", bound=Hashable)

FIRST_DELAY = 0.1  # seconds
LONGEST_DELAY = 300.0


class Priority(IntEnum):
    HIGH = 0
    LOW = 1


class WorkQueue(Generic[K]):
    """`clock` gives seconds that only grow; `jitter` a number from 0 to 1."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, jitter: Callable[[], float] = random.random
    ) -> None:
        self._clock = clock
        self._jitter = jitter
        self._sequence = itertools.count()
        self._ready: dict[K, tuple[Priority, float]] = {}  # priority, since when
        self._heap: list[tuple[Priority, int, K]] = []  # may hold entries that _ready no longer has
        self._due: dict[K, float] = {}
        self._timers: list[tuple[float, int, K]] = []  # the same of _due
        self._running: dict[K, float] = {}  # since when
        self._again: dict[K, Priority] = {}
        self._failures: dict[K, int] = {}
        self._wake = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        return len(self._ready)

    def add(self, key: K, priority: Priority = Priority.HIGH) -> None:
        """Make the key ready now, or as soon as the worker that has it is done."""
        if key in self._running:
            self._again[key] = min(priority, self._again.get(key, priority))
            return
        known = self._ready.get(key)
        if known is None or priority < known[0]:
            self._ready[key] = (priority, known[1] if known else self._clock())
            heapq.heappush(self._heap, (priority, next(self._sequence), key))
            metrics.QUEUE_DEPTH.set(len(self._ready))
        self._due.pop(key, None)
        self._wake.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Make the key ready in so many seconds, unless it is sooner for another reason."""
        if key in self._ready:
            return
        due = self._clock() + seconds
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            heapq.heappush(self._timers, (due, next(self._sequence), key))
            self._wake.set()

    def retry(self, key: K, at_least: float = 0.0) -> float:
        """Make the key ready after its back-off, doubled with each failure in a row; returns the seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        longest = min(FIRST_DELAY * 2.0 ** min(failures, 30), LONGEST_DELAY)
        delay = max(longest * (0.5 + 0.5 * self._jitter()), at_least)
        metrics.QUEUE_RETRIES.inc()
        self.add_after(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """Reset the key's back-off."""
        self._failures.pop(key, None)

    def take(self) -> K | None:
        """The next key that is ready, now this worker's until `done`; what it was to wait for is void."""
        self._promote()
        while self._heap:
            priority, _, key = heapq.heappop(self._heap)
            known = self._ready.get(key)
            if known is None or known[0] != priority:
                continue
            del self._ready[key]
            now = self._clock()
            self._running[key] = now
            metrics.QUEUE_DEPTH.set(len(self._ready))
            metrics.QUEUE_LATENCY.observe(now - known[1])
            return key
        return None

    def done(self, key: K) -> None:
        del self._running[key]
        if key in self._again:
            self.add(key, self._again.pop(key))
        elif key in self._due:
            self._wake.set()

    async def get(self) -> K | None:
        """Wait for `take`; None when the queue is closed."""
        while not self._closed:
            self._wake.clear()
            if (key := self.take()) is not None:
                return key
            try:
                async with asyncio.timeout(self.next_due()):
                    await self._wake.wait()
            except TimeoutError:
                continue
        return None

    def next_due(self) -> float | None:
        """Seconds until a waiting key is ready; None when none waits."""
        while self._timers and self._due.get(self._timers[0][2]) != self._timers[0][0]:
            heapq.heappop(self._timers)
        return max(self._timers[0][0] - self._clock(), 0.0) if self._timers else None

    def close(self) -> None:
        """Hand out no more keys; workers keep those that they have."""
        self._closed = True
        self._wake.set()

    def longest_wait(self) -> float:
        """Seconds that the oldest ready key has waited for a worker."""
        self._promote()
        return self._clock() - min((since for _, since in self._ready.values()), default=self._clock())

    def longest_run(self) -> float:
        """Seconds that the slowest worker has had its key."""
        return self._clock() - min(self._running.values(), default=self._clock())

    def _promote(self) -> None:
        while self.next_due() == 0.0:
            due, _, key = heapq.heappop(self._timers)
            del self._due[key]
            self.add(key)
            if (known := self._ready.get(key)) is not None:
                self._ready[key] = (known[0], due)  # it was ready then, whenever anybody looked
