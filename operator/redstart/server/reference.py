"""Checks that the loaded model answers the reference rows as it did when it was exported; this also warms it up."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from redstart.artifacts.manifest import Answer, Manifest
from redstart.artifacts.manifest import Reference as ReferenceRows
from redstart.artifacts.predictor import Model
from redstart.server.inference import Answers, ModelError, answer
from redstart.server.rows import InputError, RowDecoder
from redstart.sidecar.report import Reference

if TYPE_CHECKING:
    from collections.abc import Sequence

WARM_UP = 16
"""Rows that are also asked one by one, the way that clients mostly ask."""


def check(manifest: Manifest, model: Model, decoder: RowDecoder, reference: ReferenceRows) -> Reference:
    """Ask the reference rows as a client would, and compare the answers."""
    if not reference.rows:
        return Reference(0, 0)
    batch = _ask(manifest, model, decoder, reference.rows)
    if isinstance(batch, str):
        return Reference(len(reference.rows), len(reference.rows), batch)
    mismatched: dict[int, str] = {}
    for index, (row, wanted) in enumerate(zip(reference.rows, reference.answers, strict=True)):
        if difference := compare(manifest, wanted, batch, index):
            mismatched[index] = describe(index, row, difference)
    for index, row in enumerate(reference.rows[:WARM_UP]):
        alone = _ask(manifest, model, decoder, [row])
        difference = (
            alone if isinstance(alone, str) else compare(manifest, reference.answers[index], alone, 0)
        )
        if difference:
            mismatched.setdefault(index, describe(index, row, difference))
    first = mismatched[min(mismatched)] if mismatched else None
    return Reference(len(reference.rows), len(mismatched), first)


def _ask(
    manifest: Manifest, model: Model, decoder: RowDecoder, rows: Sequence[dict[str, Any]]
) -> Answers | str:
    try:
        found = answer(manifest, model, decoder.decode(msgspec.json.encode({"rows": rows})).tensors)
    except InputError as error:
        return f"the server refuses the reference rows: {error}"
    except ModelError as error:
        return f"the model fails on the reference rows: {error}"
    if len(found.predictions) != len(rows):
        return f"the model gives {len(found.predictions)} answers to {len(rows)} rows"
    return found


def compare(manifest: Manifest, wanted: Answer, found: Answers, index: int) -> str | None:
    """How answer `index` differs from the wanted one beyond the tolerance, in words; None when it does not.

    Numbers may differ by 1e-5 + 1e-4·|value|; labels only where the wanted probabilities are nearer to each
    other (or to the threshold) than that.
    """
    prediction = found.predictions[index]
    if wanted.probabilities is not None:
        if found.probabilities is None or len(found.probabilities[index]) != len(wanted.probabilities):
            return f"expected {len(wanted.probabilities)} probabilities"
        for got, probability in zip(found.probabilities[index], wanted.probabilities, strict=True):
            if not near(got, probability):
                return f"expected probabilities {wanted.probabilities}, got {found.probabilities[index]}"
    if manifest.task == "Regression":
        equal = near(float(prediction), float(wanted.prediction))
    else:
        equal = type(prediction) is type(wanted.prediction) and prediction == wanted.prediction
    if equal or (wanted.probabilities is not None and _margin_is_small(manifest, wanted.probabilities)):
        return None
    return f"expected prediction {wanted.prediction!r}, got {prediction!r}"


def near(found: float, wanted: float) -> bool:
    """Whether two numbers are equal within 1e-5 + 1e-4·|wanted|."""
    return math.isclose(found, wanted, rel_tol=0, abs_tol=1e-5 + 1e-4 * abs(wanted))


def _margin_is_small(manifest: Manifest, probabilities: Sequence[float]) -> bool:
    if manifest.threshold is not None:
        return near(probabilities[manifest.threshold.positive], manifest.threshold.value)
    top = sorted(probabilities)[-2:]
    return near(top[0], top[-1])


def describe(index: int, row: dict[str, Any], difference: str, limit: int = 1000) -> str:
    """The mismatch with the row it is about, cut to `limit` characters."""
    text = f"reference row {index}: {difference}; the row is {msgspec.json.encode(row).decode()}"
    return text if len(text) <= limit else text[: limit - 3] + "..."
