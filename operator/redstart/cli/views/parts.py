"""What the views of all kinds share: headings, conditions, bars, ages, events."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

Object = Mapping[str, Any]

GOOD, BAD, BUSY, QUIET, NAME = "green", "red", "yellow", "dim", "bold"
EVENTS = 5
"""How many events are shown."""

_PHASES = {
    "Serving": GOOD, "Ready": GOOD, "Succeeded": GOOD,
    "Degraded": BAD, "RolledBack": BAD, "Failed": BAD, "Rejected": BAD, "Quarantined": BAD,
}  # fmt: skip
_BAD_WHEN_TRUE = frozenset({"Stalled", "Quarantined", "BaselineUnhealthy", "DriftDetected"})
_UNDERWAY = frozenset({"Reconciling", "Suspended"})


def heading(obj: Object, kind: str) -> Tree:
    """The tree's root: name, kind, namespace and phase."""
    metadata = obj["metadata"]
    phase = obj.get("status", {}).get("phase") or "Pending"
    title = Text.assemble((metadata["name"], NAME), f"  {kind} in {metadata['namespace']}  ")
    title.append(phase, style=f"bold {_PHASES.get(phase, BUSY)}")
    return Tree(title, guide_style=QUIET)


def add_conditions(tree: Tree, obj: Object) -> None:
    """One line for each condition that says something, and one when the operator has not seen the newest spec."""
    status = obj.get("status", {})
    conditions = status.get("conditions", [])
    underway = any(each["type"] == "Reconciling" and each["status"] == "True" for each in conditions)
    said: set[str] = set()
    for condition in conditions:
        # That something bad is not the case is no news.
        if condition["status"] == "False" and condition["type"] in _BAD_WHEN_TRUE | _UNDERWAY:
            continue
        line = Text.assemble(_symbol(condition, underway))
        if condition["message"] not in said:
            line.append(f"  {condition['message']}")
        said.add(condition["message"])
        tree.add(line)
    if status.get("observedGeneration", -1) < obj["metadata"].get("generation", 0):
        tree.add(Text("… the operator has not acted on the newest spec yet", style=BUSY))


def _symbol(condition: Object, underway: bool) -> Text:
    type_, holds, reason = condition["type"], condition["status"], condition["reason"]
    name = type_ if reason == type_ else f"{type_} {reason}"
    if type_ in _UNDERWAY or holds == "Unknown" or (holds == "False" and underway):
        return Text(f"… {name}", style=BUSY)
    if (holds == "True") == (type_ not in _BAD_WHEN_TRUE):
        return Text(f"✓ {name}", style=GOOD)
    return Text(f"✗ {name}", style=BAD)


def grid(rows: Iterable[Sequence[RenderableType]], columns: int, right: Sequence[int] = ()) -> Table:
    """Aligned columns without lines; `right` are the columns that are aligned to the right.

    Text is shown as it is: in a plain string rich would read `[rpm]` as a style and `:key:` as an emoji.
    """
    table = Table.grid(padding=(0, 2), pad_edge=False)
    for column in range(columns):
        table.add_column(justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return table


def bar(share: float, style: str, width: int = 20) -> Text:
    """A bar that is filled to a share between 0 and 1."""
    filled = round(max(0.0, min(1.0, share)) * width)
    return Text.assemble(("█" * filled, style), ("░" * (width - filled), QUIET))


def evidence_share(evidence: float, needed: float) -> float:
    """How far an e-value is on its way, 0 to 1. Evidence multiplies, so that its logarithm is what grows evenly."""
    if evidence <= 1 or needed <= 1:
        return 0.0
    return min(1.0, math.log(evidence) / math.log(needed))


def number(value: float | None) -> str:
    """A number with three significant digits; thousands in full."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def percent(share: float | None) -> str:
    """A share as percent."""
    return "–" if share is None else f"{number(share * 100)} %"


def digest(value: str | None) -> str:
    """The first twelve characters of a digest, as much as a person compares."""
    return value.removeprefix("sha256:")[:12] if value else "–"


def age(timestamp: str | None, now: float) -> str:
    """Time since then as kubectl writes it: 41s, 5m, 2h, 3d."""
    if not timestamp:
        return "–"
    passed = max(0, int(now - datetime.fromisoformat(timestamp).timestamp()))
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if passed >= 2 * size:
            return f"{passed // size}{unit}"
    return f"{passed}s"


def add_gates(tree: Tree, gates: Sequence[Object]) -> None:
    """Each gate with its value and bound."""
    if not gates:
        return
    branch = tree.add(Text("Gates", style=NAME))
    rows = [
        (
            Text("✓" if gate["passed"] else "✗", style=GOOD if gate["passed"] else BAD),
            gate["metric"],
            number(gate["value"]),
            Text(f"{'≥' if gate['direction'] == 'AtLeast' else '≤'} {number(gate['bound'])}", style=QUIET),
        )
        for gate in gates
    ]
    branch.add(grid(rows, 4, right=(2,)))


def add_events(tree: Tree, events: Sequence[Object] | None, now: float) -> None:
    """The newest events."""
    if events is None:
        tree.add(Text("Events may not be read by you", style=QUIET))
        return
    if not events:
        return
    branch = tree.add(Text("Events", style=NAME))
    rows = [
        (
            Text(age(event.get("lastTimestamp") or event.get("eventTime"), now), style=QUIET),
            Text(event.get("reason", ""), style=BAD if event.get("type") == "Warning" else ""),
            event.get("message", ""),
        )
        for event in events[:EVENTS]
    ]
    branch.add(grid(rows, 3, right=(0,)))
