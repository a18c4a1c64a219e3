"""Programs that outlive the shell that started them, found again by what was written down about them."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Identity:
    """A process as it is told apart from a later one with the same pid: after a reboot, too."""

    pid: int
    started: str  # clock ticks since boot
    boot: str

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """None when no such process runs; a zombie runs no more."""
        try:
            # proc_pid_stat(5): the name, in brackets, may itself hold spaces and brackets.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] in "ZX" else cls(pid, fields[19], boot_id())


def boot_id() -> str:
    """Differs after each start of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@dataclass(frozen=True)
class Daemon:
    """A program in a session of its own; `folder` keeps `<name>.pid`, `logs` its `<name>.log`."""

    name: str
    folder: Path
    logs: Path

    @property
    def log(self) -> Path:
        return self.logs / f"{self.name}.log"

    @property
    def _record(self) -> Path:
        return self.folder / f"{self.name}.pid"

    def running(self) -> int | None:
        """The pid of the very process that was started, if it still runs."""
        try:
            pid, started, boot = self._record.read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        identity = Identity(int(pid), started, boot)
        return identity.pid if Identity.of(identity.pid) == identity else None

    def ensure(self, command: Sequence[str | Path], environment: dict[str, str] | None = None) -> bool:
        """Start it unless it runs with this very command; true when it was started."""
        words = [str(word) for word in command]
        pid = self.running()
        if pid is not None:
            if _command_line(pid) == words:
                return False
            self.stop()
        for folder in (self.folder, self.logs):
            folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=os.environ | (environment or {}),
                cwd=self.folder,
            )
        # The kernel lets the parent go on a moment before it shows the new program's command line, and whoever asks
        # next would take it for another program.
        wait(lambda: _command_line(process.pid) or Identity.of(process.pid) is None, 10, 0.002)
        identity = Identity.of(process.pid)
        # None when it has ended already: then nothing runs, as `running` says of an empty record.
        self._record.write_text(f"{identity.pid} {identity.started} {identity.boot}\n" if identity else "")
        return True

    def stop(self, grace: float = 10.0) -> bool:
        """Ask it to end, insist after `grace` seconds; true when it ran."""
        pid = self.running()
        if pid is not None:
            kill([pid], grace)
        self._record.unlink(missing_ok=True)
        return pid is not None


def kill(pids: Iterable[int], grace: float = 0.0) -> None:
    """End these processes: SIGTERM first when they get `grace` seconds, then SIGKILL."""
    alive = {pid: identity for pid in pids if (identity := Identity.of(pid))}

    def gone() -> bool:
        return all(Identity.of(pid) != identity for pid, identity in alive.items())

    def send(number: signal.Signals) -> None:
        for pid, identity in alive.items():
            with suppress(ProcessLookupError):
                if Identity.of(pid) == identity:
                    os.kill(pid, number)

    if grace:
        send(signal.SIGTERM)
        if wait(gone, grace):
            return
    send(signal.SIGKILL)
    if not wait(gone, 10):
        raise RuntimeError(f"processes {sorted(alive)} do not end, not even by SIGKILL")


def wait(condition: Callable[[], object], seconds: float, interval: float = 0.05) -> bool:
    """Poll until the condition holds; false when it does not within that many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval)
    return True


def descendants(roots: Iterable[int]) -> list[int]:
    """Every process below these, whose parents come first."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found: list[int] = []
    queue = list(roots)
    while queue:
        below = children.get(queue.pop(0), [])
        found.extend(below)
        queue.extend(below)
    return found


def with_argument(argument: str) -> list[int]:
    """The processes that have exactly this argument on their command line."""
    return [
        int(folder.name)
        for folder in Path("/proc").glob("[0-9]*")
        if argument in _command_line(int(folder.name))
    ]


def _command_line(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except (FileNotFoundError, ProcessLookupError):
        return []
