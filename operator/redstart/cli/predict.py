"""`redstart predict`: asks a model, through the API server or by URL, and prints its answers."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from redstart.artifacts.dialect import Format
from redstart.cli import kinds
from redstart.cli import rows as given
from redstart.cli.connection import Connection, RefusedError, connect, told
from redstart.cli.errors import CliError
from redstart.cli.rows import Row

CHUNK = 500
"""Rows in one request; the server takes a thousand."""

Ask = Callable[[str, str, Any], bytes]
"""(method, path, body) -> the answer's body; raises RefusedError for an answer other than 2xx."""


class Description(NamedTuple):
    """What the model's OpenAPI document says of it: its inputs by name, and its classes."""

    inputs: dict[str, Any]
    classes: list[Any]


def predict(
    name: str | None,
    *,
    rows: Sequence[str],
    file: Path | None,
    format: Format,
    url: str | None,
    namespace: str | None,
    context: str | None,
    timeout: float,
    as_json: bool,
) -> None:
    """Prints an answer for each row.

    Raises:
        CliError: there is no such service, it does not answer, or a row does not fit; the text names the field.
    """
    if (name is None) == (url is None):
        raise CliError(
            "say whom to ask: the NAME of an InferenceService, or --url", "See: redstart predict --help"
        )
    if rows and file:
        raise CliError("--row and --file were both given", "Use one of them.")
    if not rows and file is None and sys.stdin.isatty():
        raise CliError(
            "no rows were given", """Use --row '{"torque": 40}', --file rows.csv, or pipe rows in."""
        )
    wanted = given.typed(rows)
    if url:
        whom = url.rstrip("/").removesuffix("/predict")
        ask = _by_url(whom, timeout)
    else:
        whom = f'InferenceService "{name}"'
        ask = _by_service(str(name), namespace, context, timeout)
    described = describe(ask)
    if not rows:
        properties = described.inputs if described else None
        wanted, left_out = given.known_only(given.read(file, properties, format), properties)
        if left_out:
            print(f"left out, being no inputs of the model: {', '.join(left_out)}", file=sys.stderr)
    answers = answered(ask, wanted, whom)
    if as_json:
        print(json.dumps(answers, indent=2))
    else:
        console = Console(highlight=False)
        classes = described.classes if described else []
        console.print(table(wanted, answers, classes, console.width))


def describe(ask: Ask) -> Description | None:
    """What the model takes and gives, or None where the server does not tell."""
    try:
        document = json.loads(ask("GET", "/openapi.json", None))
        answer = document["paths"]["/predict"]["post"]["responses"]["200"]["content"]["application/json"][
            "schema"
        ]
        one = answer["properties"]["prediction"]["oneOf"][-1]
        return Description(document["components"]["schemas"]["Row"]["properties"], one.get("enum", []))
    except (RefusedError, ValueError, KeyError, IndexError, TypeError):
        return None


def answered(ask: Ask, rows: Sequence[Row], whom: str) -> list[dict[str, Any]]:
    """One answer for each row: prediction, probabilities where there are any, model and version.

    Raises:
        CliError: a row was refused, or what `whom` answers is not a model's answer.
    """
    answers: list[dict[str, Any]] = []
    for start in range(0, len(rows), CHUNK):
        piece = rows[start : start + CHUNK]
        try:
            content = ask("POST", "/predict", {"rows": piece})
        except RefusedError as refused:
            raise _explained(refused, start) from refused
        try:
            answers += _for_each(json.loads(content), len(piece))
        except (ValueError, TypeError) as error:
            raise CliError(
                f"{whom} answers, but not as a model does",
                "Is it the address of a server or a router of an InferenceService?",
            ) from error
    return answers


def _for_each(answer: Any, rows: int) -> list[dict[str, Any]]:
    """The answer to so many rows, row by row. ValueError or TypeError where it is none."""
    common = {key: answer[key] for key in ("model", "version") if key in answer}
    columns = {key: answer[key] for key in ("prediction", "probabilities") if key in answer}
    lines = [dict(zip(columns, line, strict=True)) | common for line in zip(*columns.values(), strict=True)]
    if "prediction" not in columns or len(lines) != rows:
        raise ValueError(f"{len(lines)} predictions for {rows} rows")
    return lines


