"""Every way in which a cell comes into Redstart, each as a function from a cell to what the model would see."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import polars as pl
from tests.unit.trainer.specs import spec

from redstart.artifacts.manifest import CONTRACT, File, Input, Manifest, Output, Reference, Tensor
from redstart.artifacts.predictor import RowError, tensors
from redstart.cli import rows as cli_rows
from redstart.server.hints import Hints
from redstart.server.open_inference import OpenInference
from redstart.server.openapi import document
from redstart.server.rows import InputError, RowDecoder
from redstart.trainer.columns import assign_roles, matrix
from redstart.trainer.errors import TrainingError
from redstart.trainer.reading import DataFile, read_rows
from redstart.trainer.text_columns import Declared

Kind = Literal["Number", "Category"]
Outcome = float | str | None
"""A number, a category's text, None for a missing value, or REFUSED."""

REFUSED = "<refused>"

Reader = Callable[[Any, Kind, frozenset[str], Path], Outcome]

_ANCHOR = {"Number": "1.5", "Category": "anchor"}


def _manifest(kind: Kind, known: frozenset[str]) -> Manifest:
    values = sorted({*known, "anchor"}) if kind == "Category" else None
    tensor = Tensor("t", "double" if kind == "Number" else "string", ["x"])
    return Manifest(
        contract=CONTRACT,
        model="m",
        task="Regression",
        format="ONNX",
        files=[File("model.onnx", 0, "sha256:" + "0" * 64)],
        inputs=[Input("x", kind, values=values)],
        tensors=[tensor],
        outputs=[Output("prediction", "Number")],
    )


def _outcome(array: Any) -> Outcome:
    value = array[0][0, 0]
    if isinstance(value, str):
        return value or None
    return None if math.isnan(value) else float(value)


def _trained(file: DataFile, kind: Kind, known: frozenset[str]) -> Outcome:
    rows = read_rows([file], {"x": Declared(kind, known)}).rows.select("x")
    try:
        if kind == "Number" and rows["x"].dtype == pl.String:
            # What expectations refuse.
            return REFUSED
        roles = assign_roles(rows.with_columns(y=1), spec(data__target="y", data__expect=_expected(kind)))
        return _outcome(matrix(rows, roles))
    except TrainingError:
        return REFUSED


def _expected(kind: Kind) -> dict[str, Any]:
    return {"columns": {"x": {"type": kind}}}


def from_csv(cell: Any, kind: Kind, known: frozenset[str], folder: Path) -> Outcome:
    """The trainer's CSV; a row that is a value for certain gives the column its type."""
    path = folder / "trained.csv"
    _write(path, [cell, _ANCHOR[kind]])
    return _trained(DataFile("file.csv", path, "CSV"), kind, known)


def from_parquet(cell: Any, kind: Kind, known: frozenset[str], folder: Path) -> Outcome:
    """The trainer's Parquet."""
    path = folder / "trained.parquet"
    cells = [cell, _ANCHOR[kind]] if isinstance(cell, str) else [cell]
    pl.DataFrame({"x": cells}).write_parquet(path)
    return _trained(DataFile("file.parquet", path, "Parquet"), kind, known)


def from_rows(cell: Any, kind: Kind, known: frozenset[str], folder: Path) -> Outcome:
    """/predict with rows."""
    return _decoded({"rows": [{"x": cell}]}, kind, known)


def from_instances(cell: Any, kind: Kind, known: frozenset[str], folder: Path) -> Outcome:
    """/predict with instances."""
    return _decoded({"instances": [[cell]]}, kind, known)


def from_features(cell: Any, kind: Kind, known: frozenset[str], folder: Path) -> Outcome:
    """/predict with features."""
    return _decoded({"features": [cell]}, kind, known)


def from_v2(cell: Any, kind: Kind, known: frozenset[str], folder: Path) -> Outcome:
    """An infer request."""
    types = {str: "BYTES", bool: "BOOL", int: "INT64", float: "FP64", type(None): "BYTES"}
    body = {"inputs": [{"name": "x", "shape": [1], "datatype": types[type(cell)], "data": [cell]}]}
    service = OpenInference(_manifest(kind, known), "m", "1", Hints("m"))
    try:
        return _outcome(service.decode(json.dumps(body).encode()).rows.tensors)
    except InputError:
        return REFUSED


def from_predictor(cell: Any, kind: Kind, known: frozenset[str], folder: Path) -> Outcome:
    """What answers the reference rows when they are written."""
    try:
        return _outcome(tensors(_manifest(kind, known), [{"x": cell}]))
    except RowError:
        return REFUSED


def from_cli_file(cell: Any, kind: Kind, known: frozenset[str], folder: Path) -> Outcome:
    """`redstart predict --file`."""
    path = folder / "asked.csv"
    _write(path, [cell])
    described = document(_manifest(kind, known), Reference([], []), "m", "1")
    properties = described["components"]["schemas"]["Row"]["properties"]
    rows, _ = cli_rows.known_only(cli_rows.read(path, properties), properties)
    return _decoded({"rows": rows}, kind, known)


def from_cli_row(cell: Any, kind: Kind, known: frozenset[str], folder: Path) -> Outcome:
    """`redstart predict --row`."""
    return _decoded({"rows": cli_rows.typed([json.dumps({"x": cell})])}, kind, known)


FILES: list[Reader] = [from_csv, from_cli_file]
"""Readers whose cells have no type: text is all that they hold."""

TYPED: list[Reader] = [
    from_parquet,
    from_rows,
    from_instances,
    from_features,
    from_v2,
    from_predictor,
    from_cli_row,
]
"""Readers whose cells are text, numbers, booleans or null."""


def _decoded(body: Any, kind: Kind, known: frozenset[str]) -> Outcome:
    try:
        return _outcome(RowDecoder(_manifest(kind, known)).decode(json.dumps(body).encode()).tensors)
    except InputError as error:
        return REFUSED if error.status == 422 else f"status {error.status}"


def _write(path: Path, cells: list[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerows([["x", "row"], *([cell, number] for number, cell in enumerate(cells))])
