"""What reading and preparing changed, dropped or guessed, for the log and the status. No sentence of a finding holds
a value of a sensitive column."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from redstart.artifacts.cells import shortened

Kind = Literal["ReadAsMissing", "Changed", "MixedTypes", "LeadingZeros", "RowsDropped", "NearEqualLabels"]

_EXAMPLES = 3


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


def near_equal_labels(counts: Mapping[str, int]) -> list[tuple[str, ...]]:
    """Labels that differ in letter case, blanks or the form of their characters only, as groups of two and more."""
    groups: dict[str, list[str]] = defaultdict(list)
    for label in counts:
        groups["".join(unicodedata.normalize("NFKC", label).casefold().split())].append(label)
    return [tuple(sorted(group)) for group in groups.values() if len(group) > 1]
