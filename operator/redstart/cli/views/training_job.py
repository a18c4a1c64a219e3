"""A TrainingJob: the run, the version that came of it, its gates, and the runs before."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from rich.tree import Tree

from redstart.cli.views.parts import (
    BAD,
    BUSY,
    GOOD,
    NAME,
    QUIET,
    Object,
    add_conditions,
    add_events,
    add_gates,
    age,
    bar,
    digest,
    grid,
    heading,
    number,
)

_RESULTS = {"Succeeded": GOOD, "SameInputs": GOOD, "Rejected": BAD, "Failed": BAD, "Lost": BUSY}


def view(job: Object, events: Sequence[Object] | None, now: float) -> Tree:
    """The tree. `now` is in seconds since the epoch."""
    status = job.get("status", {})
    tree = heading(job, "TrainingJob")
    add_conditions(tree, job)
    if run := status.get("run"):
        _add_run(tree, run, status.get("progress"), now)
    _add_version(tree, status)
    _add_data(tree, status.get("data"))
    add_gates(tree, status.get("gates", []))
    _add_history(tree, status.get("history", []), now)
    add_events(tree, events, now)
    return tree


def _add_run(tree: Tree, run: Object, progress: Object | None, now: float) -> None:
    title = Text.assemble((f"Run {run['number']}", NAME), f"  {run['job']}")
    if run.get("finishedAt"):
        title.append(f", ended {age(run['finishedAt'], now)} ago", style=QUIET)
    elif run.get("startedAt"):
        title.append(f", started {age(run['startedAt'], now)} ago", style=QUIET)
    if run.get("rows") is not None:
        title.append(f", {run['rows']:,} rows", style=QUIET)
    branch = tree.add(title)
    if progress:
        line = Text.assemble(
            bar(progress["percent"] / 100, BUSY), f"  {progress['percent']} %  {progress['message']}"
        )
        branch.add(line)
    if run.get("inputDigest"):
        branch.add(
            Text(f"input {digest(run['inputDigest'])}, data {digest(run.get('dataDigest'))}", style=QUIET)
        )


def _add_data(tree: Tree, data: Object | None) -> None:
    if data is None:
        return
    rows = data["rows"]
    title = Text.assemble(("Data ", NAME), f"{rows['read']:,} rows read, {rows['train']:,} learned from")
    title.append(f", {rows['test']:,} held out")
    branch = tree.add(title)
    for dropped in rows.get("dropped", []):
        column = f" {dropped['column']}" if dropped.get("column") else ""
        branch.add(Text(f"{dropped['count']:,} dropped: {dropped['reason']}{column}", style=QUIET))
    for warning in data.get("warnings", []):
        branch.add(Text.assemble((warning["kind"], BUSY), f"  {warning['message']}"))
    if omitted := data.get("omitted"):
        branch.add(Text(f"and {omitted:,} more in the trainer's log", style=QUIET))


def _add_version(tree: Tree, status: Object) -> None:
    if not (version := status.get("latestVersion")):
        return
    branch = tree.add(Text.assemble(("Version ", NAME), version))
    if conversion := status.get("conversion"):
        line = Text(f"{conversion['format']}: {conversion['reason']}")
        if conversion.get("largestDifference") is not None:
            line.append(f" (largest difference {number(conversion['largestDifference'])})", style=QUIET)
        branch.add(line)
    if metrics := status.get("metrics"):
        branch.add(Text("  ".join(f"{name} {number(value)}" for name, value in metrics.items())))


def _add_history(tree: Tree, history: Sequence[Object], now: float) -> None:
    if not history:
        return
    branch = tree.add(Text("Runs", style=NAME))
    rows = [
        (
            str(run["number"]),
            Text(age(run.get("finishedAt"), now), style=QUIET),
            Text(run["result"], style=_RESULTS.get(run["result"], "")),
            run["reason"],
            run.get("version") or "",
        )
        for run in history
    ]
    branch.add(grid(rows, 5, right=(0, 1)))
