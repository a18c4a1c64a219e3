"""What must hold for the rows; checked before anything is learned from them."""

from __future__ import annotations

import polars as pl

from redstart.api.v1alpha1.training_job import Expectations, ExpectedColumn
from redstart.artifacts import cells
from redstart.trainer.columns import as_text, did_you_mean, is_usable, is_whole
from redstart.trainer.errors import TrainingError
from redstart.trainer.text_columns import as_numbers


def check(rows: pl.DataFrame, expect: Expectations) -> None:
    """Check every rule.

    Raises:
        TrainingError: ExpectationFailed, one sentence for each broken rule: column, rule and count. Never a value:
            a column may be sensitive.
    """
    broken = []
    if expect.min_rows is not None and rows.height < expect.min_rows:
        broken.append(f"minRows: {rows.height:,} rows, at least {expect.min_rows:,} are expected")
    for name, column in expect.columns.items():
        if name not in rows.columns:
            broken.append(f"columns.{name}: there is no such column{did_you_mean(name, rows.columns)}")
        else:
            broken += [f"columns.{name}: {text}" for text in _broken(rows[name], column)]
    if broken:
        raise TrainingError("ExpectationFailed", "data.expect." + "; data.expect.".join(broken))


def _broken(values: pl.Series, expected: ExpectedColumn) -> list[str]:
    count, known = len(values), values.drop_nulls()
    rules = {"type": expected.type, "min": expected.min, "max": expected.max, "values": expected.values}
    given = [name for name, value in rules.items() if value is not None]
    if given and not is_usable(values.dtype):
        return [f"{' and '.join(given)}: the column holds {values.dtype}; only maxMissing fits it"]
    broken = []
    missing = count - len(known)
    if expected.max_missing is not None and missing > expected.max_missing * count:
        share = f"{missing / count:.2%}"
        broken.append(
            f"maxMissing {expected.max_missing:g}: {missing:,} of {count:,} values are missing ({share})"
        )
    if expected.type == "Category" and (other := len(known) - _texts(known)):
        broken.append(
            f"type Category: {other:,} of {count:,} values are neither text nor true/false nor whole numbers "
            "below 2^63"
        )
    if expected.type == "Number" or expected.min is not None or expected.max is not None:
        numbers = _numbers(known)
        if other := numbers.null_count():
            rule = "type Number" if expected.type == "Number" else "min and max need numbers"
            return [*broken, f"{rule}: {other:,} of {count:,} values are not numbers"]
        if expected.min is not None and (below := int((numbers < expected.min).sum())):
            broken.append(f"min {expected.min:g}: {below:,} of {count:,} values are below")
        if expected.max is not None and (above := int((numbers > expected.max).sum())):
            broken.append(f"max {expected.max:g}: {above:,} of {count:,} values are above")
    # As they are listed, and as cells of the column are read.
    allowed = [*(expected.values or []), *map(cells.category, expected.values or [])]
    if expected.values is not None and (other := int((~as_text(known).is_in(allowed)).sum())):
        broken.append(f"values: {other:,} of {count:,} are none of {', '.join(expected.values[:10])}")
    return broken


def _numbers(known: pl.Series) -> pl.Series:
    if known.dtype.is_temporal():
        return pl.Series([None] * len(known), dtype=pl.Float64)
    return as_numbers(known) if known.dtype == pl.String else known.cast(pl.Float64)


def _texts(known: pl.Series) -> int:
    if known.dtype.is_float():
        return int(is_whole(known).sum())
    return 0 if known.dtype.is_temporal() else len(known)
