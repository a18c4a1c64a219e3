"""From the rows as read to the two parts that are learned from and evaluated on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from redstart.api.v1alpha1.training_job import TrainingJobSpec
from redstart.trainer import dataset, expectations, suspicions
from redstart.trainer.columns import MAX_CATEGORIES, Roles, assign_roles, matrix
from redstart.trainer.errors import TrainingError
from redstart.trainer.findings import Finding, Kind, near_equal_labels, of_cells, quoted
from redstart.trainer.fitting import Learnable, matrix_of
from redstart.trainer.progress import say
from redstart.trainer.splitting import Parts, groups_of, split
from redstart.trainer.target import Target, read_target, without_words
from redstart.trainer.text_columns import CellCounts

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
    findings: tuple[Finding, ...] = ()


def prepare(
    rows: pl.DataFrame,
    spec: TrainingJobSpec,
    order: Sequence[str] = (),
    counts: Mapping[str, CellCounts] | None = None,
    found: Sequence[Finding] = (),
) -> Prepared:
    """Duplicates, expectations, missing rows, order of time, split, fill within part and group.

    Args:
        order, counts: As in `assign_roles`.
        found: What reading the rows found.

    Raises:
        TrainingError: naming column, rule and count.
    """
    read, counts = rows.height, counts or {}
    wanted = spec.prepare.dataset
    findings = list(found)
    if wanted.drop_duplicates:
        rows = dataset.without_duplicates(rows)
        findings += _dropped("DuplicateRows", "", read - rows.height, "repeat an earlier one in every column")
    target_name = spec.data.target
    if target_name in rows.columns:
        rows = rows.with_columns(
            without_words(rows[target_name], spec, counts.get(target_name, CellCounts()))
        )
    if spec.data.expect:
        expectations.check(rows, spec.data.expect)
    roles = assign_roles(rows, spec, order, counts)
    for name in dict.fromkeys([*roles.numbers, *roles.categories, roles.target]):
        findings += of_cells(name, counts.get(name, CellCounts()))
    findings += suspicions.index_columns(rows, roles)
    known = rows
    for name in dict.fromkeys([roles.target, *(wanted.drop_missing or [])]):
        rest = known.filter(known[name].is_not_null())
        kind: Kind = "MissingTarget" if name == roles.target else "MissingValues"
        findings += _dropped(kind, name, known.height - rest.height, f"have no {name}")
        known = rest
    if known.is_empty():
        raise TrainingError("NoRows", "prepare.dataset: no row is left")
    known = dataset.in_order_of_time(known, roles)
    target = read_target(known[roles.target], spec.task)
    parts = split(known, roles, target, spec.split)
    train = part_of(known, roles, target, parts.train, spec)
    test = part_of(known, roles, target, parts.test, spec)
    _learnable(train, roles)
    findings += _dropped(
        "InGap",
        roles.time or "",
        known.height - train.rows - test.rows,
        "lie within split.gap before the cut-off",
    )
    findings += _near_equal(target, roles.target)
    findings += suspicions.of_columns(known, roles)
    findings += suspicions.leakage(known[parts.train], roles, train.learnable.target, len(target.classes))
    for finding in findings:
        say("found", finding.message)
    say("split", f"{spec.split.strategy}: {train.rows:,} rows to learn from, {test.rows:,} held out")
    return Prepared(known, roles, target, parts, train, test, read, tuple(findings))


def _dropped(kind: Kind, column: str, count: int, why: str) -> list[Finding]:
    return [Finding(column, kind, count, (), f"{count:,} rows {why}: dropped")] if count else []


def _near_equal(target: Target, name: str) -> Iterator[Finding]:
    for group in near_equal_labels(target.labels()):
        yield Finding(
            name,
            "NearEqualLabels",
            len(group),
            group,
            f"{name} has classes that differ in the size of letters or in blanks only: {quoted(group)}",
        )


def part_of(
    rows: pl.DataFrame, roles: Roles, target: Target, chosen: NDArray[np.int64], spec: TrainingJobSpec
) -> Part:
    part = dataset.filled(rows[chosen], spec.prepare.dataset.forward_fill)
    tensors = matrix(part, roles)
    return Part(tensors, Learnable(matrix_of(tensors), target.take(chosen), groups_of(part, roles)))


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
