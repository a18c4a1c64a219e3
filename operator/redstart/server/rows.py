"""Reads rows as clients send them: JSON in, tensors out, or an error that names row, field and what is expected.

msgspec checks names and types while it parses, by a struct that is made from the manifest's inputs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec
import numpy as np

from redstart.artifacts import cells
from redstart.artifacts.cells import CellError
from redstart.artifacts.manifest import Input, Manifest
from redstart.server.escaped import escape, escape_keys, needs_escape, unescape
from redstart.server.hints import Hints
from redstart.server.ignored import IgnoredInputs

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_ROWS = 1000
"""Rows in one request: a thousand take some milliseconds, in which nobody else is answered."""

_TOO_LARGE = f"the number is too large; at most {cells.LARGEST:.3g} either side of 0 is expected"
_NUMBER = Annotated[float, msgspec.Meta(ge=-cells.LARGEST, le=cells.LARGEST)]
_DTYPES: dict[str, Any] = {"float": np.float32, "double": np.float64, "string": object}
_ABSENT = msgspec.Raw()
_KINDS = ("rows", "instances", "features")
_PLACE = re.compile(r"\.(rows|instances|features)(.*)`", re.DOTALL)
_FOUND = re.compile(r"got `(\w{1,20})`")
_TEXT = "got `str`"
_LONGEST = 200
"""Characters of what a client sent that an error repeats."""


class InputError(Exception):
    """The request cannot be answered as it is; `field` and `row` (from 0) where they are known."""

    def __init__(
        self, status: int, message: str, *, row: int | None = None, field: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.row = row
        self.field = None if field is None else brief(field)


class Rows(NamedTuple):
    """One array for each of the manifest's tensors; `single` when the client asked about one row, not a list;
    `ignored` counts the rows that held an input which the model does not use, by its name."""

    tensors: list[NDArray[Any]]
    single: bool
    ignored: Mapping[str, int] = MappingProxyType({})


def brief(text: str) -> str:
    """A client's own words, cut in the middle to a length fit for an error."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 60]}...{text[-57:]}"


def expected(feature: Input) -> str:
    """What a value of this input may be, in words."""
    kind = "a number" if feature.type == "Number" else "a string"
    if feature.closed and feature.values:
        kind = f"one of {', '.join(map(repr, feature.values[:20]))}"
    return f"{kind} or null" if feature.nullable else kind


def value_type(feature: Input, *, texts: bool = False) -> Any:
    """The type that msgspec checks a value of this input against; with `texts` a number may be text, which `number`
    reads."""
    base: Any = str | int | float | bool
    if feature.type == "Number":
        base = _NUMBER | bool | str if texts else _NUMBER | bool
    return base | None if feature.nullable else base


class _V1Request(msgspec.Struct, frozen=True):
    instances: msgspec.Raw


