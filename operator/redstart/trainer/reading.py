"""Reads the rows: files are copied and digested first, so that known data is never even parsed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl
from polars import selectors

from redstart.api.v1alpha1.training_job import Data, Source, SourceFormat
from redstart.artifacts import storage
from redstart.artifacts.cells import BLANKS, Decimal
from redstart.artifacts.dialect import DialectError, Format
from redstart.artifacts.header import HeaderError, header
from redstart.artifacts.storage import Opened, StoreError
from redstart.trainer.columns import as_text, is_whole
from redstart.trainer.csv_files import read_csv
from redstart.trainer.errors import TrainingError
from redstart.trainer.findings import Finding, examples, quoted
from redstart.trainer.text_columns import UNDECLARED, CellCounts, Declared, read_text
from redstart.trainer.times import could_have_the_month_first

_CSV = (".csv", ".csv.gz")
_PARQUET = (".parquet", ".pq")
_PAGE = (b"<!doctype html", b"<html")


Kind = Literal["CSV", "Parquet"]

_MEDIA: dict[str, Kind] = {
    "text/csv": "CSV",
    "application/csv": "CSV",
    "application/vnd.apache.parquet": "Parquet",
    "application/x-parquet": "Parquet",
}


@dataclass(frozen=True)
class DataFile:
    """A file of rows, copied to `path`; `uri` says where it comes from, without its query, `source` which of
    data.sources names it, and `format` what that says of its CSV files."""

    uri: str
    path: Path
    kind: Kind
    source: int = 0
    format: SourceFormat | None = None


@dataclass(frozen=True)
class Reading:
    """All rows, what became of the cells of each column of text, and what was found of the files."""

    rows: pl.DataFrame
    cells: dict[str, CellCounts]
    findings: tuple[Finding, ...] = ()


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
        for number, source in enumerate(sources):
            secret = source.secret_ref.name if source.secret_ref else None
            for found in storage.matches(storage.locate(source.uri, secret=secret)):
                opened = storage.opened(found)
                kind = _kind_of(found.uri, opened, source.format)
                _check_format(found.uri, kind, number, source.format)
                file = DataFile(found.uri, folder / f"{len(files):06d}", kind, number, source.format)
                whole.update(_copy(found.uri, opened, file.path))
                files.append(file)
    except StoreError as error:
        if error.reason == "NotFound":
            raise TrainingError("SourceNotFound", f"data.sources: {error}") from error
        raise
    return files, f"sha256:{whole.hexdigest()}"


def _kind_of(uri: str, opened: Opened, format: SourceFormat | None) -> Kind:
    """By the ending of the path, else by that of the name or by the type that a web server tells, or CSV where its
    format is given."""
    for name in (uri.split("?", 1)[0] if uri.startswith("http") else uri, opened.name):
        if name.lower().endswith(_CSV):
            return "CSV"
        if name.lower().endswith(_PARQUET):
            return "Parquet"
    if opened.media in _MEDIA:
        return _MEDIA[opened.media]
    if format is not None:
        return "CSV"
    told = "; or give data.sources.format, for instance {separator: ','}, where it is CSV"
    if uri.startswith("http"):
        told += (
            f" (nor does the server tell it, by a name in Content-Disposition or a Content-Type of "
            f"{' or '.join(_MEDIA)})"
        )
    raise TrainingError(
        "SourceInvalid",
        f"data.sources: {uri} must end in {', '.join(_CSV + _PARQUET)}; its ending says its kind{told}",
    )


def _check_format(uri: str, kind: Kind, source: int, format: SourceFormat | None) -> None:
    if format is not None and kind != "CSV":
        raise TrainingError(
            "SourceInvalid",
            f"data.sources[{source}].format: {uri} is Parquet, which says itself how it is written; name CSV and "
            "Parquet in sources of their own",
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


def declared_columns(data: Data) -> dict[str, Declared]:
    """What the spec says of columns before they are read. The time has no type but its own."""
    expected = data.expect.columns if data.expect else {}
    return {
        name: Declared(
            type=expected[name].type if name in expected and name != data.time else None,
            values=frozenset((expected[name].values or []) if name in expected and name != data.time else []),
            target=name == data.target,
            sensitive=name in data.sensitive,
        )
        for name in {*expected, data.target, *data.sensitive}
    }


def read_rows(files: Sequence[DataFile], declared: Mapping[str, Declared] | None = None) -> Reading:
    """All rows, in order.

    Raises:
        TrainingError: SourceInvalid (a file cannot be parsed), SchemaMismatch (naming file and column), NoRows.
    """
    declared = declared or {}
    read = [_read(file, declared) for file in files]
    first = read[0].rows
    for file, reading in zip(files[1:], read[1:], strict=True):
        _same_columns(files[0], first, file, reading.rows)
    # polars makes a table's schema anew each time that it is asked: for each of many columns, most of the reading.
    schemas = [reading.rows.schema for reading in read]
    types = {
        name: _common_type(
            name, files, read, [schema[name] for schema in schemas], declared.get(name, UNDECLARED)
        )
        for name in first.columns
    }
    rows = pl.concat([reading.rows[first.columns].cast(types) for reading in read])  # type: ignore[arg-type]
    if rows.is_empty():
        raise TrainingError("NoRows", f"{_list(file.uri for file in files)}: no rows")
    counts = {
        name: sum((reading.cells.get(name, CellCounts()) for reading in read), CellCounts())
        for name in first.columns
    }
    return Reading(rows, counts, tuple(finding for reading in read for finding in reading.findings))


def _read(file: DataFile, declared: Mapping[str, Declared]) -> Reading:
    try:
        frame, decimal, findings = _csv(file) if file.kind == "CSV" else _parquet(file)
    except HeaderError as error:
        raise TrainingError("SourceInvalid", f"{file.uri}: {error}") from error
    except DialectError as error:
        mend = f"; set data.sources[{file.source}].format.{error.field}" if error.field else ""
        if error.value:
            mend += f", for instance to {error.value!r}"
        raise TrainingError("SourceInvalid", f"{file.uri} cannot be read: {error}{mend}") from error
    except (pl.exceptions.PolarsError, OSError) as error:
        line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise TrainingError("SourceInvalid", f"{file.uri} cannot be read: {_without_cells(line)}") from error
    # From here on text is String, and numbers are whole numbers or floats. Numbers are NaN where they are missing in
    # Parquet written from pandas; from here on, missing is null.
    frame = frame.with_columns(
        (selectors.categorical() | selectors.enum()).cast(pl.String),
        selectors.decimal().cast(pl.Float64),
        selectors.float().fill_nan(None),
    )
    counts: dict[str, CellCounts] = {}
    columns, height = [], frame.height
    for name in frame.columns:
        # The text of a column is let go when its values are known.
        values = frame.drop_in_place(name)
        column = declared.get(values.name, UNDECLARED)
        if values.dtype == pl.String:
            found, counts[values.name] = read_text(values, column, decimal)
            if found.dtype.is_temporal() and could_have_the_month_first(values.filter(found.is_not_null())):
                findings = (*findings, _day_first(values.name, len(values)))
        else:
            found = _as_category(values) if column.is_category else values
        # A column without a single value says nothing of its type: another file may.
        columns.append(found.cast(pl.Null) if found.null_count() == height else found)
    return Reading(pl.DataFrame(columns), counts, findings)


def _day_first(name: str, count: int) -> Finding:
    told = f"{name} was read with the day first, and every value could have the month first: write it as 2026-01-31"
    return Finding(name, "Guessed", count, (), told)


def _csv(file: DataFile) -> tuple[pl.DataFrame, Decimal, tuple[Finding, ...]]:
    said = file.format
    known = Format(said.separator, said.decimal, said.encoding) if said else Format()
    read = read_csv(file.path, known)
    findings = []
    if read.guessed:
        told = f"{file.uri} was read as {', '.join(read.guessed)}; if that is wrong, set "
        findings.append(Finding("", "Guessed", 1, (), f"{told}data.sources[{file.source}].format"))
    if read.blank:
        told = f"{read.blank:,} lines of {file.uri} hold nothing and are no rows"
        findings.append(Finding("", "BlankLines", read.blank, (), told))
    return read.cells, read.decimal, (*findings, *_stripped(file, read.stripped))


def _parquet(file: DataFile) -> tuple[pl.DataFrame, Decimal, tuple[Finding, ...]]:
    names, stripped = header(list(pl.read_parquet_schema(file.path)), of_text=False)
    frame = pl.read_parquet(file.path)
    return frame.rename(dict(zip(frame.columns, names, strict=True))), ".", _stripped(file, stripped)


def _stripped(file: DataFile, stripped: Sequence[str]) -> tuple[Finding, ...]:
    return tuple(
        Finding(
            name.strip(BLANKS), "Changed", 1, (), f"the name {name!r} in {file.uri} lost the blanks around it"
        )
        for name in stripped
    )


def _without_cells(line: str) -> str:
    """What polars says without the cell that it says it of: its column may be a sensitive one."""
    return re.sub(r"`[^`]*`?", "a value", line)


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


def _common_type(
    name: str,
    files: Sequence[DataFile],
    read: Sequence[Reading],
    kinds: Sequence[pl.DataType],
    declared: Declared,
) -> pl.DataType:
    common: pl.DataType = pl.Null()
    since = 0
    for at, (reading, kind) in enumerate(zip(read, kinds, strict=True)):
        if kind in (common, pl.Null):
            continue
        if common == pl.Null:
            common, since = kind, at
        elif kind.is_numeric() and common.is_numeric():
            common = pl.Int64() if kind.is_integer() and common.is_integer() else pl.Float64()
        elif kind.is_temporal() and common.is_temporal() and pl.Time not in (kind, common):
            common = pl.Datetime("us")
        else:
            if all(_is_truth(reading.rows[name]) for reading in read):
                return pl.Boolean()
            here, there = (
                _described(name, kind, reading, declared),
                _described(name, common, read[since], declared),
            )
            raise TrainingError(
                "SchemaMismatch",
                f"column {name} is {here} in {files[at].uri} and {there} in {files[since].uri}",
            )
    return common


def _is_truth(values: pl.Series) -> bool:
    """Whether a file's column may be one of booleans: 1 and 0 may, among true and false of other files."""
    kind = values.dtype
    return kind in (pl.Null, pl.Boolean) or bool(kind.is_numeric() and ((values == 0) | (values == 1)).all())


def _described(name: str, kind: pl.DataType, reading: Reading, declared: Declared) -> str:
    if kind == pl.String:
        counts = reading.cells[name]
        if not counts.numbers:
            return "text"
        others = counts.others.total()
        told = "" if declared.sensitive else f", such as {quoted(examples(counts.others))}"
        return f"text ({others:,} of {counts.numbers + others:,} values are no numbers{told})"
    if kind.is_numeric():
        return "numbers"
    return "true/false" if kind == pl.Boolean else str(kind)


def _list(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(every[:5]) + (f" and {len(every) - 5} more" if len(every) > 5 else "")
