"""What is predicted: the target's column as class indices or numbers, and the questions that are asked about it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from redstart.api.v1alpha1.training_job import TrainingJobSpec
from redstart.artifacts import cells
from redstart.artifacts.manifest import Label
from redstart.trainer.columns import is_usable, is_whole, numbers_of, why_too_large, why_unreadable
from redstart.trainer.errors import TrainingError
from redstart.trainer.findings import examples, quoted
from redstart.trainer.text_columns import CellCounts

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAX_CLASSES = 1000


@dataclass(frozen=True)
class Target:
    """What is predicted: `values` are class indices (classification) or numbers; `classes` keep their JSON type,
    in the order in which scikit-learn sorts them."""

    values: NDArray[Any]
    classes: tuple[Label, ...]

    def take(self, index: NDArray[np.int64]) -> NDArray[Any]:
        return self.values[index]

    def labels(self) -> list[str]:
        """Classes of text."""
        return [label for label in self.classes if isinstance(label, str)]


def without_words(values: pl.Series, spec: TrainingJobSpec, counts: CellCounts) -> pl.Series:
    """The target without the words that mean no value in features, where the spec says that rows without a target
    may be dropped or lists the words among the values.

    Raises:
        TrainingError: TargetUnusable, asking what such words are, or naming what is neither number nor missing.
    """
    name = spec.data.target
    expected = spec.data.expect.columns.get(name) if spec.data.expect else None
    if values.dtype != pl.String:
        return values
    known = set(expected.values or []) if expected else set()
    if not known and (expected is None or expected.type != "Category"):
        _check_numbers(name, spec.task, counts)
    words = Counter(
        {
            text: count
            for text, count in values.drop_nulls().value_counts(name="cells").iter_rows()
            if text not in known and cells.is_missing(text)
        }
    )
    # Words of a file that holds no other targets were read as missing.
    asked = words + counts.missing
    if asked and name not in (spec.prepare.dataset.drop_missing or []):
        told = ", ".join(f"{text!r} ({asked[text]:,})" for text in examples(asked))
        raise TrainingError(
            "TargetUnusable",
            f"data.target: {asked.total():,} cells of {name} hold words that mean no value in features: {told}; if "
            f"they are classes, list them with the others in data.expect.columns.{name}.values, and if they are not, "
            f"name {name} in prepare.dataset.dropMissing to drop these rows",
        )
    return values.set(values.is_in(list(words)).fill_null(False), None) if words else values


def _check_numbers(name: str, task: str, counts: CellCounts) -> None:
    if counts.numbers and task == "Regression":
        others = counts.others.total()
        raise TrainingError(
            "TargetUnusable",
            f"data.target: {others:,} of {counts.numbers + others:,} cells of {name} are no numbers, such as "
            f"{quoted(examples(counts.others))}; Regression needs numbers",
        )
    if reason := why_unreadable(name, counts):
        raise TrainingError("TargetUnusable", f"data.target: {reason}")


def read_target(values: pl.Series, task: str) -> Target:
    """The target column, which has no missing value.

    Raises:
        TrainingError: TargetUnusable, naming the column.
    """
    name, kind = values.name, values.dtype
    if reason := why_too_large(values):
        raise TrainingError("TargetUnusable", f"data.target: {reason}")
    if task == "Regression":
        if not kind.is_numeric():
            raise TrainingError(
                "TargetUnusable", f"data.target: {name} holds {kind}, Regression needs numbers"
            )
        numbers = numbers_of(values)
        if np.ptp(numbers) == 0:
            raise TrainingError("TargetUnusable", f"data.target: every value of {name} is the same")
        return Target(numbers, ())
    if kind.is_temporal() or not is_usable(kind):
        raise TrainingError("TargetUnusable", f"data.target: {name} holds {kind}, which is no class")
    if kind.is_float():
        values = _whole_numbers(values)
    classes, codes = np.unique(values.to_numpy(), return_inverse=True)
    if len(classes) == 1:
        raise TrainingError(
            "TargetUnusable",
            f"data.target: every value of {name} is {classes[0]!s:.40}; Classification needs two classes or more",
        )
    if len(classes) > _MAX_CLASSES:
        raise TrainingError(
            "TargetUnusable",
            f"data.target: {name} has {len(classes):,} distinct values; "
            f"Classification needs 2 to {_MAX_CLASSES:,}",
        )
    return Target(codes.astype(np.int64), tuple(classes.tolist()))


def _whole_numbers(values: pl.Series) -> pl.Series:
    """Labels that stand as 0.0 and 1.0 in a file, as pandas writes whole numbers among which one is missing."""
    if not is_whole(values).all():
        raise TrainingError(
            "TargetUnusable",
            f"data.target: {values.name} holds fractions, or numbers too large to be whole, which are no classes; use "
            "task: Regression",
        )
    return values.cast(pl.Int64)