class RowDecoder:
    """Decodes the bodies of /predict for one model."""

    def __init__(
        self, manifest: Manifest, hints: Hints | None = None, ignored: IgnoredInputs | None = None
    ) -> None:
        """`hints` say what to send instead of a body of another protocol; `ignored` inputs may be sent, and are not
        looked at."""
        self._inputs = manifest.inputs
        self._hints = hints or Hints(manifest.model)
        self._ignored = ignored or IgnoredInputs((), manifest)
        names = [feature.name for feature in manifest.inputs] + list(self._ignored.names)
        self._escapes = any(map(needs_escape, names))
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
            _request_type(manifest.inputs, self._ignored.names)
        )
        self._text_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
            _request_type(manifest.inputs, self._ignored.names, texts=True)
        )
        self._v1 = msgspec.json.Decoder(_V1Request)
        self._astuple = msgspec.structs.astuple
        self._arrays = ArrayBuilder(manifest)

    def decode(self, body: bytes) -> Rows:
        """Read a body: one of `rows`, `instances` or `features`.

        Raises:
            InputError: 400 when it is no JSON of this shape, 422 when a value is not one the model takes.
        """
        try:
            request, texts = self._parsed(body)
        except msgspec.ValidationError as error:
            raise self._explain(str(error), body) from None
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise not_json(body, error) from None
        given = [
            rows for rows in (request.rows, request.instances, request.features) if rows is not msgspec.UNSET
        ]
        if len(given) != 1:
            raise InputError(
                400,
                f"the body must have exactly one of {', '.join(_KINDS)}; it has {len(given)}",
            )
        single = request.features is not msgspec.UNSET
        rows: list[Any] = [request.features] if single else given[0]
        check_count(len(rows))
        kind = "features" if single else "rows" if request.rows is not msgspec.UNSET else "instances"
        values = [self._astuple(row) for row in rows]
        counted: dict[str, int] = {}
        if kind == "rows" and self._ignored.names:
            values, counted = self._without_ignored(values)
        if texts:
            values = [self._numbers(row, kind, index) for index, row in enumerate(values)]
        return Rows(self._arrays.build(values, kind), single, counted)

    def _parsed(self, body: bytes) -> tuple[Any, bool]:
        """The request, and whether numbers in it may be text. Most bodies hold none, and are parsed once."""
        if self._escapes:
            body = escape_keys(body)
        try:
            return self._decoder.decode(body), False
        except msgspec.ValidationError as error:
            if _TEXT not in str(error):
                raise
        return self._text_decoder.decode(body), True

    def _numbers(self, row: tuple[Any, ...], kind: str, index: int) -> tuple[Any, ...]:
        return tuple(
            number(value, feature, kind, index) if feature.type == "Number" and type(value) is str else value
            for value, feature in zip(row, self._inputs, strict=True)
        )

    def _without_ignored(
        self, rows: Sequence[tuple[Any, ...]]
    ) -> tuple[list[tuple[Any, ...]], dict[str, int]]:
        """The rows' own inputs, and how many rows held each of the ignored ones, which come after them."""
        own, names = len(self._inputs), self._ignored.names
        none = (_ABSENT,) * len(names)
        present: Counter[str] = Counter()
        for row in rows:
            # Most rows hold none, which the comparison of identical objects finds in no time.
            if (others := row[own:]) != none:
                present.update(
                    name for name, value in zip(names, others, strict=True) if value is not _ABSENT
                )
        return [row[:own] for row in rows], self._ignored.counted(present)

    def decode_v1(self, body: bytes) -> Rows:
        """Read a body of KServe's V1 protocol: `instances` as lists, or as objects by input name.

        Raises:
            InputError: as decode does.
        """
        try:
            found = self._v1.decode(body)
        except msgspec.ValidationError as error:
            hint = self._hints.of_body(body, "instances")
            raise InputError(400, f"{brief(str(error))}; the V1 protocol has `instances`{hint}") from None
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise not_json(body, error) from None
        instances = bytes(found.instances)
        if instances.lstrip(b" \t\r\n[")[:1] != b"{":
            return self.decode(b'{"instances":' + instances + b"}")
        try:
            return self.decode(b'{"rows":' + instances + b"}")
        except InputError as error:
            said = str(error)
            path = f"instances{said.removeprefix('rows')}" if said.startswith("rows[") else said
            raise InputError(error.status, path, row=error.row, field=error.field) from None

    def _explain(self, message: str, body: bytes) -> InputError:
        # Names of a client come before the mark and the model's own behind it, so the last one is msgspec's.
        what, _, path = message.rpartition(" - at `$")
        if self._escapes:
            what, path = unescape(what), unescape(path)
        located = _PLACE.fullmatch(path)
        if located is None:
            if message.startswith("Expected `array` of at most"):
                return InputError(
                    422,
                    f"instances and features take {len(self._inputs)} values for each row, in the order "
                    f"{self._names()}",
                )
            hint = self._hints.of_body(body, *_KINDS) or f"; send an object with one of {', '.join(_KINDS)}"
            return InputError(400, brief(message) + hint)
        kind, rest = located.groups()
        row, place = _place(kind, rest)
        if row is None:
            return InputError(400, f"{kind}: {what}")
        feature = self._feature(kind, place)
        if feature is not None:
            place = path_of(kind, row, feature.name)
            return InputError(422, _mismatch(place, feature, what), row=row, field=feature.name)
        for said in ("required field `", "unknown field `"):
            _, found, field = what.partition(said)
            if found:
                return self._misnamed(kind, row, field.removesuffix("`"), said)
        name = kind if kind == "features" else f"{kind}[{row}]"
        if "length" in what:
            return InputError(
                422, f"{name}: expected {len(self._inputs)} values, in the order {self._names()}", row=row
            )
        if kind == "instances" and "got `object`" in what:
            what = f"is an object, expected a list in the order {self._names()}; objects belong to rows"
        elif kind == "rows" and "got `array`" in what:
            what = "is a list, expected an object by input name; lists belong to instances"
        return InputError(422, f"{name}: {what}", row=row)

    def _misnamed(self, kind: str, row: int, field: str, said: str) -> InputError:
        path = path_of(kind, row, brief(field))
        if said.startswith("required"):
            missing = self._feature("rows", field)
            wanted = f"; expected {expected(missing)}" if missing else ""
            return InputError(422, f"{path}: is required{wanted}", row=row, field=field)
        known = self._names()
        return InputError(
            422, f"{path}: is no input of the model; its inputs are {known}", row=row, field=field
        )

    def _names(self) -> str:
        return ", ".join(feature.name for feature in self._inputs[:20])

    def _feature(self, kind: str, place: str) -> Input | None:
        if kind == "rows":
            return next((feature for feature in self._inputs if feature.name == place), None)
        index = int(place) if place.isdecimal() else len(self._inputs)
        return self._inputs[index] if index < len(self._inputs) else None


