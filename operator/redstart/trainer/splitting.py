"""Which rows are held out. Random, Stratified and Group decide row by row from a hash, so that a row held out once
is held out for ever, also when later rows are appended; Time decides by a cut-off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import blake2b
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold, TimeSeriesSplit

from redstart.api import durations
from redstart.api.v1alpha1.training_job import Split
from redstart.artifacts.description import label_text
from redstart.artifacts.manifest import Split as SplitRule
from redstart.trainer.columns import Roles, is_usable, texts
from redstart.trainer.errors import TrainingError
from redstart.trainer.target import Target

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Indices = NDArray[np.int64]

_HASHED_ROWS = 20_000
_MISSING = np.array([np.nan], dtype="<f8").tobytes()


@dataclass(frozen=True)
class Parts:
    """Row numbers of the training and the test part, and the rule that made them."""

    train: Indices
    test: Indices
    rule: SplitRule


def split(rows: pl.DataFrame, roles: Roles, target: Target, spec: Split) -> Parts:
    """Hold out rows.

    Raises:
        TrainingError: SplitImpossible, when a part would be empty or lack a class.
    """
    if spec.strategy == "Time":
        parts = _by_time(rows, roles, spec)
    else:
        columns = [spec.group] if spec.group else hashed_columns(rows, roles)
        held = fractions(rows[columns], spec.seed) < spec.test_fraction
        rule = SplitRule(spec.strategy, spec.seed, spec.test_fraction, columns)
        parts = Parts(np.flatnonzero(~held), np.flatnonzero(held), rule)
    for name, part in (("training", parts.train), ("test", parts.test)):
        if not len(part):
            raise TrainingError(
                "SplitImpossible",
                f"split: the {name} part is empty: {rows.height:,} rows, strategy {spec.strategy}, "
                f"testFraction {spec.test_fraction:g}",
            )
        _holds_every_class(name, target, part, spec)
    return parts


def hashed_columns(rows: pl.DataFrame, roles: Roles) -> list[str]:
    """The columns that identify a row: all but the sensitive ones and those of types that are of no use, whatever the
    features are, so that a later choice of features does not draw the held-out rows anew."""
    return sorted(
        name for name, kind in rows.schema.items() if name not in roles.sensitive and is_usable(kind)
    )


def fractions(rows: pl.DataFrame, seed: int) -> NDArray[np.float64]:
    """For each row a number in [0, 1) that depends on its values and the seed only."""
    key = seed.to_bytes(8, "little")
    hashes = b"".join(
        blake2b(b"".join(row), digest_size=8, key=key, person=b"redstart-split").digest()
        # All rows at once would be a small object for each value of the table.
        for part in rows[sorted(rows.columns)].iter_slices(_HASHED_ROWS)
        for row in zip(*_encoded(part), strict=True)
    )
    # 53 bits are what a float64 holds exactly.
    return (np.frombuffer(hashes, dtype="<u8") >> np.uint64(11)) / float(1 << 53)


def _encoded(rows: pl.DataFrame) -> list[list[bytes]]:
    """Each value as bytes: its own length in front of text, 8 bytes for a number (1 and 1.0 are equal) and for a
    missing value of any type: a column without a value may become text when rows are appended. Neighbouring columns
    of numbers are in one piece for each row."""
    pieces: list[list[bytes]] = []
    for numeric, columns in groupby(map(_comparable, rows), key=_is_number):
        if numeric:
            numbers = np.column_stack(
                [values.cast(pl.Float64).fill_null(float("nan")).to_numpy() + 0.0 for values in columns]
            )
            whole = np.where(np.isnan(numbers), np.nan, numbers).astype("<f8").tobytes()
            width = 8 * numbers.shape[1]
            pieces.append([whole[at : at + width] for at in range(0, len(whole), width)])
            continue
        for values in columns:
            known = [None if text is None else text.encode() for text in values.cast(pl.String).to_list()]
            pieces.append(
                [_MISSING if text is None else len(text).to_bytes(8, "little") + text for text in known]
            )
    return pieces


def _comparable(values: pl.Series) -> pl.Series:
    if values.dtype.is_temporal() and values.dtype != pl.Time:
        return values.cast(pl.Datetime("us")).cast(pl.Int64)
    return values


def _is_number(values: pl.Series) -> bool:
    return values.dtype.is_numeric() or values.dtype in (pl.Boolean, pl.Null)


def _by_time(rows: pl.DataFrame, roles: Roles, spec: Split) -> Parts:
    times = seconds(rows, roles)
    ordered = np.sort(times)
    cutoff = ordered[min(len(ordered) - 1, int(np.ceil(len(ordered) * (1 - spec.test_fraction))))]
    test = times >= cutoff
    train = times < cutoff - (durations.seconds(spec.gap) if spec.gap else 0.0)
    at = rows[roles.time or ""][int(np.flatnonzero(times == cutoff)[0])]
    text = at.isoformat() if isinstance(at, date | datetime) else str(at)
    rule = SplitRule("Time", spec.seed, spec.test_fraction, [roles.time or ""], cutoff=text, gap=spec.gap)
    return Parts(np.flatnonzero(train), np.flatnonzero(test), rule)


def seconds(rows: pl.DataFrame, roles: Roles) -> NDArray[np.float64]:
    """The time column as seconds; numbers count as seconds already.

    Raises:
        TrainingError: TimeUnusable, naming the column and the count.
    """
    values = rows[roles.time or ""]
    if values.dtype == pl.String:
        known = values.str.to_datetime(time_unit="us", strict=False, time_zone="UTC")
        if failed := known.null_count() - values.null_count():
            raise TrainingError(
                "TimeUnusable", f"data.time: {failed:,} values of {values.name} are no ISO 8601 times"
            )
        values = known
    if missing := values.null_count():
        raise TrainingError("TimeUnusable", f"data.time: {missing:,} values of {values.name} are missing")
    if values.dtype in (pl.Date, pl.Datetime):
        return values.cast(pl.Datetime("us")).cast(pl.Int64).to_numpy() / 1e6
    if values.dtype.is_numeric():
        return values.cast(pl.Float64).to_numpy()
    raise TrainingError("TimeUnusable", f"data.time: {values.name} holds {values.dtype}, which is no time")


def _holds_every_class(name: str, target: Target, part: Indices, spec: Split) -> None:
    counts = np.bincount(target.take(part), minlength=len(target.classes)) if target.classes else np.ones(1)
    if (counts == 0).any() and (name == "training" or spec.strategy == "Stratified"):
        absent = ", ".join(label_text(target.classes[i]) for i in np.flatnonzero(counts == 0)[:5])
        raise TrainingError(
            "SplitImpossible",
            f"split: the {name} part has no row of class {absent}; more rows or another seed may help",
        )


def folds(
    spec: Split, labels: NDArray[Any], groups: NDArray[Any] | None, count: int | None = None
) -> Iterator[tuple[Indices, Indices]]:
    """Folds inside the training part, by the same strategy. Rows are in the order of time where there is one."""
    n = count or spec.validation.folds
    rows = np.zeros((len(labels), 1))
    if spec.strategy == "Group":
        yield from GroupKFold(n).split(rows, labels, groups)
    elif spec.strategy == "Time":
        yield from TimeSeriesSplit(n).split(rows)
    elif spec.strategy == "Stratified":
        yield from StratifiedKFold(n, shuffle=True, random_state=spec.seed).split(rows, labels)
    else:
        yield from KFold(n, shuffle=True, random_state=spec.seed).split(rows)


def groups_of(rows: pl.DataFrame, roles: Roles) -> NDArray[Any] | None:
    """The group of each row, as text."""
    return texts(rows[roles.group]) if roles.group else None
