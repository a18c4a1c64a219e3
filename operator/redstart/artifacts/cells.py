"""What one cell means, whoever reads it: trainer, verifier, server and command line, from CSV, Parquet, JSON or V2.

docs/cells.md shows it as a table. Only the standard library is imported here: the command line has nothing else.
`redstart.trainer.text_columns` applies the same rules to whole columns.

A cell belongs to a column, which holds numbers or categories. Text is read alike wherever it stands; a value that has
a type (a number of JSON, a boolean of Parquet) keeps it.
"""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Literal

Decimal = Literal[".", ","]

BLANKS = (
    " \t\r\n\v\f\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u200b\u2028\u2029\u202f\u205f\u3000\ufeff"
)
"""What is no text at the beginning and the end of a cell."""

MISSING = frozenset({
    "", "na", "n/a", "n.a.", "nan", "-nan", "nat", "null", "none", "nil", "<na>", "#na", "#n/a", "#n/a n/a",
    "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan", "(null)", "[null]", "<null>", "\\n",
    "?", ".", "..", "...", "-", "--", "---", "–", "—", "…",
})  # fmt: skip
"""What stands for no value, in small letters and without blanks around: what pandas reads so by default, what
databases and R write, and what people do."""

BOOLEANS = {"true": True, "false": False}

LARGEST = 3.4028234663852886e38
"""The largest number of a column, either side of 0: what fits no float32 would reach a model as infinity."""

LARGEST_WHOLE = 2.0**63
"""Whole floats below it are written as whole numbers; those above are written as they are."""

_SIGN = r"(?P<sign>[+\-−]?)"
_GROUPS = {".": ",", ",": "."}
# What most numbers look like, and Python reads by itself.
_PLAIN = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_INFINITE = re.compile(_SIGN + r"(?:inf|infinity|∞)", re.IGNORECASE)
WHOLE = re.compile(r"(?P<whole>[+-]?[0-9]+)\.0+")
CODE = re.compile(r"[+-]?0[0-9]+")


class CellError(ValueError):
    """A cell that a column cannot hold; the text ends a sentence that begins with what was expected."""


class InfiniteError(CellError):
    """An infinite number, or one that no float is as large as."""

    def __init__(self) -> None:
        super().__init__("an infinite number")


def _pattern(decimal: Decimal) -> re.Pattern[str]:
    point = re.escape(decimal)
    # Groups of three, one kind of sign between them, and no zero in front: 0,123 is no grouping of anything.
    group = rf"(?P<group>[{_GROUPS[decimal]}_'’ \xa0\u2009\u202f])"
    grouped = rf"[1-9][0-9]{{0,2}}{group}[0-9]{{3}}(?:(?P=group)[0-9]{{3}})*"
    return re.compile(
        rf"{_SIGN}(?P<whole>{grouped}|[0-9]*)(?:{point}(?P<fraction>[0-9]*))?(?P<exponent>[eE][+-]?[0-9]+)?"
    )


_NUMBERS: dict[Decimal, re.Pattern[str]] = {".": _pattern("."), ",": _pattern(",")}


def is_missing(text: str) -> bool:
    """Whether this text stands for no value, where a column does not know it as one."""
    return text.strip(BLANKS).lower() in MISSING


def number(text: str, decimal: Decimal = ".") -> float | None:
    """The number that a cell of text holds, None where it is missing.

    Blanks around it, a leading plus, thousands in groups of three and exponents are read; true and false are 1 and 0.

    Args:
        decimal: What stands before a fraction, as the file's format says.

    Raises:
        CellError: it is no number. InfiniteError: it is an infinite one.
    """
    text = text.strip(BLANKS)
    value = float(text) if decimal == "." and _PLAIN.fullmatch(text) else _written(text, decimal)
    if value is not None:
        if abs(value) == float("inf"):
            raise InfiniteError
        return value
    small = text.lower()
    if small in MISSING:
        return None
    if small in BOOLEANS:
        return float(BOOLEANS[small])
    if _INFINITE.fullmatch(text):
        raise InfiniteError
    raise CellError(f"the text {shortened(text)!r}")


def _written(text: str, decimal: Decimal) -> float | None:
    found = _NUMBERS[decimal].fullmatch(text)
    if found is None or not (found["whole"] or found["fraction"]):
        return None
    whole = "".join(digit for digit in found["whole"] if digit.isdigit())
    sign = "-" if found["sign"] in ("-", "−") else ""
    return float(f"{sign}{whole or 0}.{found['fraction'] or 0}{found['exponent'] or ''}")


def boolean(text: str) -> bool | None:
    """True or False where the text says so, in letters of any size."""
    return BOOLEANS.get(text.strip(BLANKS).lower())


def category(value: str | float | bool | None, known: Container[str] = ()) -> str:
    """The text of a category, "" where it is missing.

    Text that the column knows as a value is that value, whatever else it might mean. Other text loses blanks around
    it; whole numbers lose a fraction of zeros and keep the zeros that they begin with; true and false are written in
    small letters.

    Args:
        known: The values that were declared for the column, or that a model was trained with.

    Raises:
        CellError: a number that is not whole and no known value, which has no one text.
    """
    match value:
        case None:
            return ""
        case str():
            return value if value in known else _text(value, known)
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
    if is_whole(value):
        return str(int(value))
    if (text := repr(value)) in known:
        return text
    raise CellError(f"the fraction {value!r}" if abs(value) < LARGEST_WHOLE else f"the number {value!r}")


def _text(text: str, known: Container[str]) -> str:
    text = text.strip(BLANKS)
    if text in known:
        return text
    small = text.lower()
    if small in MISSING:
        return ""
    if small in BOOLEANS:
        return small
    if (found := WHOLE.fullmatch(text)) is not None:
        whole = found["whole"]
        return whole.lstrip("+-") if not whole.strip("+-0") else whole
    return text


def is_whole(value: float) -> bool:
    """Whether a float is a whole number, and small enough to be written as one."""
    return abs(value) < LARGEST_WHOLE and value % 1 == 0


def shortened(text: str, limit: int = 40) -> str:
    """A cell as an example in a sentence."""
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
