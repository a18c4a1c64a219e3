"""Columns that a model should perhaps not learn from: they tell the target, count the rows, name them, or say nothing.

What is suspected is a warning and changes nothing. Every look is at a bounded number of rows, and no sentence holds a
value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from redstart.trainer.columns import Roles
from redstart.trainer.findings import Finding, near_equal_labels, quoted

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CELLS = 1_000_000  # looked at for leakage, over all columns
_ROWS = (200, 10_000)  # of one column, at least and at most
_DEPTH = 4
_TELLS = 0.99
"""Score of one column alone from which it is suspected: balanced accuracy, or the share of variance explained, on
rows that it was not learned from."""

_FEW = 20  # rows below which nothing is suspected
_DISTINCT = 0.95  # share of distinct values from which a category names its rows
_COUNTS = 0.99  # share of rows that are one more than the row before
_NEAR = 500  # distinct values of a category that are compared for letters and blanks
_INDEX_NAME = re.compile(
    r"Unnamed: ?\d+(_level_\d+)?|__index_level_\d+__|index|level_\d+|row_?names?", re.IGNORECASE
)


def index_columns(rows: pl.DataFrame, roles: Roles) -> Iterator[Finding]:
    """Features that count the rows, as they were read."""
    for feature in roles.features:
        name = feature.name
        values = rows[name]
        steps = values.diff().drop_nulls() if values.dtype.is_integer() and len(values) >= _FEW else None
        counts = steps is not None and len(steps) > 0 and float((steps == 1).mean() or 0) >= _COUNTS  # type: ignore[arg-type]
        if counts or _INDEX_NAME.fullmatch(name):
            why = "counts the rows" if counts else "has the name of an index"
            mend = "if it is one, leave it out: data.features.exclude"
            yield Finding(name, "IndexColumn", rows.height, (), f"{name} {why}; {mend}")


def of_columns(rows: pl.DataFrame, roles: Roles) -> Iterator[Finding]:
    """Features that have one value, or another in nearly every row, or categories that are perhaps the same."""
    for feature in roles.features:
        name, values = feature.name, rows[feature.name]
        if not values.null_count() and bool((values == values[0]).all()):
            told = f"{name} has the same value in every row and tells nothing; leave it out: data.features.exclude"
            yield Finding(name, "Constant", rows.height, (), told)
        if feature.type != "Category":
            continue
        distinct, known = values.drop_nulls().n_unique(), len(values) - values.null_count()
        if known >= _FEW and distinct >= _DISTINCT * known:
            told = (
                f"{name} has {distinct:,} distinct values in {known:,} rows, so it names rows and does not describe "
                "them; leave it out: data.features.exclude"
            )
            yield Finding(name, "Identifier", distinct, (), told)
        elif distinct <= _NEAR and values.dtype == pl.String:
            for group in near_equal_labels(dict.fromkeys(values.drop_nulls().unique().to_list(), 1)):
                told = (
                    f"{name} has values that differ in the size of letters or in blanks only: {quoted(group)}"
                )
                yield Finding(name, "NearEqualLabels", len(group), group, told)


def leakage(rows: pl.DataFrame, roles: Roles, target: NDArray[Any], classes: int) -> Iterator[Finding]:
    """Features that alone tell the target.

    Args:
        rows: The rows to learn from.
        target: Class indices or numbers, [rows].
        classes: Number of classes, 0 for a regression.
    """
    most = min(_ROWS[1], max(_ROWS[0], _CELLS // len(roles.features)))
    chosen = np.random.default_rng(0).permutation(len(target))[:most]
    if len(chosen) < _FEW:
        return
    looked, truth = rows[chosen], target[chosen]
    half = len(chosen) // 2
    if not _can_be_told(truth[:half], truth[half:]):
        return
    for feature in roles.features:
        score = _score(looked[feature.name], truth, half, classes)
        if score >= _TELLS:
            share = "always" if score > 1 - 1e-9 else f"with a score of {score:.4f} of 1"
            told = (
                f"{feature.name} alone tells {roles.target} {share}: leakage is suspected; if it is not known before "
                f"{roles.target} is, leave it out: data.features.exclude"
            )
            yield Finding(feature.name, "LeakageSuspected", len(chosen), (), told)


def _can_be_told(learned: NDArray[Any], judged: NDArray[Any]) -> bool:
    return len(np.unique(learned)) > 1 and len(np.unique(judged)) > 1


def _score(values: pl.Series, truth: NDArray[Any], half: int, classes: int) -> float:
    """How well a tree, or the mean of each value, learned from the first half tells the other half."""
    codes = values.rank("dense").fill_null(0).to_numpy().astype(np.int64)
    scores = [0.0]
    # Values that come back are looked up; what names each row alone tells nothing of others.
    if codes.max(initial=0) * 5 <= len(codes):
        scores.append(_judged(_by_value(codes, truth, half, classes), truth[half:], classes))
    if values.dtype.is_numeric():
        column = values.cast(pl.Float64).to_numpy()
        scores.append(_judged(_by_range(column, truth, half, classes), truth[half:], classes))
    return max(scores)


def _judged(told: NDArray[Any], truth: NDArray[Any], classes: int) -> float:
    if classes:
        return float(np.mean([np.mean(told[truth == label] == label) for label in np.unique(truth)]))
    spread = float(np.sum((truth - truth.mean()) ** 2))
    return 1 - float(np.sum((truth - told) ** 2)) / spread if spread > 0 else 0.0


def _by_value(codes: NDArray[np.int64], truth: NDArray[Any], half: int, classes: int) -> NDArray[Any]:
    seen, judged = codes[:half], codes[half:]
    size = int(codes.max()) + 1
    if not classes:
        sums = np.bincount(seen, weights=truth[:half], minlength=size)
        counts = np.bincount(seen, minlength=size)
        means = np.where(counts > 0, sums / np.maximum(counts, 1), truth[:half].mean())
        return means[judged]
    best, told = np.zeros(size), np.full(size, -1)
    for label in range(classes):
        of_label = truth[:half] == label
        share = np.bincount(seen[of_label], minlength=size) / max(1, int(of_label.sum()))
        told = np.where(share > best, label, told)
        best = np.maximum(best, share)
    return told[judged]


def _by_range(numbers: NDArray[np.float64], truth: NDArray[Any], half: int, classes: int) -> NDArray[Any]:
    column = np.where(np.isinf(numbers), np.nan, numbers).reshape(-1, 1)
    if classes:
        tree = DecisionTreeClassifier(max_depth=_DEPTH, class_weight="balanced", random_state=0)
    else:
        tree = DecisionTreeRegressor(min_samples_leaf=3, random_state=0)
    told: NDArray[Any] = tree.fit(column[:half], truth[:half]).predict(column[half:])
    return told
