"""Permutation importance: what the exported model's score loses when a feature's values are shuffled among the rows
(Breiman 2001, Random Forests, section 10)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from sklearn.metrics import f1_score, r2_score, roc_auc_score

from redstart.artifacts.predictor import Predictor, decide, typed

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FEATURES = 20
_MOST_ROWS, _LEAST_ROWS = 2000, 200
_REPEATS = 5
_ANSWERS = 500_000
"""Answers of the model that the importance may cost. Bounded by a number first: it is the same on every machine."""
SECONDS = 60.0
"""Where that takes longer still, the features that were reached by then are all that are told."""


class Measured(msgspec.Struct, frozen=True, rename="camel"):
    """What the importance rests on: so many rows, each feature shuffled so often, so many of the features."""

    rows: int
    repeats: int
    features: int
    of_features: int


@dataclass(frozen=True)
class Importance:
    """The twenty most important features with the loss, the largest first, and what it rests on."""

    features: list[tuple[str, float]]
    measured: Measured

    def text(self) -> str:
        """For the log."""
        measured, of = self.measured, ""
        if measured.features < measured.of_features:
            of = f" of {measured.of_features:,}, all that {SECONDS:g} s were enough for"
        first = ", ".join(f"{name} {value:.3g}" for name, value in self.features[:3])
        return (
            f"{first or 'none'}; {measured.features:,} features{of}, on {measured.rows:,} held-out rows, each "
            f"shuffled {measured.repeats} times"
        )


def important(
    predictor: Predictor,
    held_out: Sequence[NDArray[Any]],
    truth: NDArray[Any],
    seed: int,
    report: Callable[[int, int], None] = lambda _done, _all: None,
    clock: Callable[[], float] = monotonic,
) -> Importance:
    """Permutation importance on the test part.

    The score is rocAuc for two classes with probabilities, f1Macro for other classifiers, r2 for regressions. With
    more features there are fewer repeats, then fewer rows, so that the model is asked about half a million times.

    Args:
        held_out: The test rows as tensors.
        truth: Class indices or numbers, [rows].
        report: Called with the number of features done and of all before each feature.
        clock: In seconds.
    """
    manifest = predictor.manifest
    random = np.random.default_rng(seed)
    features = [
        (turn, at, name) for turn, t in enumerate(manifest.tensors) for at, name in enumerate(t.features)
    ]
    count, repeats = _effort(len(features), len(truth))
    rows = random.permutation(len(truth))[:count]
    arrays, truth = typed(manifest, [array[rows] for array in held_out]), truth[rows]
    whole, begun = _score(predictor, arrays, truth), clock()
    losses: list[tuple[str, float]] = []
    for turn, at, name in features:
        report(len(losses), len(features))
        if losses and clock() - begun > SECONDS:
            break
        # Shuffled in place and put back: a copy of a wide table for each of its columns would cost more than the model.
        kept = arrays[turn][:, at].copy()
        scores = []
        for _ in range(repeats):
            arrays[turn][:, at] = random.permutation(kept)
            scores.append(_score(predictor, arrays, truth))
        arrays[turn][:, at] = kept
        losses.append((name, whole - float(np.mean(scores))))
    finite = sorted((loss for loss in losses if np.isfinite(loss[1])), key=lambda loss: -loss[1])
    return Importance(finite[:_FEATURES], Measured(count, repeats, len(losses), len(features)))


def _effort(features: int, rows: int) -> tuple[int, int]:
    """Rows and repeats."""
    rows = min(rows, _MOST_ROWS)
    repeats = max(1, min(_REPEATS, _ANSWERS // (features * rows)))
    return max(min(rows, _LEAST_ROWS), min(rows, _ANSWERS // (features * repeats))), repeats


def _score(predictor: Predictor, arrays: Sequence[NDArray[Any]], truth: NDArray[Any]) -> float:
    manifest, found = predictor.manifest, predictor.model.predict(arrays)
    values = manifest.prediction.values
    if values is None:
        return float(r2_score(truth, found.raw))
    if found.probabilities is not None and len(values) == 2 and len(np.unique(truth)) == 2:
        return float(roc_auc_score(truth, found.probabilities[:, 1]))
    # By type too: to a list, true is 1 and 1.0 is 1.
    indices = {(type(value), value): index for index, value in enumerate(values)}
    predicted = [indices[type(value), value] for value in decide(manifest, found)]
    return float(f1_score(truth, predicted, average="macro", zero_division=0))
