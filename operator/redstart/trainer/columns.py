"""Which columns are features, of which type, and how rows become matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from redstart.api.v1alpha1.training_job import TrainingJobSpec
from redstart.artifacts import cells
from redstart.artifacts.cells import CellError, Decimal
from redstart.trainer.errors import TrainingError
from redstart.trainer.findings import examples, quoted
from redstart.trainer.text_columns import CellCounts

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_CATEGORIES = 1000
"""Distinct values of one column: each becomes a column of the encoded matrix."""

_MOSTLY = 0.9
_DECIMALS: dict[Decimal, str] = {",": "decimal comma", ".": "decimal point"}


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


def assign_roles(
    rows: pl.DataFrame,
    spec: TrainingJobSpec,
    order: Sequence[str] = (),
    counts: Mapping[str, CellCounts] | None = None,
) -> Roles:
    """Decide what each column is for.

    Args:
        counts: What became of the cells of columns of text.
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
    for name in names:
        declared = expected.get(name)
        if declared is None or (declared.type is None and not declared.values):
            _check_readable(name, (counts or {}).get(name))
    features = tuple(
        Feature(name, _feature_type(rows[name], expected[name].type if name in expected else None))
        for name in names
    )
    for feature in features:
        if feature.type == "Number" and (reason := why_too_large(rows[feature.name])):
            raise TrainingError("ColumnUnusable", f"column {reason}")
    if dataset.forward_fill:
        require("prepare.dataset.forwardFill.columns", dataset.forward_fill.columns, names)
        group_by = dataset.forward_fill.group_by
        require("prepare.dataset.forwardFill.groupBy", [group_by] if group_by else [], known)
    require("prepare.dataset.dropMissing", dataset.drop_missing or [], [*names, data.target])
    require("prepare.model.impute", list(spec.prepare.model.impute), names)
    return Roles(features, data.target, data.time, spec.split.group, tuple(data.sensitive))


def why_too_large(values: pl.Series) -> str | None:
    """Whether some numbers of a column are too large to be learned from, in words."""
    if not values.dtype.is_float():
        return None
    if infinite := int(values.is_infinite().sum()):
        return f"{values.name} holds {infinite:,} infinite values"
    if large := int((values.abs() > cells.LARGEST).sum()):
        return f"{values.name} holds {large:,} values beyond {cells.LARGEST:.3g} either side of 0"
    return None


def _check_readable(name: str, counts: CellCounts | None) -> None:
    if counts is not None and (reason := why_unreadable(name, counts)):
        raise TrainingError("ColumnUnusable", f"column {reason}")


def why_unreadable(name: str, counts: CellCounts) -> str | None:
    """Why text is rather a column of numbers in which some cells could not be read than one of categories: nine in ten
    cells are numbers, or all would be with another decimal sign. None where it is text."""
    others = counts.others.total()
    count = counts.numbers + others
    told = f"such as {quoted(examples(counts.others))}"
    if not others:
        return None
    for decimal, sign in _DECIMALS.items():
        if all(_reads(text, decimal) for text in counts.others):
            return (
                f"{name} has a {sign} in {others:,} of {count:,} cells, {told}, which the file's format has not; say "
                f"decimal: '{decimal}' in the format of the source, or data.expect.columns.{name}.type: Category"
            )
    if counts.numbers < _MOSTLY * count:
        return None
    return (
        f"{name} holds numbers, but for {others:,} of {count:,} cells, {told}; clean these, or say "
        f"data.expect.columns.{name}.type: Category if the column holds categories"
    )


def _reads(text: str, decimal: Decimal) -> bool:
    try:
        return cells.number(text, decimal) is not None and cells.boolean(text) is None
    except CellError:
        return False


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
        tensors.append(np.column_stack([numbers_of(rows[name]) for name in roles.numbers]))
    if roles.categories:
        tensors.append(np.column_stack([texts(rows[name]) for name in roles.categories]))
    return tensors


def numbers_of(values: pl.Series) -> NDArray[np.float64]:
    """A column of numbers, NaN where missing."""
    numbers: NDArray[np.float64] = values.cast(pl.Float64).to_numpy().astype(np.float64)
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
