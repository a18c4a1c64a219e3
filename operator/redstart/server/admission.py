"""Whether a request is taken in, by what those before it will cost: decided from measurements, apart from I/O."""

from __future__ import annotations

INLINE_SECONDS = 0.01
"""Of processor time: what takes longer is answered beside the event loop, so that nothing waits for it."""

MAX_WAIT_SECONDS = 1.0
"""A request that would wait longer is refused while it can still be asked elsewhere, unless few wait at all."""

FEW = 8
ANSWER_SECONDS = 10.0
"""The time that a client leaves when it does not say so: the default of `traffic.timeout`."""

MAX_BUFFERED = 64 * 1024 * 1024
"""Bytes of all bodies that are being read or wait."""

_WEIGHT = 0.2
_BUCKETS = 40


class Costs:
    """Seconds that bodies of about a length take: `processor` of the answer itself, `elapsed` of a place in the queue,
    which is more where the processor is shared or throttled. Lengths of the same power of two count as one."""

    def __init__(self) -> None:
        self._processor: list[float | None] = [None] * _BUCKETS
        self._elapsed: list[float | None] = [None] * _BUCKETS

    def observe_processor(self, length: int, seconds: float) -> None:
        """Learn from one answer."""
        _learn(self._processor, length.bit_length(), seconds)

    def observe_elapsed(self, length: int, seconds: float) -> None:
        """Learn how long one request kept the next from its turn."""
        _learn(self._elapsed, length.bit_length(), seconds)

    def processor(self, length: int) -> float:
        """Seconds that an answer is likely to take."""
        return _estimate(self._processor, length.bit_length()) or 0.0

    def elapsed(self, length: int) -> float:
        """Seconds after which the next one is likely to have its turn."""
        return _estimate(self._elapsed, length.bit_length()) or 0.0


def _learn(known: list[float | None], bucket: int, seconds: float) -> None:
    before = _estimate(known, bucket)
    known[bucket] = seconds if before is None else before + _WEIGHT * (seconds - before)


def _estimate(known: list[float | None], bucket: int) -> float | None:
    found = known[bucket]
    if found is not None:
        return found
    # A body of twice the length has about twice the rows; a shorter one costs at most what a longer one does.
    for below in range(bucket - 1, -1, -1):
        if (seconds := known[below]) is not None:
            return seconds * 2.0 ** (bucket - below)
    return next((seconds for seconds in known[bucket:] if seconds is not None), None)


def fits(waiting: int, wait_seconds: float, answer_seconds: float) -> bool:
    """Whether one more request is taken behind `waiting` others, which take `wait_seconds`, when its client leaves
    `answer_seconds` for the answer. A wait of half of that is the most, since estimates err."""
    if waiting == 0:
        return True
    return wait_seconds <= answer_seconds / 2 and (waiting < FEW or wait_seconds <= MAX_WAIT_SECONDS)
