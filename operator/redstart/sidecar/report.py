"""What the server tells the sidecar: msgpack datagrams over a unix socket, each with what was added since the last.

A datagram that could not be sent keeps its counts for the next one, under the same sequence number; so a gap
in the numbers is a loss, and nothing is counted twice. Every datagram repeats the server's state, so that a
sidecar that has just started knows it at once.
"""

from __future__ import annotations

from typing import Literal

import msgspec

GROWTH = 1.5 ** (1 / 8)
"""Each latency bucket's upper edge over the one before."""

SMALLEST = 50e-6
"""Upper edge of the first latency bucket, in seconds."""

BUCKETS = 280
"""Buckets with a finite upper edge (the last is at 72 s); one more holds what is slower."""

Scope = Literal["first", "other"]
"""`first`: weighted first attempts, which alone enter the tests; `other`: all else."""

CellKind = Literal["bin", "missing", "unseen", "under", "over"]


def edge(bucket: int) -> float:
    """The upper edge of a latency bucket, in seconds, inclusive."""
    return SMALLEST * GROWTH**bucket if bucket < BUCKETS else float("inf")


class Reference(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the reference rows were answered; `first` describes the first row that was answered wrongly."""

    rows: int
    mismatched: int
    first: str | None = None


class State(msgspec.Struct, frozen=True):
    """The server as it stands; `message` says why it is not ready. Empty digest: nothing is loaded yet."""

    ready: bool = False
    digest: str = ""
    message: str = ""
    reference: Reference | None = None


class LastError(msgspec.Struct, frozen=True, omit_defaults=True):
    """The last weighted first attempt that was not answered: status, and where they are known the input at fault, and
    the kind of error with the place that raised it. Never an error's text, which may hold a value of a row."""

    status: int
    field: str = ""
    error: str = ""

    def over(self, before: LastError | None) -> LastError:
        """Which of two to keep: the later one, but for a refusal after a failure of the server's own."""
        return self if before is None or self.status >= 500 or before.status < 500 else before


class Latency(msgspec.Struct):
    """Requests per bucket (index: count), and the sum of their durations in seconds."""

    buckets: dict[int, int] = {}
    seconds: float = 0.0


class Counts(msgspec.Struct):
    """Counts that were added up over some time. Predictions and features are of `first` requests only.

    `features` holds counts by (feature, kind of cell, text of the bin or ""); `ignored`, rows of all answered
    requests by input that the model does not use.
    """

    requests: dict[Scope, dict[int, int]] = {}
    latency: dict[Scope, Latency] = {}
    predictions: dict[str, int] = {}
    features: list[tuple[str, CellKind, str, int]] = []
    invalid_outputs: int = 0
    ignored: dict[str, int] = {}
    last_error: LastError | None = None


class Delta(msgspec.Struct, frozen=True):
    """One datagram. `epoch` names the server process; `sequence` starts at 1 in each."""

    epoch: str
    sequence: int
    state: State
    counts: Counts


encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Delta)


def decode(datagram: bytes) -> Delta:
    """Read one datagram.

    Raises:
        msgspec.DecodeError: it is none of ours.
    """
    return _decoder.decode(datagram)
