"""From the rows as read to the two parts that are learned from and evaluated on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from redstart.api.v1alpha1.training_job import TrainingJobSpec
from redstart.artifacts.predictor import side_by_side
from redstart.trainer import dataset, expectations
from redstart.trainer.columns import MAX_CATEGORIES, Roles, Target, assign_roles, matrix, read_target
from redstart.trainer.errors import TrainingError
from redstart.trainer.fitting import Learnable
from redstart.trainer.progress import say
from redstart.trainer.splitting import Parts, groups_of, split

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Part:
    """The rows of one part: as tensors, as one matrix, and what is to be predicted."""

    tensors: list[NDArray[Any]]
    learnable: Learnable

    @property
    def rows(self) -> int:
        return len(self.learnable.target)


@dataclass(frozen=True)
class Prepared:
    """The rows after `prepare.dataset`, in the order of time, and what became of the others."""

    rows: pl.DataFrame
    roles: Roles
    target: Target
    parts: Parts
    train: Part
    test: Part
    read: int


def prepare(rows: pl.DataFrame, spec: TrainingJobSpec, order: Sequence[str] = ()) -> Prepared:
    """Duplicates, expectations, missing rows, order of time, split, fill within part and group.

    Args:
        order: Inputs of the version before, as in `assign_roles`.

    Raises:
        TrainingError: naming column, rule and count.
    """
    read = rows.height
    wanted = spec.prepare.dataset
    if wanted.drop_duplicates:
        rows = dataset.without_duplicates(rows)
        say("prepare", f"{read - rows.height:,} duplicate rows dropped")
    if spec.data.expect:
        expectations.check(rows, spec.data.expect)
    roles = assign_roles(rows, spec, order)
    known = dataset.without_missing(rows, roles, wanted)
    if dropped := rows.height - known.height:
        say(
            "prepare",
            f"{dropped:,} rows dropped: no {' or '.join([roles.target, *(wanted.drop_missing or [])])}",
        )
    if known.is_empty():
        raise TrainingError("NoRows", "prepare.dataset: no row is left")
    known = dataset.in_order_of_time(known, roles)
    target = read_target(known[roles.target], spec.task)
    parts = split(known, roles, target, spec.split)
    train = part_of(known, roles, target, parts.train, spec)
    test = part_of(known, roles, target, parts.test, spec)
    _learnable(train, roles)
    say("split", f"{spec.split.strategy}: {train.rows:,} rows to learn from, {test.rows:,} held out")
    return Prepared(known, roles, target, parts, train, test, read)


def part_of(
    rows: pl.DataFrame, roles: Roles, target: Target, chosen: NDArray[np.int64], spec: TrainingJobSpec
) -> Part:
    part = dataset.filled(rows[chosen], spec.prepare.dataset.forward_fill)
    tensors = matrix(part, roles)
    return Part(tensors, Learnable(side_by_side(tensors), target.take(chosen), groups_of(part, roles)))


def _learnable(train: Part, roles: Roles) -> None:
    names = roles.numbers + roles.categories
    columns = [column for tensor in train.tensors for column in tensor.T]
    for name, column in zip(names, columns, strict=True):
        if column.dtype != object:
            if np.isnan(column).all():
                raise TrainingError(
                    "ColumnUnusable", f"column {name} has no value in the training part; exclude it"
                )
        elif (distinct := len(set(column.tolist()))) > MAX_CATEGORIES:
            raise TrainingError(
                "ColumnUnusable",
                f"column {name} has {distinct:,} distinct values in {train.rows:,} rows, at most "
                f"{MAX_CATEGORIES:,} can be encoded; exclude it",
            )
