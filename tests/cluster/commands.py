"""Other programs, run to their end."""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def run(command: Sequence[str | Path], text: str | None = None, *, shown: bool = False) -> str:
    """What a command prints to its standard output, or with `shown` nothing: then the user sees it. An error
    ends this program with what the command said.
    """
    stream = None if shown else subprocess.PIPE
    result = subprocess.run(command, input=text, stdout=stream, stderr=stream, text=True, check=False)
    if result.returncode:
        said = "" if shown else f":\n{result.stdout[-2000:]}{result.stderr[-4000:]}"
        raise SystemExit(f"{' '.join(map(str, command))} failed{said}")
    return result.stdout or ""


def succeeds(command: Sequence[str | Path]) -> bool:
    """Whether a command ends without an error."""
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Say how long it took."""
    started = time.monotonic()
    yield
    print(f"{what}: {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)
