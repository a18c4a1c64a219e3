"""CSV files of any dialect become columns of text: what is not plain UTF-8 is first written so, piece by piece."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import polars as pl

from redstart.artifacts import dialect as dialects
from redstart.artifacts.cells import Decimal
from redstart.artifacts.dialect import BEGINNING, Dialect, DialectError, Format
from redstart.artifacts.header import header

_CHUNK = 1 << 20  # bytes held at a time
_LONGEST_HEADER = 16 * BEGINNING
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class CsvRows:
    """The text of each cell, null where there is none; `stripped` are names that had blanks around them, `blank`
    counts the lines that hold nothing, which are no rows."""

    cells: pl.DataFrame
    decimal: Decimal
    guessed: tuple[str, ...]
    stripped: tuple[str, ...]
    blank: int


def read_csv(path: Path, known: Format) -> CsvRows:
    """Read a file, which may be packed by gzip. The file is taken over: it may be written anew.

    Raises:
        DialectError: it is written in no way that is known, or is damaged.
        HeaderError: its names cannot be used.
        polars.exceptions.PolarsError: it has more fields in a line than in its header.
    """
    with _damaged():
        with _unpacked(path) as (stream, packed):
            beginning = stream.read(BEGINNING)
            while (
                len(beginning) < _LONGEST_HEADER and b"\n" not in beginning and (more := stream.read(_CHUNK))
            ):
                beginning += more
            complete = not (following := stream.read(1))
            dialect = dialects.recognise(beginning, complete=complete, known=known)
        names, stripped = header(dialect.header)
        _check_or_write(path, dialect, write=packed or not dialect.is_plain)
    del following
    cells = pl.read_csv(
        path,
        infer_schema=False,
        separator=dialect.separator,
        skip_lines=dialect.preamble,
        # Else polars would name what stands there twice itself.
        new_columns=names,
    )
    if cells.width != len(names):
        raise DialectError(f"its header has {len(names)} names for {cells.width} columns")
    _no_short_lines(path, dialect, cells)
    rows = cells if cells.width == 1 else cells.filter(~pl.all_horizontal(pl.all().is_null()))
    return CsvRows(rows, dialect.decimal, dialect.guessed, tuple(stripped), cells.height - rows.height)


@contextmanager
def _damaged() -> Iterator[None]:
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DialectError(f"its gzip cannot be unpacked: {error}") from error


@contextmanager
def _unpacked(path: Path) -> Iterator[tuple[IO[bytes], bool]]:
    """The bytes of a file, and whether it was packed."""
    with path.open("rb") as raw:
        packed = raw.read(2) == _GZIP
        raw.seek(0)
        if not packed:
            yield raw, False
            return
        with gzip.open(raw) as stream:
            yield stream, True  # type: ignore[misc]


def _check_or_write(path: Path, dialect: Dialect, *, write: bool) -> None:
    """Every byte is text in the file's encoding; where polars cannot read it as it is, it is written as UTF-8."""
    with _unpacked(path) as (stream, _):
        text = dialects.decoded(iter(lambda: stream.read(_CHUNK), b""), dialect)
        if not write:
            for _piece in text:
                pass
            return
        plain = path.with_suffix(".utf-8")
        with plain.open("wb") as out:
            for piece in text:
                out.write(piece.encode())
    plain.replace(path)


def _no_short_lines(path: Path, dialect: Dialect, cells: pl.DataFrame) -> None:
    """Polars takes lines that end too early, as the last one of a file that was cut off, as if their last cells were
    empty. Lines with quotes are not judged: a separator in them may be text."""
    if cells.width == 1 or not cells[:, -1].null_count():
        return
    lines = pl.read_csv(
        path,
        infer_schema=False,
        has_header=False,
        quote_char=None,
        separator="\x00",
        skip_lines=dialect.preamble,
        new_columns=["line"],
        truncate_ragged_lines=True,
    )["line"]
    if lines.str.contains('"', literal=True).any():
        return
    fields = lines.str.count_matches(dialect.separator, literal=True) + 1
    short = ((fields < cells.width) & (lines.str.strip_chars() != "")).fill_null(False)
    if short.any():
        at = int(short.arg_max() or 0)
        raise DialectError(
            dialects.uneven(at + 1 + dialect.preamble, int(fields[at]), cells.width, dialect.separator)
        )