def path_of(kind: str, row: int, field: str) -> str:
    """A value by the client's own path to it; `kind` is rows, instances, features, or inputs (of V2)."""
    match kind:
        case "features":
            return f"features.{field}"
        case "inputs":
            return f"inputs: {field}[{row}]"
    return f"{kind}[{row}].{field}"


def _place(kind: str, rest: str) -> tuple[int | None, str]:
    """Row and field in the end of msgspec's path: `[3].torque` of rows, `[3][0]` of instances, `[0]` of features."""
    if kind == "features":
        return 0, rest.strip("[]")
    found = re.fullmatch(r"\[(\d{1,9})\](?:\.(.*)|\[(\d{1,9})\])?", rest, re.DOTALL)
    return (int(found.group(1)), found.group(2) or found.group(3) or "") if found else (None, "")


def _mismatch(place: str, feature: Input, what: str) -> str:
    found = _FOUND.search(what)
    if found is None:
        return f"{place}: {_TOO_LARGE}"
    if found.group(1) == "null":
        return f"{place}: is required; expected {expected(feature)}, got null"
    return f"{place}: expected {expected(feature)}, got {found.group(1)}"


def not_json(body: bytes, error: Exception) -> InputError:
    """The error for a body that is no JSON."""
    hint = ""
    if re.search(rb"[\s:,\[](NaN|-?Infinity)\b", body):
        hint = "; JSON has no NaN or Infinity, send null for a missing value"
    elif not body:
        hint = "; the body is empty"
    return InputError(400, f"the body is not JSON: {error}{hint}")


def check_count(rows: int) -> None:
    """Refuse no rows, and too many."""
    if rows == 0:
        raise InputError(422, "there are no rows; send at least one")
    if rows > MAX_ROWS:
        raise InputError(422, f"{rows} rows in one request; send at most {MAX_ROWS}")


def _request_type(
    inputs: Sequence[Input], ignored: Sequence[str], *, texts: bool = False
) -> type[msgspec.Struct]:
    names = [f"f{index}" for index in range(len(inputs))]
    others = [f"ignored{index}" for index in range(len(ignored))]
    types = [value_type(feature, texts=texts) for feature in inputs]
    renamed = [*(feature.name for feature in inputs), *ignored]
    if any(map(needs_escape, renamed)):
        renamed = list(map(escape, renamed))
    # A nullable input may be left out; each row in `instances` has all values, as nothing else says which is which.
    row = msgspec.defstruct(
        "Row",
        [
            (name, kind, None) if feature.nullable else (name, kind)
            for name, kind, feature in zip(names, types, inputs, strict=True)
        ]
        # Any JSON, which is not turned into objects.
        + [(name, msgspec.Raw, _ABSENT) for name in others],
        rename=dict(zip([*names, *others], renamed, strict=True)),
        forbid_unknown_fields=True,
        kw_only=True,
        gc=False,
    )
    values = msgspec.defstruct(
        "Values", list(zip(names, types, strict=True)), array_like=True, forbid_unknown_fields=True, gc=False
    )
    kinds = {"rows": list[row], "instances": list[values], "features": values}  # type: ignore[valid-type]
    return msgspec.defstruct(
        "Request",
        [(name, kind | msgspec.UnsetType, msgspec.UNSET) for name, kind in kinds.items()],
        forbid_unknown_fields=True,
        gc=False,
    )


