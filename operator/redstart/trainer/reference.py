"""Reference rows: what any server of this artifact must answer as it was answered here."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from redstart.artifacts.manifest import Manifest, Reference
from redstart.artifacts.predictor import Predictions, Predictor, typed
from redstart.trainer.errors import TrainingError
from redstart.trainer.parity import UNSEEN, margins

if TYPE_CHECKING:
    from numpy.typing import NDArray

LIMIT = 256
_PER_CLASS = 16
_SMALLEST_MARGINS = 48
_VARIANTS = 96

Row = dict[str, float | str | None]


def reference(predictor: Predictor, held_out: Sequence[NDArray[Any]], truth: NDArray[Any]) -> Reference:
    """At most 256 rows with the exported artifact's own answers: rows of each class, extremes of each number, the
    smallest margins, rows with missing and with unseen values, and others up to the limit.

    Args:
        held_out: The test rows as tensors (numbers as doubles).
        truth: Class indices or numbers, [rows].

    Raises:
        TrainingError: SplitImpossible, when a server would refuse every row.
    """
    manifest = predictor.manifest
    taken = _taken(manifest, held_out)
    held_out, truth = [array[taken] for array in held_out], truth[taken]
    found = predictor.model.predict(typed(manifest, held_out))
    chosen = list(dict.fromkeys(_choose(manifest, held_out, truth, found)))
    raw = _raw_rows(manifest, held_out, chosen)
    rows = raw[: LIMIT - _VARIANTS]
    rows += _variants(manifest, rows)[:_VARIANTS]
    rows += raw[LIMIT - _VARIANTS : LIMIT - _VARIANTS + LIMIT - len(rows)]
    return Reference(rows, predictor.answer(rows))


def _taken(manifest: Manifest, held_out: Sequence[NDArray[Any]]) -> NDArray[np.bool_]:
    """Which rows a server takes: those whose categories training saw, where others are refused."""
    taken = np.ones(len(held_out[0]), dtype=bool)
    closed = {feature.name: feature.values or [] for feature in manifest.inputs if feature.closed}
    for tensor, array in zip(manifest.tensors, held_out, strict=True):
        for at, name in enumerate(tensor.features):
            if name in closed:
                taken &= np.isin(array[:, at].astype(str), ["", *closed[name]])
    if not taken.any():
        raise TrainingError(
            "SplitImpossible",
            "prepare.model.encode.unknown: Reject refuses every held-out row, each has a category that no training "
            "row has; use Ignore, or exclude the column",
        )
    return taken


def _choose(
    manifest: Manifest, held_out: Sequence[NDArray[Any]], truth: NDArray[Any], found: Predictions
) -> Iterator[int]:
    if manifest.task == "Classification":
        for index in range(min(8, len(manifest.prediction.values or ()))):
            yield from np.flatnonzero(truth == index)[:_PER_CLASS].tolist()
    else:
        yield from (int(np.argmin(truth)), int(np.argmax(truth)))
    if found.probabilities is not None:
        yield from np.argsort(margins(manifest, found), kind="stable")[:_SMALLEST_MARGINS].tolist()
    for array in held_out:
        if array.dtype != object:
            for column in array.T[:32]:
                if not np.isnan(column).all():
                    yield int(np.nanargmin(column))
                    yield int(np.nanargmax(column))
    # The rest evenly over all rows, in their order.
    yield from np.unique(np.linspace(0, len(truth) - 1, LIMIT).astype(int)).tolist()


def _raw_rows(manifest: Manifest, held_out: Sequence[NDArray[Any]], chosen: Sequence[int]) -> list[Row]:
    columns = {
        name: array[:, at]
        for tensor, array in zip(manifest.tensors, held_out, strict=True)
        for at, name in enumerate(tensor.features)
    }
    return [
        {feature.name: _value(columns[feature.name][index]) for feature in manifest.inputs}
        for index in chosen
    ]


def _value(value: Any) -> float | str | None:
    if isinstance(value, str):
        return value or None
    return None if math.isnan(value) else float(value)


def _variants(manifest: Manifest, rows: Sequence[Row]) -> list[Row]:
    nullable = [feature for feature in manifest.inputs if feature.nullable]
    open_ = [feature for feature in manifest.inputs if feature.type == "Category" and not feature.closed]
    made: list[Row] = []
    for at, feature in enumerate(nullable):
        made.append({**rows[at % len(rows)], feature.name: None})
    for at, feature in enumerate(open_):
        made.append({**rows[at % len(rows)], feature.name: UNSEEN})
    if nullable:
        made.append({**rows[0], **dict.fromkeys((feature.name for feature in nullable), None)})
    return made
