"""Names of columns, as they stand in the header of a file: one rule for trainer and command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from redstart.artifacts.cells import BLANKS

LONGEST_NAME = 128
"""Characters of a column's name, in the API too."""

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?")


class HeaderError(ValueError):
    """The names cannot be told apart, or are none: a sentence that names the column and the mend."""


class Header(NamedTuple):
    """Names without blanks around them, and those that had some, as they stand in the file."""

    names: list[str]
    stripped: list[str]


def header(cells: Sequence[str], *, of_text: bool = True) -> Header:
    """The names in a header.

    Args:
        of_text: Whether it is the first line of a file of text, which may have been written without names.

    Raises:
        HeaderError: a name is missing, stands there twice, was damaged by a wrong encoding, or is a value.
    """
    names = [cell.strip(BLANKS) for cell in cells]
    if of_text:
        _no_values(names)
    seen: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        _usable(number, name)
        same = seen.setdefault(name.casefold(), number)
        if same != number:
            _twice(names, same, number, cells)
    stripped = [cell for cell, name in zip(cells, names, strict=True) if cell != name]
    return Header(names, stripped)


def _usable(number: int, name: str) -> None:
    if not name:
        raise HeaderError(
            f"column {number} has no name; name it, or write the file without it (was it written with its index? "
            "pandas leaves it out with index=False)"
        )
    if len(name) > LONGEST_NAME:
        raise HeaderError(
            f"the name of column {number} has {len(name):,} characters, at most {LONGEST_NAME} are possible; give it "
            "a shorter one (is the first line a header?)"
        )
    if name == "*" or (name.startswith("^") and name.endswith("$")):
        # To polars, which reads the rows, these are patterns wherever a column is named.
        raise HeaderError(
            f"the name of column {number}, {name!r}, is a pattern that stands for other columns; give it a name that "
            "is not * and does not begin with ^ and end with $"
        )
    if "\ufffd" in name:
        raise HeaderError(
            f"the name of column {number}, {name}, has the sign U+FFFD, which is left where an encoding was taken for "
            "another; write the file anew from its source, in UTF-8"
        )


def _twice(names: Sequence[str], first: int, second: int, cells: Sequence[str]) -> None:
    one, other = names[first - 1], names[second - 1]
    if cells[first - 1] == cells[second - 1]:
        raise HeaderError(
            f"{one} stands there twice: columns {first} and {second}; name one of them otherwise, or write the file "
            "without it"
        )
    differ = "blanks around them" if one == other else "the size of letters"
    raise HeaderError(
        f"columns {first} and {second} have names that differ in {differ} only: {cells[first - 1]!r} and "
        f"{cells[second - 1]!r}; name one of them otherwise, or write the file without it"
    )


def _no_values(names: Sequence[str]) -> None:
    """A first line of numbers is a row of values. Names may be numbers where they count or ascend: the default names
    of pandas, years, quantiles."""
    numbers = [name for name in names if _NUMBER.fullmatch(name)]
    if not numbers:
        return
    values = [float(name.replace(",", ".")) for name in numbers]
    ascending = all(one < next_one for one, next_one in pairwise(values))
    whole = all(name.isdecimal() for name in numbers)
    if len(numbers) == len(names):
        fits = len(names) > 1 and values == list(range(len(names)))
    else:
        fits = ascending and (whole or len(numbers) > 2)
    if not fits:
        at = names.index(numbers[0]) + 1
        raise HeaderError(
            f"the name of column {at} would be {numbers[0]}, which is a number: the first line has to hold the names "
            "of the columns; write them there"
        )
