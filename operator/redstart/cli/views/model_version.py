"""A ModelVersion: the artifact, what it takes and gives, how good it is, where it comes from and where it serves."""

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

FEATURES = 10
"""How many of the most important features are shown."""
INPUTS = 30
"""How many inputs are shown."""


def view(version: Object, events: Sequence[Object] | None, now: float) -> Tree:
    """The tree. `now` is in seconds since the epoch."""
    spec, status = version["spec"], version.get("status", {})
    tree = heading(version, "ModelVersion")
    add_conditions(tree, version)
    _add_artifact(tree, spec["artifact"], status.get("verifiedDigest"))
    if metrics := spec.get("metrics"):
        values = "  ".join(f"{name} {number(value)}" for name, value in metrics.items())
        tree.add(Text.assemble(("Metrics  ", NAME), values))
    add_gates(tree, spec.get("gates", []))
    _add_fields(tree, "Takes", spec.get("inputs", []))
    _add_fields(tree, "Gives", spec.get("outputs", []))
    _add_importance(tree, status.get("importance", []))
    _add_services(tree, status, now)
    _add_lineage(tree, spec)
    add_events(tree, events, now)
    return tree


def _add_artifact(tree: Tree, artifact: Object, verified: str | None) -> None:
    branch = tree.add(Text.assemble(("Artifact", NAME), f"  {artifact['format']}  {artifact['uri']}"))
    line = Text(artifact["digest"])
    if verified == artifact["digest"]:
        line.append("  ✓ verified", style=GOOD)
    elif verified:
        line.append(f"  ✗ the files are {digest(verified)}", style=BAD)
    else:
        line.append("  not verified yet", style=BUSY)
    branch.add(line)


def _add_fields(tree: Tree, title: str, fields: Sequence[Object]) -> None:
    if not fields:
        return
    branch = tree.add(Text(title, style=NAME))
    rows = [
        (
            field["name"],
            field["type"] + (f" × {field['size']}" if field.get("size") else ""),
            Text("optional" if field.get("nullable") else "", style=QUIET),
            Text(" ".join(field.get("values", [])[:10]), style=QUIET),
        )
        for field in fields[:INPUTS]
    ]
    branch.add(grid(rows, 4))
    if len(fields) > INPUTS:
        branch.add(Text(f"and {len(fields) - INPUTS} more", style=QUIET))


def _add_importance(tree: Tree, importance: Sequence[Object]) -> None:
    if not importance:
        return
    largest = max(entry["value"] for entry in importance) or 1.0
    branch = tree.add(Text.assemble(("Importance", NAME), ("  loss of the score without the feature", QUIET)))
    rows = [
        (entry["feature"], bar(entry["value"] / largest, GOOD), number(entry["value"]))
        for entry in importance[:FEATURES]
    ]
    branch.add(grid(rows, 3))


def _add_services(tree: Tree, status: Object, now: float) -> None:
    serving, quarantine = status.get("serving", []), status.get("quarantine", [])
    if not serving and not quarantine:
        return
    branch = tree.add(Text("Services", style=NAME))
    for entry in serving:
        branch.add(Text.assemble((f"{entry['role']} ", GOOD), f"of {entry['inferenceService']}"))
    for entry in quarantine:
        line = Text.assemble((f"rolled back ({entry['reason']}) ", BAD), f"by {entry['inferenceService']}")
        branch.add(line.append(f", {age(entry['at'], now)} ago", style=QUIET))


def _add_lineage(tree: Tree, spec: Object) -> None:
    lineage = spec.get("lineage", {})
    rows = [
        (
            "trained by",
            f"{lineage['trainingJob']}, run {lineage.get('run', '–')}" if lineage.get("trainingJob") else "",
        ),
        ("data", digest(lineage["dataDigest"]) if lineage.get("dataDigest") else ""),
        ("input", digest(lineage["inputDigest"]) if lineage.get("inputDigest") else ""),
        ("after", lineage.get("parent", "")),
        ("image", lineage.get("image", "")),
        ("with", ", ".join(f"{name} {version}" for name, version in spec.get("framework", {}).items())),
    ]
    if told := [(Text(name, style=QUIET), value) for name, value in rows if value]:
        tree.add(Text("Lineage", style=NAME)).add(grid(told, 2))
