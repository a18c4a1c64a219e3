"""Which columns are features, of which type, and how rows become matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from redstart.api.v1alpha1.training_job import TrainingJobSpec
from redstart.artifacts.manifest import Label
from redstart.trainer.errors import TrainingError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_CATEGORIES = 1000
"""Distinct values of one column: each becomes a column of the encoded matrix."""

_MAX_CLASSES = 1000


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """`; did you mean ...?` where a known name is close, else an empty string."""
    close = get_close_matches(name, known, n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def require(field: str, names: Sequence[str], known: Sequence[str]) -> None:
    """Every name is a known column.

    Raises:
        TrainingError: ColumnMissing, naming the field, the column and close names.
    """
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known) or f"; there are {', '.join(known[:20])}"
            raise TrainingError("ColumnMissing", f"{field}: there is no column {name}{hint}")


@dataclass(frozen=True)
class Feature:
    """A column that the model sees."""

    name: str
    type: Literal["Number", "Category"]


@dataclass(frozen=True)
class Roles:
    """What each named column is for; every name is known to exist."""

    features: tuple[Feature, ...]
    target: str
    time: str | None
    group: str | None
    sensitive: tuple[str, ...]

    @property
    def numbers(self) -> list[str]:
        return [feature.name for feature in self.features if feature.type == "Number"]

    @property
    def categories(self) -> list[str]:
        return [feature.name for feature in self.features if feature.type == "Category"]


def assign_roles(rows: pl.DataFrame, spec: TrainingJobSpec, order: Sequence[str] = ()) -> Roles:
    """Decide what each column is for.

    Args:
        order: Inputs of the version before. Clients that send lists rely on their order, so it is kept; what is new
            comes after them, in the order of the columns.

    Raises:
        TrainingError: ColumnMissing, ColumnUnusable or NoFeatures, naming field and column.
    """
    known = rows.columns
    data, dataset = spec.data, spec.prepare.dataset
    require("data.target", [data.target], known)
    require("data.time", [data.time] if data.time else [], known)
    require("data.sensitive", data.sensitive, known)
    if spec.split.group:
        require("split.group", [spec.split.group], known)
        if not is_usable(kind := rows.schema[spec.split.group]):
            raise TrainingError(
                "ColumnUnusable",
                f"split.group: {spec.split.group} holds {kind}; name a column of text, numbers or times",
            )
    chosen = data.features
    require("data.features.include", (chosen and chosen.include) or [], known)
    require("data.features.exclude", (chosen and chosen.exclude) or [], known)
    never = {data.target, data.time, spec.split.group, *data.sensitive}
    if chosen and chosen.include:
        if wrong := [name for name in chosen.include if name in never]:
            raise TrainingError(
                "ColumnUnusable",
                f"data.features.include: {wrong[0]} is the target, time, group or a sensitive column, "
                "which are never features",
            )
        names = [name for name in known if name in chosen.include]
    else:
        left_out = never | set((chosen and chosen.exclude) or [])
        names = [name for name in known if name not in left_out]
    if not names:
        raise TrainingError("NoFeatures", "data.features: no column is left to learn from")
    place = {name: number for number, name in enumerate(order)}
    names.sort(key=lambda name: place.get(name, len(place)))
    expected = spec.data.expect.columns if spec.data.expect else {}
    features = tuple(
        Feature(name, _feature_type(rows[name], expected[name].type if name in expected else None))
        for name in names
    )
    if dataset.forward_fill:
        require("prepare.dataset.forwardFill.columns", dataset.forward_fill.columns, names)
        group_by = dataset.forward_fill.group_by
        require("prepare.dataset.forwardFill.groupBy", [group_by] if group_by else [], known)
    require("prepare.dataset.dropMissing", dataset.drop_missing or [], names)
    require("prepare.model.impute", list(spec.prepare.model.impute), names)
    return Roles(features, data.target, data.time, spec.split.group, tuple(data.sensitive))


def is_usable(kind: pl.DataType) -> bool:
    """Whether a column of this type can be more than carried along: lists, structs, bytes and durations cannot."""
    return not (kind.is_nested() or kind in (pl.Binary, pl.Object, pl.Duration))


def _feature_type(values: pl.Series, expected: str | None) -> Literal["Number", "Category"]:
    kind = values.dtype
    if kind == pl.Null:
        raise TrainingError("ColumnUnusable", f"column {values.name} holds no values; exclude it")
    if not is_usable(kind):
        raise TrainingError("ColumnUnusable", f"column {values.name} holds {kind}; exclude it")
    if kind.is_temporal():
        raise TrainingError(
            "ColumnUnusable", f"column {values.name} holds times; name it as data.time or exclude it"
        )
    # Expectations were checked before, so the column can be read as what is expected of it.
    if expected == "Number" or (expected is None and (kind.is_numeric() or kind == pl.Boolean)):
        return "Number"
    return "Category"


def matrix(rows: pl.DataFrame, roles: Roles) -> list[NDArray[Any]]:
    """The features as tensors: float64 [rows, numbers] with NaN where missing, and object [rows, categories] with
    "" where missing; one that would have no columns is left out."""
    tensors: list[NDArray[Any]] = []
    if roles.numbers:
        tensors.append(np.column_stack([_numbers(rows[name]) for name in roles.numbers]))
    if roles.categories:
        tensors.append(np.column_stack([texts(rows[name]) for name in roles.categories]))
    return tensors


def _numbers(values: pl.Series) -> NDArray[np.float64]:
    numbers: NDArray[np.float64] = values.cast(pl.Float64).to_numpy().astype(np.float64)
    if np.isinf(numbers).any():
        raise TrainingError(
            "ColumnUnusable", f"column {values.name} holds {int(np.isinf(numbers).sum()):,} infinite values"
        )
    return numbers


def is_whole(numbers: pl.Series) -> pl.Series:
    """Which floats are whole numbers, and small enough to be written as one (below 2^63)."""
    return (numbers % 1 == 0) & (numbers.abs() < 2.0**63)


def as_text(values: pl.Series) -> pl.Series:
    """Values as a client would write them: whole floats without a fraction, true and false in small letters."""
    if values.dtype.is_float() and is_whole(values).all():
        values = values.cast(pl.Int64)
    return values.cast(pl.String)


def texts(values: pl.Series) -> NDArray[Any]:
    """A column as an array of str, "" where missing."""
    return as_text(values).fill_null("").to_numpy().astype(object)


@dataclass(frozen=True)
class Target:
    """What is predicted: `values` are class indices (classification) or numbers; `classes` keep their JSON type,
    in the order in which scikit-learn sorts them."""

    values: NDArray[Any]
    classes: tuple[Label, ...]

    def take(self, index: NDArray[np.int64]) -> NDArray[Any]:
        return self.values[index]


def read_target(values: pl.Series, task: str) -> Target:
    """The target column, which has no missing value.

    Raises:
        TrainingError: TargetUnusable, naming the column.
    """
    name, kind = values.name, values.dtype
    if task == "Regression":
        if not kind.is_numeric():
            raise TrainingError(
                "TargetUnusable", f"data.target: {name} holds {kind}, Regression needs numbers"
            )
        numbers = _numbers(values)
        if np.ptp(numbers) == 0:
            raise TrainingError("TargetUnusable", f"data.target: every value of {name} is the same")
        return Target(numbers, ())
    if kind.is_temporal() or not is_usable(kind):
        raise TrainingError("TargetUnusable", f"data.target: {name} holds {kind}, which is no class")
    if kind.is_float() and bool((values % 1 != 0).any()):
        raise TrainingError(
            "TargetUnusable",
            f"data.target: {name} holds fractions, which are no classes; use task: Regression",
        )
    classes, codes = np.unique(values.to_numpy(), return_inverse=True)
    if not 2 <= len(classes) <= _MAX_CLASSES:
        raise TrainingError(
            "TargetUnusable",
            f"data.target: {name} has {len(classes):,} distinct values; "
            f"Classification needs 2 to {_MAX_CLASSES:,}",
        )
    return Target(codes.astype(np.int64), tuple(classes.tolist()))
