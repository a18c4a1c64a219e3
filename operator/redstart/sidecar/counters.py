"""The sidecar's memory: counters that only grow, whatever becomes of the server."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from redstart.sidecar.report import CellKind, Counts, Delta, LastError, Latency, Scope, State

STALE = 3.0
"""Seconds without a datagram after which a server no longer counts as ready; it sends one each second at least."""


@dataclass
class Counters:
    """Sums of all deltas since the sidecar's start, and the server's state as last told.

    Restarts of the server are seen by its epoch. `lost` counts datagrams that are missing in the sequence.
    """

    epoch: str = field(default_factory=lambda: os.urandom(8).hex())
    state: State = field(default_factory=State)
    received: float | None = None
    server_epoch: str = ""
    server_starts: int = 0
    lost: int = 0
    malformed: int = 0
    requests: dict[Scope, dict[int, int]] = field(default_factory=lambda: {"first": {}, "other": {}})
    latency: dict[Scope, Latency] = field(default_factory=lambda: {"first": Latency(), "other": Latency()})
    predictions: dict[str, int] = field(default_factory=dict)
    features: dict[str, dict[tuple[CellKind, str], int]] = field(default_factory=dict)
    invalid_outputs: int = 0
    ignored: dict[str, int] = field(default_factory=dict)
    last_error: LastError | None = None
    _sequence: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def receive(self, delta: Delta, now: float | None = None) -> None:
        """Add one datagram; `now` is on the monotonic clock, in seconds."""
        with self.lock:
            self.received = monotonic() if now is None else now
            if delta.epoch != self.server_epoch:
                # A server's first datagram is 1; a higher one means that this sidecar is the younger of the two.
                self.lost += delta.sequence - 1 if self.server_starts else 0
                self.server_epoch, self.server_starts = delta.epoch, self.server_starts + 1
            else:
                self.lost += max(0, delta.sequence - self._sequence - 1)
            self._sequence = delta.sequence
            self.state = delta.state
            self._add(delta.counts)

    def reject(self) -> None:
        """Count a datagram that is none of ours."""
        with self.lock:
            self.malformed += 1

    def ready(self, now: float) -> bool:
        """Whether the server said that it is ready, and said so lately."""
        return self.state.ready and self.received is not None and now - self.received < STALE

    def _add(self, counts: Counts) -> None:
        for scope, statuses in counts.requests.items():
            _sum(self.requests[scope], statuses)
        for scope, latency in counts.latency.items():
            _sum(self.latency[scope].buckets, latency.buckets)
            self.latency[scope].seconds += latency.seconds
        _sum(self.predictions, counts.predictions)
        for name, kind, text, count in counts.features:
            cells = self.features.setdefault(name, {})
            cells[kind, text] = cells.get((kind, text), 0) + count
        self.invalid_outputs += counts.invalid_outputs
        _sum(self.ignored, counts.ignored)
        if counts.last_error is not None:
            self.last_error = counts.last_error.over(self.last_error)


def _sum(into: dict[Any, int], more: dict[Any, int]) -> None:
    for key, count in more.items():
        into[key] = into.get(key, 0) + count
