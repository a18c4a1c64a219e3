"""Sends what was counted to the sidecar, ten times a second."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

import msgspec

from redstart.server.counts import Recorder, add
from redstart.sidecar.report import Counts, Delta, State, encode

INTERVAL = 0.1
HEARTBEAT = 10
"""Intervals after which the state is sent though nothing was counted."""

FEATURE_ENTRIES = 200
"""Entries of features in one datagram: at most some 400 bytes each, and Linux takes 200 kB by default."""


class Reporter:
    """Owns the socket to the sidecar and the counts that have not been sent yet.

    `state` may be replaced by any thread. Nothing here raises for a sidecar that is away: what could not be sent
    is added to what follows.
    """

    def __init__(self, path: Path, recorder: Recorder) -> None:
        self.state = State()
        self._path = str(path)
        self._recorder = recorder
        self._epoch = os.urandom(8).hex()
        self._sequence = 0
        self._pending = Counts()
        self._reported: State | None = None
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Report from a thread of its own until the process ends."""
        threading.Thread(target=self._run, name="reporter", daemon=True).start()

    def stop(self) -> None:
        """Send what is left, and that the model may no longer be asked."""
        self.state = msgspec.structs.replace(self.state, ready=False, message="the server has stopped")
        self.flush()

    def _run(self) -> None:
        quiet = 0
        while True:
            time.sleep(INTERVAL)
            quiet = 0 if self.flush(heartbeat=quiet >= HEARTBEAT) else quiet + 1

    def flush(self, *, heartbeat: bool = True) -> bool:
        """Send all that is pending, or the state alone; True when a datagram was sent."""
        with self._lock:
            state = self.state
            add(self._pending, self._recorder.drain())
            due = heartbeat or state is not self._reported or self._pending != Counts()
            sent = False
            while due:
                part, rest = split(self._pending)
                if not self._send(Delta(self._epoch, self._sequence + 1, state, part)):
                    break
                self._sequence += 1
                self._pending, self._reported = rest, state
                sent, due = True, rest != Counts()
            return sent

    def _send(self, delta: Delta) -> bool:
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
                self._socket.connect(self._path)
            self._socket.send(encode(delta))
        except BlockingIOError:  # the sidecar's queue is full
            return False
        except OSError:
            # The sidecar is not there yet, or was restarted and has a new socket under the same name.
            if self._socket is not None:
                self._socket.close()
                self._socket = None
            return False
        return True


def split(counts: Counts) -> tuple[Counts, Counts]:
    """What fits one datagram, and the rest."""
    if len(counts.features) <= FEATURE_ENTRIES:
        return counts, Counts()
    part = Counts(
        requests=counts.requests,
        latency=counts.latency,
        predictions=counts.predictions,
        features=counts.features[:FEATURE_ENTRIES],
        invalid_outputs=counts.invalid_outputs,
        ignored=counts.ignored,
        last_error=counts.last_error,
    )
    return part, Counts(features=counts.features[FEATURE_ENTRIES:])
