"""What reading and preparing changed, dropped or guessed, for the log and the status. No sentence of a finding holds
a value of a sensitive column."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from redstart.artifacts.cells import shortened
from redstart.trainer.text_columns import CellCounts

Kind = Literal[
    "Guessed",
    "BlankLines",
    "ReadAsMissing",
    "Changed",
    "MixedTypes",
    "LeadingZeros",
    "DuplicateRows",
    "MissingTarget",
    "MissingValues",
    "InGap",
    "NearEqualLabels",
    "LeakageSuspected",
    "IndexColumn",
    "Identifier",
    "Constant",
]

_EXAMPLES = 3
_PARTLY = 0.1


DROPPED: tuple[Kind, ...] = ("DuplicateRows", "MissingTarget", "MissingValues", "InGap")
"""Kinds whose count is one of rows that were neither learned from nor held out."""


GRAVEST_FIRST: tuple[Kind, ...] = (
    "LeakageSuspected",
    "IndexColumn",
    "Identifier",
    "MixedTypes",
    "Guessed",
    "NearEqualLabels",
    "Constant",
    "LeadingZeros",
    "ReadAsMissing",
    "Changed",
    "BlankLines",
)
"""Kinds of warnings, in the order in which they are told."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found in one column: how many cells or rows it concerns, a few of them as they stand in the
    file (none of a sensitive column), and a sentence for a data scientist."""

    column: str
    kind: Kind
    count: int
    examples: tuple[str, ...]
    message: str


def examples(counts: Mapping[str, int]) -> tuple[str, ...]:
    """The most frequent texts, shortened; equal counts in the order of the alphabet."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(shortened(text) for text, _ in ordered[:_EXAMPLES])


def quoted(texts: Iterable[str]) -> str:
    """`'a', 'b'`, or nothing."""
    return ", ".join(map(repr, texts))


def of_cells(name: str, counts: CellCounts) -> list[Finding]:
    """What became of the cells of a column that is no sensitive one."""
    found = []
    if missing := counts.missing.total():
        words = ", ".join(f"{text!r} ({counts.missing[text]:,})" for text in examples(counts.missing))
        found.append(
            _finding(
                name, "ReadAsMissing", counts.missing, f"{missing:,} cells of {name} mean no value: {words}"
            )
        )
    if changed := counts.changed.total():
        told = f"{changed:,} cells of {name} were read without what is no part of the value"
        found.append(_finding(name, "Changed", counts.changed, told))
    if zeros := counts.zeros.total():
        told = (
            f"{zeros:,} numbers of {name} lost the zeros in front of them; if they are codes, say "
            f"data.expect.columns.{name}.type: Category"
        )
        found.append(_finding(name, "LeadingZeros", counts.zeros, told))
    others = counts.others.total()
    if others and counts.numbers >= _PARTLY * (counts.numbers + others):
        told = (
            f"{name} is read as categories, though {counts.numbers:,} of {counts.numbers + others:,} cells are "
            f"numbers; data.expect.columns.{name}.type says which it is"
        )
        found.append(_finding(name, "MixedTypes", counts.others, told))
    return found


def _finding(name: str, kind: Kind, texts: Counter[str], told: str) -> Finding:
    shown = examples(texts)
    return Finding(
        name, kind, texts.total(), shown, told if kind == "ReadAsMissing" else f"{told}: {quoted(shown)}"
    )


def near_equal_labels(labels: Iterable[str]) -> list[tuple[str, ...]]:
    """Labels that differ in letter case, blanks or the form of their characters only, as groups of two and more."""
    groups: dict[str, list[str]] = defaultdict(list)
    for label in labels:
        groups["".join(unicodedata.normalize("NFKC", label).casefold().split())].append(label)
    return [tuple(sorted(group)) for group in groups.values() if len(group) > 1]
