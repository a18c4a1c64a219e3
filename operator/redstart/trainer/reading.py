"""Reads the rows: files are copied and digested first, so that known data is never even parsed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from redstart.api.v1alpha1.training_job import Source
from redstart.artifacts import storage
from redstart.trainer.errors import TrainingError

NULLS = ["", "NA", "NaN", "nan", "null"]
"""What an unquoted cell of a CSV file may hold in place of a value."""

_CSV = (".csv", ".csv.gz")
_PARQUET = (".parquet", ".pq")


@dataclass(frozen=True)
class DataFile:
    """A file of rows, copied to `path`; `uri` says where it comes from."""

    uri: str
    path: Path


def copy_files(sources: Sequence[Source], folder: Path) -> tuple[list[DataFile], str]:
    """Copy every file of the sources, in order, into `folder`.

    Returns:
        The files, and the data digest: sha256 over the sha256 of each file's bytes, in order.

    Raises:
        TrainingError: SourceInvalid, when a file is neither CSV nor Parquet.
        StoreError: a source cannot be read.
    """
    files: list[DataFile] = []
    whole = hashlib.sha256()
    for source in sources:
        location = storage.locate(source.uri, secret=source.secret_ref.name if source.secret_ref else None)
        for found in storage.matches(location):
            _check_ending(found.uri)
            path = folder / f"{len(files):06d}"
            whole.update(_copy(found, path))
            files.append(DataFile(found.uri, path))
    return files, f"sha256:{whole.hexdigest()}"


def _check_ending(uri: str) -> None:
    if not uri.lower().endswith(_CSV + _PARQUET):
        raise TrainingError(
            "SourceInvalid",
            f"data.sources: {uri} must end in {', '.join(_CSV + _PARQUET)}; its ending says its kind",
        )


def _copy(source: storage.Location, path: Path) -> bytes:
    hasher = hashlib.sha256()
    with path.open("wb") as out:
        for chunk in storage.stream(source):
            hasher.update(chunk)
            out.write(chunk)
    return hasher.digest()


def read_rows(files: Sequence[DataFile]) -> pl.DataFrame:
    """All rows, in order.

    Raises:
        TrainingError: SourceInvalid (a file cannot be parsed), SchemaMismatch (naming file and column), NoRows.
    """
    frames = [_read(file) for file in files]
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


def _read(file: DataFile) -> pl.DataFrame:
    try:
        if file.uri.lower().endswith(_CSV):
            frame = pl.read_csv(file.path, infer_schema_length=None, null_values=NULLS, try_parse_dates=True)
        else:
            frame = pl.read_parquet(file.path)
    except (pl.exceptions.PolarsError, OSError) as error:
        line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise TrainingError("SourceInvalid", f"{file.uri} cannot be read: {line}") from error
    # A column without a single value says nothing of its type: another file may.
    empty = [pl.col(name).cast(pl.Null) for name in frame.columns if frame[name].null_count() == frame.height]
    # Numbers are NaN where they are missing in Parquet written from pandas; from here on, missing is null.
    floats = [pl.col(name).fill_nan(None) for name, kind in frame.schema.items() if kind.is_float()]
    return frame.with_columns(floats).with_columns(empty)


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
        elif _is_text(kind) and _is_text(common):
            common = pl.String()
        else:
            raise TrainingError(
                "SchemaMismatch",
                f"column {name} is {_kind(kind)} in {file.uri} and {_kind(common)} in {since.uri}",
            )
    return common


def _is_text(kind: pl.DataType) -> bool:
    return kind in (pl.String, pl.Categorical, pl.Enum)


def _kind(kind: pl.DataType) -> str:
    if _is_text(kind):
        return "text"
    if kind.is_numeric():
        return "numbers"
    return "true/false" if kind == pl.Boolean else str(kind)


def _list(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(every[:5]) + (f" and {len(every) - 5} more" if len(every) > 5 else "")
