"""An InferenceService: what serves, what comes in, on what evidence, and what was decided before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text
from rich.tree import Tree

from redstart.api import durations
from redstart.cli.views.parts import (
    BAD,
    BUSY,
    GOOD,
    NAME,
    QUIET,
    Object,
    add_conditions,
    add_events,
    age,
    bar,
    digest,
    evidence_share,
    grid,
    heading,
    number,
    percent,
)

SHOWN = 5
"""How many past rollouts and quarantined revisions are shown."""

_VERDICTS = {"Pass": GOOD, "Acceptable": GOOD, "Fail": BAD, "Undecided": BUSY}
_RESULTS = {"Promoted": ("✓", GOOD), "RolledBack": ("✗", BAD), "Superseded": ("–", QUIET)}


def view(service: Object, events: Sequence[Object] | None, now: float) -> Tree:
    """The tree. `now` is in seconds since the epoch."""
    status = service.get("status", {})
    tree = heading(service, "InferenceService")
    if url := status.get("url"):
        tree.add(Text(url, style="underline"))
    add_conditions(tree, service)
    _add_arms(tree, service)
    if canary := status.get("canary"):
        _add_rollout(tree, canary, status.get("analysis", []), now)
    _add_history(tree, status.get("rollouts", []), now)
    _add_quarantine(tree, status.get("quarantine", []), now)
    add_events(tree, events, now)
    return tree


def _add_arms(tree: Tree, service: Object) -> None:
    status = service.get("status", {})
    stable, canary = status.get("stable"), status.get("canary")
    if not stable:
        return
    wanted = service["spec"].get("predictor", {}).get("replicas", 1)
    weight = canary["weight"] if canary else 0
    rows = [_arm("stable", stable, f"{stable['readyReplicas']} of {wanted} ready", 100 - weight)]
    if canary:
        of = f" of {canary['desiredReplicas']}" if "desiredReplicas" in canary else ""
        rows.append(_arm("canary", canary, f"{canary['readyReplicas']}{of} ready", weight))
    tree.add(Text("Arms", style=NAME)).add(grid(rows, 6, right=(5,)))


def _arm(role: str, arm: Object, ready: str, weight: int) -> tuple[Text | str, ...]:
    return (
        Text(role, style=GOOD if role == "stable" else BUSY),
        arm["version"],
        Text(arm["revision"], style=QUIET),
        Text(ready, style="" if arm["readyReplicas"] else BAD),
        Text(f"loaded {digest(arm.get('loadedDigest'))}", style=QUIET),
        Text(f"{weight} %", style=NAME),
    )


def _add_rollout(tree: Tree, canary: Object, analysis: Sequence[Object], now: float) -> None:
    policy = canary["policy"]
    branch = tree.add(Text.assemble(("Rollout", NAME), f"  step {canary['step']} of {canary['steps']}"))
    branch.add(_steps(canary, policy.get("steps", []), now))
    if "deadline" in policy and canary.get("firstWeightAt"):
        passed = durations.text(canary.get("activeSeconds", 0.0))
        branch.add(Text(f"{passed} of {policy['deadline']} until the deadline have passed", style=QUIET))
    for line in analysis:
        _add_analysis(branch, line)


def _steps(canary: Object, steps: Sequence[Object], now: float) -> Text:
    """`5 % → 25 % (41s, hold 30s) → 50 % → promoted`, with the present step told apart."""
    line = Text()
    for index, step in enumerate(steps, start=1):
        present = index == canary["step"]
        line.append(f"{step['weight']} %", style=f"bold {BUSY}" if present else QUIET)
        if present:
            since = f"{age(canary['since'], now)}, " if canary.get("since") else ""
            line.append(f" ({since}hold {step.get('hold', '30s')})", style=BUSY)
        line.append(" → ", style=QUIET)
    return line.append("promoted", style=QUIET)


def _add_analysis(branch: Tree, line: Object) -> None:
    title = Text.assemble((line["metric"], NAME), " ", (line["verdict"], _VERDICTS.get(line["verdict"], "")))
    title.append(f"  canary {percent(line.get('canary'))}, stable {percent(line.get('stable'))}")
    title.append(f", allowed +{percent(line['allowed'])}, {line['samples']:,} samples", style=QUIET)
    if line.get("message"):
        title.append(f"\n{line['message']}")
    rows = [
        _evidence("against", line["evidence"], line["needed"], BAD),
        _evidence("for", line["passEvidence"], line["passNeeded"], GOOD),
    ]
    branch.add(title).add(grid(rows, 3))


def _evidence(side: str, evidence: float, needed: float, style: str) -> tuple[Any, ...]:
    return (
        f"evidence {side}",
        bar(evidence_share(evidence, needed), style),
        f"{number(evidence)} of {number(needed)}",
    )


def _add_history(tree: Tree, rollouts: Sequence[Object], now: float) -> None:
    if not rollouts:
        return
    branch = tree.add(Text("Past rollouts", style=NAME))
    for rollout in rollouts[:SHOWN]:
        symbol, style = _RESULTS.get(rollout["result"], ("–", ""))
        line = Text.assemble((f"{symbol} {rollout['result']} {rollout['reason']}", style))
        came = f"{rollout['from']} → {rollout['to']}" if rollout.get("from") else rollout["to"]
        line.append(f"  {came}, {age(rollout['decidedAt'], now)} ago")
        if rollout.get("message"):
            line.append(f"\n{rollout['message']}", style=QUIET)
        if said := rollout.get("lastError"):
            line.append(f"\nlast words of {_last_words(said)}", style=QUIET)
        branch.add(line)


def _last_words(said: Object) -> str:
    parts = [
        f"status {said['status']}" if "status" in said else "",
        f"input {said['field']}" if "field" in said else "",
        said.get("error", ""),
        said.get("log", ""),
    ]
    return f"{said['pod']}: {', '.join(part for part in parts if part)}"


def _add_quarantine(tree: Tree, quarantine: Sequence[Object], now: float) -> None:
    if not quarantine:
        return
    branch = tree.add(Text.assemble(("Quarantine", NAME), ("  not tried again", QUIET)))
    rows = [
        (
            Text(age(entry["at"], now), style=QUIET),
            entry["version"],
            Text(entry["revision"], style=QUIET),
            Text(entry["reason"], style=BAD),
        )
        for entry in quarantine[:SHOWN]
    ]
    branch.add(grid(rows, 4, right=(0,)))
