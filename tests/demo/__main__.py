"""python -m tests.demo: runs it on the cluster of this machine; exit code 1 with the reason when it fails."""

from __future__ import annotations

import os
import shutil
import sys
import threading

import httpx
from rich.console import Console
from rich.live import Live
from rich.text import Text

from tests.demo import view
from tests.demo.board import Board, Phase
from tests.demo.resources import NAMESPACE
from tests.demo.story import TITLES, DemoError, Story
from tests.e2e.kubernetes import KUBECONFIG, Kubernetes, RefusedError

INTERRUPTED = 130


def main() -> int:
    """Tell the story; 0 done, 1 failed, 130 interrupted."""
    console = Console(highlight=False, markup=False, emoji=False)
    if not KUBECONFIG.exists():
        console.print(
            f"There is no cluster: {KUBECONFIG} does not exist. `make demo` starts one.", soft_wrap=True
        )
        return 1
    board = Board([Phase(title) for title in TITLES])
    story = Story(Kubernetes(NAMESPACE), board)
    problem: str | None
    try:
        with _shown(board, console):
            outcome = story.tell()
    except KeyboardInterrupt:
        console.print(f"Stopped. What there is stays in namespace {NAMESPACE}; `make demo` begins anew.")
        return INTERRUPTED
    except (DemoError, RefusedError, httpx.HTTPError) as error:
        problem = str(error) or type(error).__name__
    else:
        problem = outcome.problem
        console.print()
        console.print(view.outcome(outcome, view.clock() - board.began))
        console.print()
        console.print(view.try_next(shutil.which("kubectl") is not None), soft_wrap=True)
    if problem is None:
        return 0
    console.print(Text(f"The demo failed: {problem}", style="bold red"), soft_wrap=True)
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load > 3 * cores:
        console.print(
            f"This machine was busy with other work: load {load:.0f} on {cores} cores.", soft_wrap=True
        )
    return 1


class _shown:  # noqa: N801, a context manager
    """Shows the board from `with` to its end: redrawn in a terminal, as lines elsewhere."""

    def __init__(self, board: Board, console: Console) -> None:
        self._board = board
        self._live = None
        self._stop = threading.Event()
        if console.is_terminal and not os.environ.get("CI"):
            self._live = Live(
                get_renderable=lambda: view.board(board, view.clock()), console=console, refresh_per_second=8
            )
        self._lines = view.Lines(console)
        self._thread = threading.Thread(target=self._print, daemon=True)

    def __enter__(self) -> None:
        if self._live is not None:
            self._live.start()
        else:
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
        else:
            self._stop.set()
            self._thread.join()
            self._lines.show(self._board, view.clock())

    def _print(self) -> None:
        while not self._stop.wait(0.25):
            self._lines.show(self._board, view.clock())


sys.exit(main())
