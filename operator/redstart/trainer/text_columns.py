"""Columns of text become numbers, booleans, times or categories, by the rules of `redstart.artifacts.cells`.

Polars reads what it can; every other text is put to the rules once, however many cells hold it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from redstart.artifacts import cells
from redstart.artifacts.cells import BLANKS, BOOLEANS, MISSING, CellError, Decimal, InfiniteError
from redstart.trainer.times import looks_like_times, times


@dataclass(frozen=True)
class Declared:
    """What the spec says of a column before it is read. `values` are the only ones allowed: a word that else means
    no value is one where it is listed."""

    type: Literal["Number", "Category"] | None = None
    values: frozenset[str] = frozenset()
    target: bool = False
    sensitive: bool = False

    @property
    def is_category(self) -> bool:
        """Whether cells are text whatever they hold. A target keeps its type."""
        if self.target:
            return False
        return self.type == "Category" or (self.type is None and any(map(_is_text, self.values)))


def _is_text(value: str) -> bool:
    try:
        return cells.number(value) is None
    except CellError:
        return True


@dataclass(frozen=True)
class CellCounts:
    """What became of the cells of one column, counted by their text.

    `missing`: words read as no value; `changed`: text that was read as something else than it says to the letter;
    `zeros`: whole numbers that lost the zeros in front. Of a column of text: how many cells are `numbers`, and the
    `others`.
    """

    missing: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    zeros: Counter[str] = field(default_factory=Counter)
    numbers: int = 0
    others: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: CellCounts) -> CellCounts:
        return CellCounts(
            self.missing + other.missing,
            self.changed + other.changed,
            self.zeros + other.zeros,
            self.numbers + other.numbers,
            self.others + other.others,
        )


UNDECLARED = Declared()


def read_text(
    values: pl.Series, declared: Declared = UNDECLARED, decimal: Decimal = "."
) -> tuple[pl.Series, CellCounts]:
    """A column of text as what it holds: missing is null.

    Numbers where all cells are numbers; booleans where all are true and false, or these and 1 and 0; times; else
    text. Where numbers are declared, true and false are 1 and 0. A target of text keeps the words that elsewhere mean
    no value: they may be classes.
    """
    if declared.is_category:
        text, counts = _categories(values, declared)
        return (text if declared.values else _without_fractions(text)), counts
    whole = values.cast(pl.Int64, strict=False)
    if whole.null_count() == values.null_count():
        return whole, CellCounts(zeros=_zeros(values, declared))
    if looks_like_times(values):
        # Each cell of such a column is another text: all at once are read in a moment, one by one in seconds.
        text, counts = _categories(values, declared)
        if (read := times(text)) is not None:
            return read, counts
    floats = _floats(values, decimal)
    texts = _judged(values.filter(floats.is_null()), declared, decimal)
    numbers = _patched(values, floats, texts.values)
    others = texts.others
    if texts.booleans and declared.type != "Number":
        if not others and numbers.drop_nulls().is_in([0.0, 1.0]).all():
            return numbers == 1, CellCounts(texts.missing, texts.numbers)
        others = others + texts.booleans
    if not others:
        return numbers, CellCounts(texts.missing, texts.numbers, _zeros(values, declared))
    text, counts = _categories(values, declared)
    count = len(values) - numbers.null_count() - texts.booleans.total()
    if declared.type == "Number":
        # Expectations tell the others from numbers, which have a point here whatever the file's decimal sign is.
        text = numbers.cast(pl.String).zip_with(numbers.is_not_null(), text)
    return text, CellCounts(counts.missing, counts.changed, numbers=count, others=others)


def as_numbers(values: pl.Series) -> pl.Series:
    """The numbers that a column of text holds, null where a cell is none."""
    floats = _floats(values, ".")
    return _patched(values, floats, _judged(values.filter(floats.is_null()), UNDECLARED, ".").values)


@dataclass(frozen=True)
class _Texts:
    """What the rules say of texts that polars reads as no number, with the number of cells that hold each; `values`
    are those of numbers and booleans."""

    missing: Counter[str] = field(default_factory=Counter)
    numbers: Counter[str] = field(default_factory=Counter)
    booleans: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    values: dict[str, float] = field(default_factory=dict)


def _judged(left: pl.Series, declared: Declared, decimal: Decimal) -> _Texts:
    texts = _Texts()
    for text, count in _counted(left).items():
        stripped = text.strip(BLANKS)
        try:
            value = cells.number(text, decimal)
        except InfiniteError:
            # Where numbers are learned from, an error names the column and how many there are.
            value = float("inf")
        except CellError:
            texts.others[text] += count
            continue
        if value is None:
            if stripped in declared.values:
                texts.others[text] += count
            elif stripped:
                texts.missing[stripped] += count
            continue
        texts.values[text] = value
        (texts.numbers if cells.boolean(text) is None else texts.booleans)[text] += count
    return texts


def _counted(values: pl.Series) -> Counter[str]:
    counts = values.drop_nulls().rename("text").value_counts(name="cells")
    return Counter(dict(zip(counts["text"].to_list(), counts["cells"].to_list(), strict=True)))


def _floats(values: pl.Series, decimal: Decimal) -> pl.Series:
    if decimal == ",":
        # A point groups thousands here, which the rules read.
        values = values.set(values.str.contains(".", literal=True).fill_null(False), None).str.replace(
            ",", ".", literal=True
        )
    return values.cast(pl.Float64, strict=False).fill_nan(None)


def _patched(values: pl.Series, floats: pl.Series, read: dict[str, float]) -> pl.Series:
    if not read:
        return floats
    patch = values.replace_strict(list(read), list(read.values()), default=None, return_dtype=pl.Float64)
    return floats.zip_with(floats.is_not_null(), patch)


def _zeros(values: pl.Series, declared: Declared) -> Counter[str]:
    if declared.type == "Number":
        return Counter()
    codes = values.filter(values.str.starts_with("0") & (values.str.len_bytes() > 1))
    return _counted(codes.filter(codes.str.contains(f"^{cells.CODE.pattern}$")))


def _categories(values: pl.Series, declared: Declared) -> tuple[pl.Series, CellCounts]:
    """Text as categories. Only what the rules may change is put to them."""
    stripped = values.str.strip_chars(BLANKS)
    odd = (
        (stripped != values)
        | stripped.str.to_lowercase().is_in([*MISSING, *BOOLEANS])
        | stripped.str.contains(f"^{cells.WHOLE.pattern}$")
    )
    missing: Counter[str] = Counter()
    changed: Counter[str] = Counter()
    read: dict[str, str | None] = {}
    for text, count in _counted(values.filter(odd)).items():
        word = text.strip(BLANKS)
        found = cells.category(text, declared.values)
        if not found and declared.target:
            found = word
        read[text] = found or None
        if not found and word:
            missing[word] += count
        elif found and found != text:
            changed[text] += count
    if read:
        values = values.replace(list(read), pl.Series(list(read.values()), dtype=pl.String))
    return values, CellCounts(missing, changed)


def _without_fractions(text: pl.Series) -> pl.Series:
    """Numbers where every cell is one and some have fractions: expectations refuse them as categories."""
    numbers = text.cast(pl.Float64, strict=False)
    return text if numbers.null_count() > text.null_count() or (numbers % 1 == 0).all() else numbers
