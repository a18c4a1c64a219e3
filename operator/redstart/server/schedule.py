"""Which request is answered next, and where: short ones in the event loop's thread, long ones beside it.

A thread more costs a short request twice its own time, and a long one in the loop would hold up everybody, health
checks included. So each is sent where its estimate says. What no longer fits the time that clients have is refused
before its body is read, and what nobody waits for any more is not begun.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from time import perf_counter, process_time, thread_time
from typing import NamedTuple

from redstart.server.admission import ANSWER_SECONDS, INLINE_SECONDS, Costs, fits
from redstart.server.http import Exchange
from redstart.server.service import Answered, Service
from redstart.sidecar.report import LastError

_SHARE = 3
"""Answers get this many times the processor time that reading and refusing takes, however much of that there is."""

_TURN_SECONDS = 0.005, 0.03
"""The least and the most processor time of answers before sockets are read again."""

_PRECISE_SECONDS = 0.001
"""Estimates from which on processor time is measured, at half a microsecond a request, and not taken from the clock."""

_GIVE_WAY_SECONDS = 0.25
"""The most that the event loop waits for the threads beside it, each time that it has refused requests."""

_STUCK_FACTOR, _STUCK_SECONDS = 3, 30.0
"""A call of the model that takes so many times what its client leaves, and so much longer, will not end."""

Ask = Callable[[Service, bytes, int | None], Answered]


class Asked:
    """A request for predictions on its way. `seconds`: what its client leaves for the answer; `told`: whether it said
    so; `cost`: what its place in the queue is estimated to take."""

    __slots__ = (
        "ask",
        "cost",
        "encoding",
        "exchange",
        "first",
        "json_length",
        "lane",
        "running",
        "seconds",
        "told",
    )

    def __init__(self, exchange: Exchange, ask: Ask, *, first: bool) -> None:
        self.exchange = exchange
        self.ask = ask
        self.first = first
        self.encoding: str | None = None
        self.json_length: int | None = None
        self.seconds = ANSWER_SECONDS
        self.told = False
        self.cost = 0.0
        self.lane: Lane | None = None
        self.running = False

    def expired(self, now: float) -> bool:
        """Whether its client has given up on it, by perf_counter's clock."""
        return self.told and now - self.exchange.started >= self.seconds


class Outcome(NamedTuple):
    """What came of a request. `length` is the body's, unpacked; `answered` is there when it was answered."""

    status: int
    body: bytes
    headers: bytes
    length: int
    answered: Answered | None = None
    invalid_output: bool = False
    error: LastError | None = None


class _LeftOver(NamedTuple):
    """How a turn ended that left requests over: by the thread's processor time, and by perf_counter's clock."""

    ended: float
    finished: float


class Lane:
    """Requests that wait, first come, first served; those whose clients are gone no longer count."""

    def __init__(self) -> None:
        self._queue: deque[Asked] = deque()
        self.waiting = 0
        self.seconds = 0.0

    def add(self, asked: Asked, cost: float) -> None:
        """Put a request at the end."""
        asked.lane, asked.cost = self, cost
        self.waiting += 1
        self.seconds += cost
        self._queue.append(asked)

    def pop(self) -> Asked | None:
        """The next one that somebody waits for."""
        while self._queue:
            asked = self._queue.popleft()
            if asked.lane is self:
                self.leave(asked)
                return asked
        return None

    def leave(self, asked: Asked) -> None:
        """A request goes, to be answered or because its client is gone."""
        asked.lane = None
        self.waiting -= 1
        self.seconds = self.seconds - asked.cost if self.waiting else 0.0


