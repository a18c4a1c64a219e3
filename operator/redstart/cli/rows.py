"""Rows that a user types or has in a file, as the model takes them."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import shlex
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from redstart.artifacts import cells
from redstart.artifacts import dialect as dialects
from redstart.artifacts.cells import BLANKS, CellError, Decimal
from redstart.artifacts.dialect import BEGINNING, NOTHING_KNOWN, Dialect, DialectError, Format
from redstart.artifacts.header import HeaderError, header
from redstart.cli.errors import CliError

Row = dict[str, Any]


def typed(texts: Sequence[str]) -> list[Row]:
    """Rows given as --row.

    Raises:
        CliError: one is not a JSON object.
    """
    rows = []
    for text in texts:
        try:
            row = _loads(text)
        except _TwiceError as error:
            raise CliError(f"--row: {error}") from error
        except ValueError as error:
            raise CliError(
                f"--row {text!r} is not JSON: {error}", """Write it as --row '{"torque": 40}'."""
            ) from error
        if not isinstance(row, dict):
            raise CliError(f"--row {text!r} is not a JSON object", """Write it as --row '{"torque": 40}'.""")
        rows.append(row)
    return rows


def read(file: Path | None, properties: Mapping[str, Any] | None, known: Format = NOTHING_KNOWN) -> list[Row]:
    """Rows of a .json, .jsonl, .csv or .csv.gz file, or of standard input, where the first character tells JSON.

    `properties` are the model's inputs as its OpenAPI document describes them: cells of a CSV file take their types
    from it. Without it they are sent as text, which the server reads by the same rules. How a CSV file is written is
    recognised as the trainer does, where `known` does not say it.

    Raises:
        CliError: it cannot be read, holds no rows, or lacks inputs of the model.
    """
    if file is not None and str(file) == "-":
        file = None
    name, ending = ("standard input", "") if file is None else (str(file), _ending(file))
    if ending not in (".json", ".jsonl", ".ndjson", ".csv", ".csv.gz", ""):
        raise CliError(f"{name}: {ending} files are not read here", "Give a .json, .jsonl or .csv file.")
    try:
        content = sys.stdin.buffer.read() if file is None else file.read_bytes()
        content = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    except (OSError, EOFError, zlib.error) as error:
        raise CliError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    is_json = _begins_as_json(content) if ending in ("", ".json") else not ending.startswith(".csv")
    rows = _from_json(content, name) if is_json else _from_csv(content, name, properties, known)
    if not rows:
        raise CliError(f"{name} holds no rows")
    _complete(rows, properties or {}, name, may_omit=is_json)
    return rows


def _ending(file: Path) -> str:
    name = file.name.lower()
    return ".csv.gz" if name.endswith(".csv.gz") else Path(name).suffix


def _begins_as_json(content: bytes) -> bool:
    return content[:4096].replace(b"\0", b"").lstrip(b"\xef\xbb\xff\xfe\xbf \t\r\n")[:1] in (b"[", b"{")


def _complete(rows: Sequence[Row], properties: Mapping[str, Any], name: str, *, may_omit: bool) -> None:
    """Each input of the model is a column: one that is not there would be imputed in every row. Objects of JSON may
    omit what is not known, but not where they hold something else, which may be meant to be it."""
    there = dict.fromkeys(column for row in rows for column in row)
    if may_omit and all(column in properties for column in there):
        return
    if missing := [wanted for wanted in properties if wanted not in there]:
        close = get_close_matches(missing[0], there, n=1, cutoff=0.6)
        meant = f"Is {close[0]!r} meant to be {missing[0]}? " if close else ""
        has = ", ".join(list(there)[:10]) + (f" and {len(there) - 10} more" if len(there) > 10 else "")
        raise CliError(
            f"{name} has no {', '.join(missing)}, which the model takes; it has {has}",
            f"{meant}Write the inputs as the model names them, with empty cells or null where a value is not known.",
        )


def _from_json(encoded: bytes, name: str) -> list[Row]:
    try:
        text = encoded.decode(json.detect_encoding(encoded)).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise CliError(f"{name} cannot be read: {error}", "Write JSON in UTF-8.") from error
    try:
        content = _loads(text)
    except _TwiceError as error:
        raise CliError(f"{name}: {error}") from error
    except ValueError as whole:
        try:
            content = [_loads(line) for line in text.splitlines() if line.strip()]
        except _TwiceError as error:
            raise CliError(f"{name}: {error}") from error
        except ValueError:
            raise CliError(f"{name} is not JSON: {whole}") from whole
    if isinstance(content, dict):
        content = content.get("rows", [content])
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise CliError(
            f"{name} is not a list of rows",
            """Write [{"torque": 40}, ...], {"rows": [...]}, or one object on each line.""",
        )
    return content


def _from_csv(content: bytes, name: str, properties: Mapping[str, Any] | None, known: Format) -> list[Row]:
    try:
        dialect = dialects.recognise(content[:BEGINNING], complete=len(content) <= BEGINNING, known=known)
        names, _ = header(dialect.header)
        text = "".join(dialects.decoded([content], dialect))
        records = _records(text, dialect)
        rows = [
            {
                column: _cell(cell, (properties or {}).get(column), dialect.decimal)
                for column, cell in zip(names, record, strict=True)
            }
            for record in records
        ]
    except HeaderError as error:
        raise CliError(f"{name}: {error}") from error
    except DialectError as error:
        mend = f"Say it with --{error.field} {shlex.quote(error.value)}." if error.field else ""
        raise CliError(f"{name} cannot be read: {error}", mend) from error
    except csv.Error as error:
        raise CliError(f"{name} cannot be read: {error}") from error
    if dialect.guessed:
        print(f"{name} was read as {', '.join(dialect.guessed)}", file=sys.stderr)
    return rows


def _records(text: str, dialect: Dialect) -> Iterator[list[str]]:
    """The records below the header; lines that hold nothing are none.

    Raises:
        DialectError: one has more or fewer fields than the header.
    """
    lines = io.StringIO(text, newline="")
    for _ in range(dialect.preamble):
        lines.readline()
    width, whole = len(dialect.header), False
    for number, record in enumerate(csv.reader(lines, delimiter=dialect.separator), start=1):
        if not any(cell.strip(BLANKS) for cell in record) and (width > 1 or not record):
            continue
        if len(record) != width:
            raise DialectError(
                dialects.uneven(number + dialect.preamble, len(record), width, dialect.separator)
            )
        if whole:
            yield record
        whole = True


def _cell(text: str, described: Mapping[str, Any] | None, decimal: Decimal) -> Any:
    """A cell's value. A category's text is left to the server, which knows the values; and so is what is no number, to
    be refused by name."""
    if not text.strip(BLANKS):
        return None
    # The server takes text for numbers with a decimal point.
    if (described is None and decimal == ".") or (described is not None and "string" in described["type"]):
        return text
    try:
        return cells.number(text, decimal)
    except CellError:
        return text


class _TwiceError(ValueError):
    """An object names something twice: JSON's readers would take the last without a word."""


def _loads(text: str) -> Any:
    return json.loads(text, parse_float=_number, parse_constant=_number, object_pairs_hook=_object)


def _object(pairs: Sequence[tuple[str, Any]]) -> Row:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _TwiceError(f"{twice} stands twice in one object; write it once")
    return row


def _number(text: str) -> float | str | None:
    """NaN, which JSON has no word for, is missing; an infinity stays text, for the server to refuse by name."""
    value = float(text)
    if math.isnan(value):
        return None
    return text if math.isinf(value) else value


def known_only(rows: Sequence[Row], properties: Mapping[str, Any] | None) -> tuple[list[Row], list[str]]:
    """The rows without columns that are no inputs of the model, and the names of those columns.

    A file that the model was trained on also holds the target and columns that are no features.
    """
    if properties is None:
        return list(rows), []
    left_out = list(dict.fromkeys(name for row in rows for name in row if name not in properties))
    return [{name: value for name, value in row.items() if name in properties} for row in rows], left_out
