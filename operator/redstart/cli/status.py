"""`redstart status`: one object as a tree, once or as it changes."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text
from rich.tree import Tree

from redstart.cli import kinds
from redstart.cli.connection import connect
from redstart.cli.errors import CliError
from redstart.cli.kinds import Kind
from redstart.cli.views import inference_service, model_version, training_job

Object = dict[str, Any]
View = Callable[[Object, Sequence[Object] | None, float], Tree]

INTERVAL = 1.0
"""Seconds between two looks of --watch."""

VIEWS: dict[Kind, View] = {
    kinds.TRAINING_JOB: training_job.view,
    kinds.MODEL_VERSION: model_version.view,
    kinds.INFERENCE_SERVICE: inference_service.view,
}


def show(text: str, *, namespace: str | None, context: str | None, watch: bool, as_json: bool) -> None:
    """Shows `NAME` or `KIND/NAME`; with `watch` until interrupted.

    Raises:
        CliError: it cannot be read.
    """
    kind, name = kinds.named(text)
    connection = connect(context)
    where = namespace or connection.namespace

    def look() -> tuple[Object, list[Object] | None]:
        found = connection.find(kind, where, name)
        return found, connection.events(found)

    console = Console(highlight=False)
    if not watch:
        found, events = look()
        if as_json:
            print(json.dumps(document(found, events), indent=2))
        else:
            console.print(VIEWS[kind](found, events, time.time()))
        return
    with suppress(KeyboardInterrupt):
        if as_json:
            _follow(look, lambda found, events: json.dumps(document(found, events)))
        elif console.is_terminal:
            _live(console, look, VIEWS[kind])
        else:
            _follow(look, lambda found, events: _plain(console, VIEWS[kind](found, events, time.time())))


def document(found: Object, events: Sequence[Object] | None) -> Object:
    """What -o json prints: the object without what only the API server needs, and its events, newest first."""
    metadata = {key: value for key, value in found["metadata"].items() if key != "managedFields"}
    told = [
        {
            "at": event.get("lastTimestamp") or event.get("eventTime"),
            "type": event.get("type"),
            "reason": event.get("reason"),
            "message": event.get("message"),
            "count": event.get("count", 1),
        }
        for event in events or []
    ]
    return {**found, "metadata": metadata, "events": told}


def _follow(
    look: Callable[[], tuple[Object, list[Object] | None]],
    printed: Callable[[Object, Sequence[Object] | None], str],
) -> None:
    """Prints the object now and after each change. A cluster that stops answering is told once, and asked again."""
    found, events = look()
    last: Object | None = None
    trouble = ""
    while True:
        if (state := document(found, events)) != last:
            print(printed(found, events), flush=True)
            last = state
        time.sleep(INTERVAL)
        try:
            found, events = look()
            trouble = ""
        except CliError as error:
            if str(error) != trouble:
                trouble = str(error)
                print(f"{trouble}; asking again", file=sys.stderr, flush=True)


def _plain(console: Console, tree: Tree) -> str:
    with console.capture() as captured:
        console.print(tree)
    return captured.get()


def _live(
    console: Console,
    look: Callable[[], tuple[Object, list[Object] | None]],
    view: View,
) -> None:
    """Redraws the tree in place. A cluster that stops answering is told below it, and asked again."""
    found, events = look()
    trouble = ""

    def drawn() -> RenderableType:
        tree = view(found, events, time.time())
        if trouble:
            return Group(tree, Text(f"{trouble}; asking again", style="red"))
        return tree

    with Live(drawn(), console=console, auto_refresh=False) as live:
        while True:
            time.sleep(INTERVAL)
            try:
                found, events = look()
                trouble = ""
            except CliError as error:
                trouble = str(error)
            live.update(drawn(), refresh=True)