class Schedule:
    """Runs `work` on each request, and `done` on what came of it, the latter in the event loop's thread."""

    def __init__(
        self,
        work: Callable[[Asked], Outcome],
        done: Callable[[Asked, Outcome | None], None],
        threads: int = 1,
    ) -> None:
        """`done` gets None for a request that was given up before it was begun."""
        self.costs = Costs()
        self._work, self._done = work, done
        self._inline, self._beside = Lane(), Lane()
        self._running: dict[Asked, float] = {}
        self._threads = threads
        self._jobs: SimpleQueue[Asked] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop
        self._turning = False
        self._left_over: _LeftOver | None = None
        self._giving_way = False
        self._gave_way = 0.0
        self._one_done = threading.Event()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to answer, from the loop's own thread."""
        self._loop = loop
        for number in range(self._threads):
            threading.Thread(target=self._run, name=f"model-{number}", daemon=True).start()

    def has_room(self, asked: Asked, length: int) -> bool:
        """Whether a request with a body of this length is taken in now."""
        lane = self._lane(asked, length)
        waiting, seconds = lane.waiting, lane.seconds
        if lane is self._beside:
            waiting += len(self._running)
            seconds = (seconds + sum(other.cost for other in self._running)) / self._threads
        return fits(waiting, seconds, asked.seconds)

    def put(self, asked: Asked) -> None:
        """Answer a request when it is its turn."""
        length = len(asked.exchange.body)
        lane = self._lane(asked, length)
        lane.add(asked, self.costs.elapsed(length))
        if lane is self._beside:
            self._feed()
        elif not self._turning:
            self._turning = True
            self._loop.call_soon(self._turn)

    def refused(self) -> None:
        """A request was refused for want of room: let those that were taken in have their share of the processor."""
        if self._running and not self._giving_way:
            self._giving_way = True
            self._loop.call_soon(self._give_way)

    def stuck(self, now: float) -> float:
        """Seconds for which a call has been running that will not end; 0 when there is none. `now`: perf_counter's."""
        return max(
            (
                now - begun
                for asked, begun in self._running.items()
                if now - begun > _STUCK_FACTOR * asked.seconds + _STUCK_SECONDS
            ),
            default=0.0,
        )

    def _lane(self, asked: Asked, length: int) -> Lane:
        # A packed body's length says nothing about what is in it.
        inline = asked.encoding is None and self.costs.processor(length) < INLINE_SECONDS
        return self._inline if inline else self._beside

    def _turn(self) -> None:
        """Answer what waits, at least one, and for at least _SHARE times what was spent outside of here."""
        start = now = perf_counter()
        # What the clock says is enough until requests are left over, and spares two calls of the system a turn.
        least, most = _TURN_SECONDS
        begun, budget, finished = 0.0, least, now
        left_over = self._left_over
        if left_over is not None:
            begun, finished = thread_time(), left_over.finished
            budget = min(max(_SHARE * (begun - left_over.ended), least), most)
        while (asked := self._inline.pop()) is not None:
            if asked.expired(now):
                self._done(asked, None)
                continue
            length = len(asked.exchange.body)
            precise = self.costs.processor(length) > _PRECISE_SECONDS
            before = process_time() if precise else 0.0
            outcome = self._work(asked)
            after = perf_counter()
            if outcome.status == 200:
                # The clock alone may have stood still for a throttled process: it may only make the next precise.
                spent = process_time() - before if precise else min(after - now, INLINE_SECONDS)
                self.costs.observe_processor(length, spent)
                self.costs.observe_elapsed(length, after - finished)
            self._done(asked, outcome)
            now = finished = after
            if after - start > budget and (left_over is None or thread_time() - begun > budget):
                break
        if self._inline.waiting:
            self._left_over = _LeftOver(thread_time(), finished)
            self._loop.call_soon(self._turn)
        else:
            self._left_over, self._turning = None, False

    def _give_way(self) -> None:
        """Reading and refusing would take the processor, and the interpreter, from the threads beside the loop."""
        self._giving_way = False
        spent = min(thread_time() - self._gave_way, _TURN_SECONDS[1])
        enough, end = process_time() + _SHARE * spent, perf_counter() + _GIVE_WAY_SECONDS
        while process_time() < enough and perf_counter() < end and not self._one_done.wait(0.005):
            pass
        self._gave_way = thread_time()

    def _feed(self) -> None:
        while len(self._running) < self._threads and (asked := self._beside.pop()) is not None:
            now = perf_counter()
            if asked.expired(now):
                self._done(asked, None)
                continue
            asked.running = True
            self._running[asked] = now
            self._one_done.clear()
            self._jobs.put(asked)

    def _run(self) -> None:
        while True:
            asked = self._jobs.get()
            begun, before = perf_counter(), process_time()
            outcome = self._work(asked)
            spent, elapsed = process_time() - before, perf_counter() - begun
            self._one_done.set()
            self._loop.call_soon_threadsafe(self._beside_done, asked, outcome, spent, elapsed)

    def _beside_done(self, asked: Asked, outcome: Outcome, spent: float, elapsed: float) -> None:
        del self._running[asked]
        if outcome.status == 200:
            self.costs.observe_processor(outcome.length, spent)
            self.costs.observe_elapsed(outcome.length, elapsed)
        self._done(asked, outcome)
        self._feed()
