"""Adds requests up: by status, latency bucket, prediction, and each feature's bins of the reference profile.

The thread that answers a request only appends to a queue. Counting is done ten times a second for all that has
come, in arrays: a microsecond for a request of 10 features.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from redstart.artifacts.description import label_text
from redstart.artifacts.manifest import (
    CategoryProfile,
    FeatureProfile,
    Label,
    Manifest,
    NumberProfile,
    Profile,
)
from redstart.sidecar.report import BUCKETS, GROWTH, SMALLEST, CellKind, Counts, LastError, Latency, Scope

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_CATEGORIES = 50
"""Categories of a feature with a count of their own, the most frequent in training; later ones share `(other)`."""

OTHER = "(other)"

_TEXT_LENGTH = 128

Cells = dict[tuple[CellKind, str], int]


class Observation(NamedTuple):
    """One answered request. Tensors and predictions only of a weighted first attempt that was answered; `ignored` are
    the rows of any that was, by input that the model does not use."""

    first: bool
    status: int
    seconds: float
    tensors: Sequence[NDArray[Any]] | None = None
    predictions: Sequence[Label] | None = None
    invalid_output: bool = False
    ignored: Mapping[str, int] | None = None
    error: LastError | None = None


class NumberCells:
    """Counts numbers over frozen edges."""

    def __init__(self, profile: NumberProfile, dtype: Any) -> None:
        # A value that lies on an edge must stay on it when both are rounded to float32.
        self._edges = np.array(profile.edges, dtype=dtype)
        self._names = [
            f"({low!r},{high!r}]" for low, high in zip(profile.edges, profile.edges[1:], strict=False)
        ]

    def count(self, values: NDArray[Any]) -> Cells:
        """Count an array of shape [rows]; NaN is missing."""
        known = values[~np.isnan(values)]
        cells: Cells = {("missing", ""): len(values) - len(known)}
        if len(self._edges):
            cells["under", ""] = int((known < self._edges[0]).sum())
            cells["over", ""] = int((known > self._edges[-1]).sum())
            known = known[(known >= self._edges[0]) & (known <= self._edges[-1])]
            places = np.searchsorted(self._edges[1:], known, side="left")
            for place, count in enumerate(np.bincount(places, minlength=len(self._names)).tolist()):
                cells["bin", self._names[place]] = count
        elif len(known):
            cells["unseen", ""] = len(known)
        return cells


class CategoryCells:
    """Counts categories by value."""

    def __init__(self, profile: CategoryProfile) -> None:
        texts = [label_text(value) for value in profile.values]
        self._names = {
            text: text[:_TEXT_LENGTH] if index < MAX_CATEGORIES else OTHER for index, text in enumerate(texts)
        }

    def count(self, values: Sequence[Any]) -> Cells:
        """Count texts; "" is missing."""
        cells: Cells = Counter()
        for text, count in Counter(values).items():
            if text == "":
                cells["missing", ""] += count
            elif text in self._names:
                cells["bin", self._names[text]] += count
            else:
                cells["unseen", ""] += count
        return cells


def _cells(profile: FeatureProfile, dtype: Any) -> NumberCells | CategoryCells:
    return NumberCells(profile, dtype) if isinstance(profile, NumberProfile) else CategoryCells(profile)


class Recorder:
    """Takes observations from the threads that answer, and adds them up in the one that reports."""

    def __init__(self) -> None:
        self._queue: deque[Observation] = deque()
        self._features: list[list[tuple[str, NumberCells | CategoryCells]]] = []
        self._columns: list[list[int]] = []
        self._prediction: NumberCells | None = None
        self._regression = False
        self.record = self._queue.append

    def profile(self, manifest: Manifest, profile: Profile | None) -> None:
        """Count features, and a regression's predictions, over this profile's bins from now on."""
        dtypes = {"float": np.float32, "double": np.float64, "string": None}
        features = profile.features if profile else {}
        self._features = [
            [
                (name, _cells(features[name], dtypes[tensor.type]))
                for name in tensor.features
                if name in features
            ]
            for tensor in manifest.tensors
        ]
        self._columns = [
            [index for index, name in enumerate(tensor.features) if name in features]
            for tensor in manifest.tensors
        ]
        self._regression = manifest.task == "Regression"
        if self._regression and profile and isinstance(profile.prediction, NumberProfile):
            self._prediction = NumberCells(profile.prediction, np.float64)

    def drain(self) -> Counts:
        """The counts of all observations since the last call."""
        taken = [self._queue.popleft() for _ in range(len(self._queue))]
        counts = Counts()
        if not taken:
            return counts
        for first in (True, False):
            scope: Scope = "first" if first else "other"
            of_scope = [seen for seen in taken if seen.first is first]
            if of_scope:
                counts.requests[scope] = dict(Counter(seen.status for seen in of_scope))
                counts.latency[scope] = latency([seen.seconds for seen in of_scope])
        counts.invalid_outputs = sum(seen.invalid_output and seen.first for seen in taken)
        for seen in taken:
            for name, rows in (seen.ignored or {}).items():
                counts.ignored[name] = counts.ignored.get(name, 0) + rows
        for seen in taken:
            if seen.first and seen.error is not None:
                counts.last_error = seen.error.over(counts.last_error)
        answered = [seen for seen in taken if seen.first and seen.tensors is not None]
        if answered:
            counts.predictions = self._count_predictions(answered)
            counts.features = self._count_features(answered)
        return counts

    def _count_predictions(self, answered: Sequence[Observation]) -> dict[str, int]:
        if self._regression and self._prediction is None:
            return {}
        labels = [label for seen in answered for label in seen.predictions or ()]
        if self._prediction is not None:
            cells = self._prediction.count(np.array(labels, dtype=np.float64))
            return {text or kind: count for (kind, text), count in cells.items() if count}
        return {label_text(label): count for label, count in Counter(labels).items()}

    def _count_features(self, answered: Sequence[Observation]) -> list[tuple[str, CellKind, str, int]]:
        found: list[tuple[str, CellKind, str, int]] = []
        for index, features in enumerate(self._features):
            if not features:
                continue
            matrix = np.concatenate([seen.tensors[index] for seen in answered if seen.tensors is not None])
            for column, (name, cells) in zip(self._columns[index], features, strict=True):
                counted = (
                    cells.count(matrix[:, column])
                    if isinstance(cells, NumberCells)
                    else cells.count(matrix[:, column].tolist())
                )
                found.extend((name, kind, text, count) for (kind, text), count in counted.items() if count)
        return found


def latency(seconds: Sequence[float]) -> Latency:
    """Durations in seconds, sorted into exponential buckets."""
    times = np.maximum(np.array(seconds), SMALLEST)
    # Rounding must not lift a duration that lies on an edge over it.
    places = np.ceil(np.log(times / SMALLEST) / math.log(GROWTH) - 1e-9).astype(int)
    buckets = Counter(np.minimum(places, BUCKETS).tolist())
    return Latency(dict(buckets), float(sum(seconds)))


def add(into: Counts, more: Counts) -> None:
    """Add counts to others, in place."""
    for scope, statuses in more.requests.items():
        known = into.requests.setdefault(scope, {})
        for status, count in statuses.items():
            known[status] = known.get(status, 0) + count
    for scope, timed in more.latency.items():
        held = into.latency.setdefault(scope, Latency())
        held.seconds += timed.seconds
        for bucket, count in timed.buckets.items():
            held.buckets[bucket] = held.buckets.get(bucket, 0) + count
    for label, count in more.predictions.items():
        into.predictions[label] = into.predictions.get(label, 0) + count
    into.invalid_outputs += more.invalid_outputs
    if more.last_error is not None:
        into.last_error = more.last_error.over(into.last_error)
    for name, rows in more.ignored.items():
        into.ignored[name] = into.ignored.get(name, 0) + rows
    if more.features:
        cells = {(name, kind, text): count for name, kind, text, count in into.features}
        for name, kind, text, count in more.features:
            cells[name, kind, text] = cells.get((name, kind, text), 0) + count
        into.features = [(*key, count) for key, count in cells.items()]