class Known:
    """A category input with the values that it knows: looked up, not searched, for each row."""

    def __init__(self, feature: Input) -> None:
        self.feature = feature
        self.values = frozenset(feature.values or ())


class ArrayBuilder:
    """Turns rows (tuples of checked values in the order of the manifest's inputs) into its tensors."""

    def __init__(self, manifest: Manifest) -> None:
        names = [feature.name for feature in manifest.inputs]
        by_name = {feature.name: feature for feature in manifest.inputs}
        self._tensors: list[tuple[Any, Callable[[tuple[Any, ...]], Sequence[Any]], list[Known] | None]] = []
        for tensor in manifest.tensors:
            features = [Known(by_name[name]) for name in tensor.features] if tensor.type == "string" else None
            columns = [names.index(name) for name in tensor.features]
            self._tensors.append((_DTYPES[tensor.type], _picker(columns, len(names)), features))

    def build(self, rows: Sequence[tuple[Any, ...]], kind: str) -> list[NDArray[Any]]:
        """One array of shape [rows, features] for each tensor; `kind` is what the client sent, as in `path_of`.

        Raises:
            InputError: a category that the model does not take.
        """
        return [
            np.array([pick(row) for row in rows], dtype=dtype)
            if features is None
            else self._strings([pick(row) for row in rows], features, kind)
            for dtype, pick, features in self._tensors
        ]

    @staticmethod
    def _strings(rows: list[Sequence[Any]], features: list[Known], kind: str) -> NDArray[Any]:
        array = np.empty((len(rows), len(features)), dtype=object)
        for index, row in enumerate(rows):
            for column, (value, feature) in enumerate(zip(row, features, strict=True)):
                # Most cells are values that training saw, and are taken as they are.
                taken = value in feature.values
                array[index, column] = value if taken else category(value, feature, kind, index)
        return array


def _picker(columns: list[int], width: int) -> Callable[[tuple[Any, ...]], Sequence[Any]]:
    if columns == list(range(width)):
        return tuple
    if columns == list(range(columns[0], columns[0] + len(columns))):
        return itemgetter(slice(columns[0], columns[-1] + 1))
    return itemgetter(*columns)


def number(text: str, feature: Input, kind: str, row: int) -> float | None:
    """The number that text holds, None where it is missing.

    Raises:
        InputError: 422 where it holds none, a missing one that is required, or one that is too large.
    """
    try:
        value = cells.number(text)
    except CellError as error:
        raise _refused(f"expected {expected(feature)}, got {error}", feature, kind, row) from None
    if value is None and not feature.nullable:
        raise _refused(f"is required; expected {expected(feature)}, got {text[:100]!r}", feature, kind, row)
    if value is not None and abs(value) > cells.LARGEST:
        raise _refused(_TOO_LARGE, feature, kind, row)
    return value


def category(value: str | float | bool | None, known: Known, kind: str, row: int) -> str:
    """The text of a category as the model knows it; "" is missing.

    Raises:
        InputError: 422 for a missing value that is required, for one that a closed input does not know, and for a
            number that is not whole.
    """
    feature = known.feature
    try:
        text = cells.category(value, known.values)
    except CellError as error:
        raise _refused(f"expected {expected(feature)}, got {error}", feature, kind, row) from None
    if text == "":
        if feature.nullable:
            return text
    elif not feature.closed or text in known.values:
        return text
    raise _refused(f"expected {expected(feature)}, got {text[:100]!r}", feature, kind, row)


def _refused(message: str, feature: Input, kind: str, row: int) -> InputError:
    return InputError(422, f"{path_of(kind, row, feature.name)}: {message}", row=row, field=feature.name)
