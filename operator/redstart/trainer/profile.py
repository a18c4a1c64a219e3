"""The reference profile: how features and predictions are distributed, in bins that stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from redstart.artifacts.manifest import CategoryProfile, FeatureProfile, Label, NumberProfile, Profile

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 10


def profile(
    tensors: Sequence[NDArray[Any]],
    numbers: Sequence[str],
    categories: Sequence[str],
    predictions: Sequence[Label],
    task: str,
) -> Profile:
    """Profile the training part's features and the exported model's predictions on the test part.

    Args:
        tensors: Of the training part: numbers [rows, numbers], then categories [rows, categories]; one that would
            have no columns is left out.
    """
    features: dict[str, FeatureProfile] = {}
    columns = [column for tensor in tensors for column in tensor.T]
    for name, column in zip([*numbers, *categories], columns, strict=True):
        features[name] = number(column) if name in numbers else category(column.tolist())
    answered = (
        number(np.asarray(predictions, dtype=np.float64))
        if task == "Regression"
        else category(list(predictions))
    )
    return Profile(len(tensors[0]), features, answered)


def number(values: NDArray[np.float64]) -> NumberProfile:
    """At most ten bins between the values' deciles. The least value is a bin of its own where it is frequent, as
    are all values that span several deciles."""
    known = values[~np.isnan(values)]
    missing = len(values) - len(known)
    if not len(known):
        return NumberProfile([], [], missing)
    quantiles = np.quantile(known, np.arange(BINS + 1) / BINS, method="inverted_cdf")
    edges = np.concatenate([quantiles[:1], np.unique(quantiles[1:])])
    places = np.searchsorted(edges[1:], known, side="left")
    counts = np.bincount(places, minlength=len(edges) - 1)
    return NumberProfile(edges.tolist(), counts.tolist(), missing)


def category(values: Sequence[Label]) -> CategoryProfile:
    """Counts by value, the most frequent first; "" is missing."""
    counts: dict[tuple[type, Label], int] = {}
    for value in values:
        counts[type(value), value] = counts.get((type(value), value), 0) + 1
    missing = counts.pop((str, ""), 0)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], str(item[0][1])))
    return CategoryProfile([key[1] for key, _ in ordered], [count for _, count in ordered], missing)
