"""Whether an exported model answers as the trained one does: on the held-out rows, and on copies of them in which
each value that may be missing is missing and each category is one that training never saw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from redstart.artifacts.manifest import Input, Manifest
from redstart.artifacts.predictor import Predictions, decide

if TYPE_CHECKING:
    from numpy.typing import NDArray

PROBABILITY_TOLERANCE = 1e-4
DEVIATIONS_TOLERANCE = 1e-5
"""Of a regression, in standard deviations of the target."""
SHARE = 0.999
"""Of the rows, separately of the held-out rows and of the copies."""

UNSEEN = "\u2047unseen"
"""A category that no sensible data holds."""

_COPIES = 4000
_LISTED = 20


class Difference(msgspec.Struct, frozen=True):
    """A row that the two models answer differently: its number among the checked rows, by how much, and how far the
    trained model's answer is from another class (None for a regression)."""

    row: int
    difference: float
    margin: float | None


class Verdict(msgspec.Struct, frozen=True, rename="camel"):
    """What the comparison found; `agreeing` is the smaller share of the two sets of rows."""

    exact: bool
    largest_difference: float
    agreeing: float
    listed: list[Difference]


def disturbed(tensors: Sequence[NDArray[Any]], inputs: Sequence[Input]) -> list[NDArray[Any]]:
    """Copies of rows in which one value after the other is blanked or, if a category, unseen.

    Args:
        tensors: Numbers and categories as the manifest's tensors hold them, columns in the order of `inputs`
            sorted into numbers and categories.
    """
    ordered = [f for f in inputs if f.type == "Number"] + [f for f in inputs if f.type == "Category"]
    changes: list[tuple[int, float | str]] = []
    for column, feature in enumerate(ordered):
        if feature.nullable:
            changes.append((column, np.nan if feature.type == "Number" else ""))
        if feature.type == "Category" and not feature.closed:
            changes.append((column, UNSEEN))
    rows, each = len(tensors[0]), max(1, _COPIES // max(1, len(changes)))
    copies: list[list[NDArray[Any]]] = []
    for turn, (column, value) in enumerate(changes):
        chosen = (np.arange(min(rows, each)) + turn * each) % rows
        copy = [tensor[chosen].copy() for tensor in tensors]
        at = column
        for tensor in copy:
            if at < tensor.shape[1]:
                tensor[:, at] = value
                break
            at -= tensor.shape[1]
        copies.append(copy)
    return [np.concatenate(parts) for parts in zip(*copies, strict=True)] if copies else []


def compare(
    manifest: Manifest, pairs: Sequence[tuple[Predictions, Predictions]], deviation: float | None
) -> Verdict:
    """Judge an exported model.

    Args:
        pairs: For each set of rows, what the trained model says and what the exported one says.
        deviation: Standard deviation of a regression's target; None for classifiers.
    """
    shares, differences, margins = [], [], []
    for expected, found in pairs:
        by, agree = _differences(manifest, expected, found, deviation)
        shares.append(float(np.mean(agree)))
        differences.append(by)
        margins.append(np.where(agree, -1.0, _margins(manifest, expected)))
    every, margin = np.concatenate(differences), np.concatenate(margins)
    odd = np.flatnonzero(margin >= 0)
    worst = odd[np.argsort(-every[odd], kind="stable")][:_LISTED]
    listed = [
        Difference(int(row), float(every[row]), float(margin[row]) if deviation is None else None)
        for row in worst
    ]
    return Verdict(min(shares) >= SHARE, float(every.max(initial=0.0)), min(shares), listed)


def _differences(
    manifest: Manifest, expected: Predictions, found: Predictions, deviation: float | None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    if deviation is not None:
        by = np.abs(expected.raw.astype(np.float64) - found.raw.astype(np.float64))
        by = np.where(np.isfinite(by), by, np.finfo(np.float64).max)
        return by, by <= DEVIATIONS_TOLERANCE * deviation
    labels = np.array(
        [a == b for a, b in zip(decide(manifest, expected), decide(manifest, found), strict=True)], dtype=bool
    )
    if expected.probabilities is None or found.probabilities is None:
        return np.where(labels, 0.0, 1.0), labels
    by = np.abs(expected.probabilities - found.probabilities).max(axis=1)
    by = np.where(np.isfinite(by), by, 1.0)
    return by, labels & (by <= PROBABILITY_TOLERANCE)


def _margins(manifest: Manifest, expected: Predictions) -> NDArray[np.float64]:
    return margins(manifest, expected) if expected.probabilities is not None else np.zeros(len(expected.raw))


def margins(manifest: Manifest, answers: Predictions) -> NDArray[np.float64]:
    """How far each answer with probabilities is from another class: the two largest probabilities' difference, or
    the distance from the threshold."""
    if answers.probabilities is None:
        raise ValueError("there are no probabilities")
    if manifest.threshold is not None:
        return np.abs(answers.probabilities[:, manifest.threshold.positive] - manifest.threshold.value)
    top = np.sort(answers.probabilities, axis=1)
    return np.asarray(top[:, -1] - top[:, -2])
