"""Rows that a user types or has in a file, as the model takes them."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from redstart.artifacts import cells
from redstart.artifacts.cells import BLANKS, CellError
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
        except ValueError as error:
            raise CliError(
                f"--row {text!r} is not JSON: {error}", """Write it as --row '{"torque": 40}'."""
            ) from error
        if not isinstance(row, dict):
            raise CliError(f"--row {text!r} is not a JSON object", """Write it as --row '{"torque": 40}'.""")
        rows.append(row)
    return rows


def read(file: Path | None, properties: Mapping[str, Any] | None) -> list[Row]:
    """Rows of a .json, .jsonl or .csv file, or of standard input, where the first character tells JSON.

    `properties` are the model's inputs as its OpenAPI document describes them: cells of a CSV file take their types
    from it. Without it they are sent as text, which the server reads by the same rules.

    Raises:
        CliError: it cannot be read, or holds no rows.
    """
    if file is not None and str(file) == "-":
        file = None
    name, ending = ("standard input", "") if file is None else (str(file), file.suffix)
    if ending not in (".json", ".jsonl", ".ndjson", ".csv", ""):
        raise CliError(f"{name}: {ending} files are not read here", "Give a .json, .jsonl or .csv file.")
    try:
        text = sys.stdin.read() if file is None else file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    is_json = text.lstrip()[:1] in ("[", "{") if ending in ("", ".json") else ending != ".csv"
    rows = _from_json(text, name) if is_json else _from_csv(text, properties)
    if not rows:
        raise CliError(f"{name} holds no rows")
    return rows


def _from_json(text: str, name: str) -> list[Row]:
    try:
        content = _loads(text)
    except ValueError as whole:
        try:
            content = [_loads(line) for line in text.splitlines() if line.strip()]
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


def _from_csv(text: str, properties: Mapping[str, Any] | None) -> list[Row]:
    return [
        {name: _cell(value, (properties or {}).get(name)) for name, value in line.items() if name}
        for line in csv.DictReader(io.StringIO(text))
    ]


def _cell(text: str | None, described: Mapping[str, Any] | None) -> Any:
    """A cell's value. A category's text is left to the server, which knows the values; and so is what is no number, to
    be refused by name."""
    if text is None or not text.strip(BLANKS):
        return None
    if described is None or "string" in described["type"]:
        return text
    try:
        return cells.number(text)
    except CellError:
        return text


def _loads(text: str) -> Any:
    return json.loads(text, parse_float=_number, parse_constant=_number)


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