def table(
    rows: Sequence[Row], answers: Sequence[Mapping[str, Any]], classes: Sequence[Any], width: int
) -> Table:
    """The answers, with as many inputs before them as fit into `width` columns.

    Names and values are Text: in a plain string rich would read `[rpm]` as a style.
    """
    probable = any("probabilities" in answer for answer in answers)
    told = {"prediction": [_shown(answer["prediction"]) for answer in answers]}
    for index, label in enumerate(classes if probable else ()):
        told[f"p({label})"] = [f"{answer['probabilities'][index]:.4f}" for answer in answers]
    told["version"] = [str(answer.get("version", "")) for answer in answers]
    result = Table(box=None, pad_edge=False, header_style="bold")
    left = width - sum(_width(name, cells) for name, cells in told.items())
    columns: dict[str, list[str]] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        cells = [_shown(row.get(name)) for row in rows]
        left -= _width(name, cells)
        if left < 0:
            break
        columns[name] = cells
        result.add_column(Text(name), justify="right", style="dim", no_wrap=True)
    for name in told:
        style = "bold" if name == "prediction" else ""
        justify: Literal["left", "right"] = "left" if name == "version" else "right"
        result.add_column(Text(name), justify=justify, style=style, no_wrap=True)
    for line in zip(*columns.values(), *told.values(), strict=True):
        result.add_row(*map(Text, line))
    return result


def _width(name: str, cells: Sequence[str]) -> int:
    return max(map(len, (name, *cells))) + 2


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _explained(refused: RefusedError, first: int) -> CliError:
    """The server's own sentence; row numbers counted from the first of all rows."""
    try:
        content = json.loads(refused.body)
        message, row = str(content["error"]), content.get("row")
    except (ValueError, KeyError, TypeError):
        return CliError(f"the model did not answer: {refused.message}")
    if refused.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY):
        if not isinstance(row, int):
            return CliError(f"the rows were refused: {message}")
        # The server counts within the piece that it got.
        told = message.removeprefix(f"rows[{row}].").removeprefix(f"rows[{row}]: ")
        return CliError(f"row {first + row + 1} was refused: {told}")
    return CliError(f"the model did not answer: {message}")


def _by_service(name: str, namespace: str | None, context: str | None, timeout: float) -> Ask:
    connection = connect(context)
    where = namespace or connection.namespace

    def ask(method: str, path: str, body: Any) -> bytes:
        proxy = f"/api/v1/namespaces/{where}/services/{name}:http/proxy{path}"
        try:
            return connection.request(method, proxy, body=body, timeout=timeout)
        except RefusedError as refused:
            raise _through_proxy(connection, refused, where, name) from refused

    return ask


def _through_proxy(connection: Connection, refused: RefusedError, namespace: str, name: str) -> Exception:
    """Tells the API server's own refusals, which are Status objects, from the model's answers."""
    try:
        content = json.loads(refused.body)
        of_api_server = content.get("kind") == "Status" and content.get("apiVersion") == "v1"
    except (ValueError, AttributeError):
        return refused
    if not of_api_server:
        return refused
    if refused.status == HTTPStatus.FORBIDDEN:
        return told(refused, f"ask InferenceService {namespace}/{name} (this needs create on services/proxy)")
    service = connection.find(kinds.INFERENCE_SERVICE, namespace, name)
    ready = next((c for c in service.get("status", {}).get("conditions", []) if c["type"] == "Ready"), None)
    if ready is None or ready["status"] != "True":
        why = f": {ready['message']}" if ready else ""
        return CliError(
            f'InferenceService "{name}" is not ready{why}',
            f"See: redstart status {name} --namespace {namespace}",
        )
    return CliError(f'InferenceService "{name}" did not answer: {refused.message}')


def _by_url(base: str, timeout: float) -> Ask:
    import httpx  # noqa: PLC0415

    headers = {"Content-Type": "application/json"}

    def ask(method: str, path: str, body: Any) -> bytes:
        # Encoded here: httpx raises for half a surrogate pair, which the server refuses in a sentence.
        content = None if body is None else json.dumps(body)
        try:
            answer = httpx.request(method, base + path, content=content, headers=headers, timeout=timeout)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise CliError(f"{base} does not answer: {error}") from error
        if not answer.is_success:
            raise RefusedError(answer.status_code, answer.content)
        return answer.content

    return ask
