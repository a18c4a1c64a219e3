"""Columns of text, as CSV files hold them, become columns of numbers, booleans or text."""

from __future__ import annotations

import polars as pl

from redstart.trainer.columns import is_whole

NULLS = ["", "NA", "NaN", "nan", "null"]
"""What a cell of a CSV file may hold in place of a value."""


def typed(cells: pl.Series, *, category: bool = False) -> pl.Series:
    """A column of a CSV file with its type: whole numbers, numbers, booleans, or text.

    Args:
        cells: The text of each cell, null where it is empty.
        category: Whether the column is expected to hold categories: whole numbers and booleans stay text then.
    """
    cells = cells.set(cells.is_in(NULLS), None)
    if category:
        return _category(cells)
    known = len(cells) - cells.null_count()
    if known == 0:
        return cells
    for kind in (pl.Int64, pl.Float64):
        numbers = cells.cast(kind, strict=False)
        if len(numbers) - numbers.null_count() == known:
            return numbers
    booleans = cells.replace_strict({"true": True, "false": False}, default=None, return_dtype=pl.Boolean)
    return booleans if len(booleans) - booleans.null_count() == known else cells


def _category(values: pl.Series) -> pl.Series:
    """Numbers where all are and some have fractions; true and false in small letters, and whole numbers without a
    fraction, but with the zeros that they begin with."""
    numbers = values.cast(pl.Float64, strict=False)
    if numbers.null_count() > values.null_count():
        small = values.str.to_lowercase()
        return small if small.is_in(["true", "false"]).all() else values
    return values.str.replace(r"\.0*$", "") if is_whole(numbers).all() else numbers
