"""Reads the rows: files are copied and digested first, so that known data is never even parsed."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl
from polars import selectors

from redstart.api.v1alpha1.training_job import Data, Source
from redstart.artifacts import storage
from redstart.artifacts.storage import Opened, StoreError
from redstart.trainer import text_columns
from redstart.trainer.columns import as_text, is_whole
from redstart.trainer.errors import TrainingError
from redstart.trainer.times import times

_CSV = (".csv", ".csv.gz")
_PARQUET = (".parquet", ".pq")
_PAGE = (b"<!doctype html", b"<html")
_LONGEST_NAME = 128  # characters of a column's name, in the API too


Kind = Literal["CSV", "Parquet"]

_MEDIA: dict[str, Kind] = {
    "text/csv": "CSV",
    "application/csv": "CSV",
    "application/vnd.apache.parquet": "Parquet",
    "application/x-parquet": "Parquet",
}


@dataclass(frozen=True)
class DataFile:
    """A file of rows, copied to `path`; `uri` says where it comes from, without its query."""

    uri: str
    path: Path
    kind: Kind


def copy_files(sources: Sequence[Source], folder: Path) -> tuple[list[DataFile], str]:
    """Copy every file of the sources, in order, into `folder`.

    Returns:
        The files, and the data digest: sha256 over the sha256 of each file's bytes, in order.

    Raises:
        TrainingError: SourceNotFound, or SourceInvalid when a file is neither CSV nor Parquet.
        StoreError: a source cannot be read.
    """
    files: list[DataFile] = []
    whole = hashlib.sha256()
    try:
        for source in sources:
            secret = source.secret_ref.name if source.secret_ref else None
            for found in storage.matches(storage.locate(source.uri, secret=secret)):
                opened = storage.opened(found)
                kind = _kind_of(found.uri, opened)
                path = folder / f"{len(files):06d}"
                whole.update(_copy(found.uri, opened, path))
                files.append(DataFile(found.uri, path, kind))
    except StoreError as error:
        if error.reason == "NotFound":
            raise TrainingError("SourceNotFound", f"data.sources: {error}") from error
        raise
    return files, f"sha256:{whole.hexdigest()}"


def _kind_of(uri: str, opened: Opened) -> Kind:
    """By the ending of the path, else by that of the name or by the type that a web server tells."""
    for name in (uri.split("?", 1)[0] if uri.startswith("http") else uri, opened.name):
        if name.lower().endswith(_CSV):
            return "CSV"
        if name.lower().endswith(_PARQUET):
            return "Parquet"
    if opened.media in _MEDIA:
        return _MEDIA[opened.media]
    told = (
        f"; nor does the server tell it, by a name in Content-Disposition or a Content-Type of {' or '.join(_MEDIA)}"
        if uri.startswith("http")
        else ""
    )
    raise TrainingError(
        "SourceInvalid",
        f"data.sources: {uri} must end in {', '.join(_CSV + _PARQUET)}; its ending says its kind{told}",
    )


def _copy(uri: str, opened: Opened, path: Path) -> bytes:
    hasher = hashlib.sha256()
    begun = False
    with path.open("wb") as out:
        for chunk in opened.chunks:
            if not begun and bytes(chunk[:256]).lstrip().lower().startswith(_PAGE):
                raise TrainingError(
                    "SourceInvalid",
                    f"data.sources: {uri} answers with a web page (HTML), not with rows; is a login needed, or is this "
                    "the page about the file?",
                )
            begun = True
            hasher.update(chunk)
            out.write(chunk)
    return hasher.digest()


def expected_categories(data: Data) -> set[str]:
    """The columns to read as text: those expected to be categories, but for the target, which keeps its type, and
    the time."""
    expected = data.expect.columns if data.expect else {}
    return {name for name, column in expected.items() if column.type == "Category"} - {data.target, data.time}


def read_rows(files: Sequence[DataFile], categories: Collection[str] = ()) -> pl.DataFrame:
    """All rows, in order.

    Args:
        categories: Columns to read as text where they hold text, booleans or whole numbers; cells of a CSV file keep
            the zeros that they begin with.

    Raises:
        TrainingError: SourceInvalid (a file cannot be parsed), SchemaMismatch (naming file and column), NoRows.
    """
    frames = [_read(file, categories) for file in files]
    first = frames[0]
    for file, frame in zip(files[1:], frames[1:], strict=True):
        _same_columns(files[0], first, file, frame)
    types = {
        name: _common_type(name, files, [frame.schema[name] for frame in frames]) for name in first.columns
    }
    rows = pl.concat([frame.select(first.columns).cast(types) for frame in frames])  # type: ignore[arg-type]
    if rows.is_empty():
        raise TrainingError("NoRows", f"{_list(file.uri for file in files)}: no rows")
    return rows


def _read(file: DataFile, categories: Collection[str]) -> pl.DataFrame:
    csv = file.kind == "CSV"
    try:
        frame = pl.read_csv(file.path, infer_schema=False) if csv else pl.read_parquet(file.path)
    except (pl.exceptions.PolarsError, OSError) as error:
        line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise TrainingError("SourceInvalid", f"{file.uri} cannot be read: {line}") from error
    _check_names(file, frame.columns)
    # From here on text is String, and numbers are whole numbers or floats.
    frame = frame.with_columns(
        (selectors.categorical() | selectors.enum()).cast(pl.String), selectors.decimal().cast(pl.Float64)
    )
    # Numbers are NaN where they are missing in Parquet written from pandas; from here on, missing is null.
    frame = frame.with_columns(selectors.float().fill_nan(None))
    if csv:
        frame = _typed(frame, categories)
    frame = frame.with_columns(_as_category(frame[name]) for name in frame.columns if name in categories)
    # A column without a single value says nothing of its type: another file may.
    empty = [pl.col(name).cast(pl.Null) for name in frame.columns if frame[name].null_count() == frame.height]
    return frame.with_columns(empty)


def _check_names(file: DataFile, names: Sequence[str]) -> None:
    for number, name in enumerate(names, start=1):
        if not name:
            raise TrainingError(
                "SourceInvalid",
                f"{file.uri}: column {number} has no name; name it, or write the file without it (was it written "
                "with its index? pandas leaves it out with index=False)",
            )
        if len(name) > _LONGEST_NAME:
            raise TrainingError(
                "SourceInvalid",
                f"{file.uri}: the name of column {number} has {len(name):,} characters, at most {_LONGEST_NAME} are "
                "possible; give it a shorter one (is the first line a header?)",
            )


def _typed(cells: pl.DataFrame, categories: Collection[str]) -> pl.DataFrame:
    """Columns of text with their types; text of other columns than categories may be times."""
    columns = []
    for name in cells.columns:
        values = text_columns.typed(cells[name], category=name in categories)
        if values.dtype == pl.String and name not in categories and (read := times(values)) is not None:
            values = read
        columns.append(values)
    return pl.DataFrame(columns)


def _as_category(values: pl.Series) -> pl.Series:
    kind = values.dtype
    whole = kind.is_integer() or kind == pl.Boolean or (kind.is_float() and is_whole(values).all())
    return as_text(values) if whole else values


def _same_columns(first: DataFile, expected: pl.DataFrame, file: DataFile, frame: pl.DataFrame) -> None:
    if missing := [name for name in expected.columns if name not in frame.columns]:
        raise TrainingError(
            "SchemaMismatch", f"{file.uri} has no column {_list(missing)}, which {first.uri} has"
        )
    if extra := [name for name in frame.columns if name not in expected.columns]:
        raise TrainingError(
            "SchemaMismatch", f"{file.uri} has column {_list(extra)}, which {first.uri} has not"
        )


def _common_type(name: str, files: Sequence[DataFile], types: Sequence[pl.DataType]) -> pl.DataType:
    common: pl.DataType = pl.Null()
    since = files[0]
    for file, kind in zip(files, types, strict=True):
        if kind in (common, pl.Null):
            continue
        if common == pl.Null:
            common, since = kind, file
        elif kind.is_numeric() and common.is_numeric():
            common = pl.Int64() if kind.is_integer() and common.is_integer() else pl.Float64()
        elif kind.is_temporal() and common.is_temporal() and pl.Time not in (kind, common):
            common = pl.Datetime("us")
        else:
            raise TrainingError(
                "SchemaMismatch",
                f"column {name} is {_kind(kind)} in {file.uri} and {_kind(common)} in {since.uri}",
            )
    return common


def _kind(kind: pl.DataType) -> str:
    if kind == pl.String:
        return "text"
    if kind.is_numeric():
        return "numbers"
    return "true/false" if kind == pl.Boolean else str(kind)


def _list(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(every[:5]) + (f" and {len(every) - 5} more" if len(every) > 5 else "")
