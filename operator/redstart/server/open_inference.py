"""Open Inference Protocol V2 over REST: one input tensor for each feature, one element for each row.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import msgspec

from redstart.artifacts.manifest import Input, Label, Manifest
from redstart.server import binary_tensors
from redstart.server.hints import Hints
from redstart.server.ignored import IgnoredInputs
from redstart.server.inference import Answers
from redstart.server.rows import (
    ArrayBuilder,
    InputError,
    Rows,
    brief,
    check_count,
    expected,
    not_json,
    number,
    path_of,
    value_type,
)

_DATATYPES = {
    *("BOOL", "BYTES", "FP16", "FP32", "FP64"),
    *(f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)),
}
"""What a tensor may hold: text may be a number, and whole numbers and booleans may be categories."""

_PLATFORMS = {"ONNX": "onnxruntime_onnx", "Skops": "sklearn_skops", "Joblib": "sklearn_joblib"}

_MAX_RANK = 8
_SIZE = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]


class RequestInput(msgspec.Struct, frozen=True):
    """One tensor of a request. Its data may be flat or nested, or stand in binary behind the JSON."""

    name: str
    shape: Annotated[list[_SIZE], msgspec.Meta(max_length=_MAX_RANK)]
    datatype: str
    data: list[Any] | msgspec.UnsetType = msgspec.UNSET
    parameters: Any = None


class RequestOutput(msgspec.Struct, frozen=True):
    """An output that the client wants; without any it gets all."""

    name: str
    parameters: Any = None


class InferRequest(msgspec.Struct, frozen=True):
    """The body of an infer request. Parameters may be anything; only those about binary data mean something."""

    inputs: list[RequestInput]
    id: str | None = None
    parameters: Any = None
    outputs: list[RequestOutput] | None = None


class ResponseOutput(msgspec.Struct, frozen=True):
    """One tensor of an answer, its data flat in row-major order, or in binary behind the JSON."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any] | msgspec.UnsetType
    parameters: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class InferResponse(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to an infer request."""

    model_name: str
    model_version: str
    outputs: list[ResponseOutput]
    id: str | None = None


class Decoded(NamedTuple):
    """A request and its rows."""

    request: InferRequest
    rows: Rows


class Encoded(NamedTuple):
    """The body of an answer; `json_length` where tensors in binary follow so many bytes of JSON."""

    body: bytes
    json_length: int | None


class OpenInference:
    """Metadata, decoding and encoding for one model."""

    def __init__(
        self,
        manifest: Manifest,
        name: str,
        version: str,
        hints: Hints,
        ignored: IgnoredInputs | None = None,
    ) -> None:
        self._manifest = manifest
        self._ignored = ignored or IgnoredInputs((), manifest)
        self._name = name
        self._version = version
        self._inputs = {feature.name: feature for feature in manifest.inputs}
        self._numbers_only = all(feature.type == "Number" for feature in manifest.inputs)
        self._outputs = [output.name for output in manifest.outputs]
        self._hints = hints
        self._types = {
            feature.name: list[value_type(feature, texts=True)]  # type: ignore[misc]
            for feature in manifest.inputs
        }
        self._arrays = ArrayBuilder(manifest)
        self._decoder = msgspec.json.Decoder(InferRequest)
        self._prediction_type = _label_type(manifest)

    def metadata(self) -> dict[str, Any]:
        """What /v2/models/NAME answers."""
        return {
            "name": self._name,
            "versions": [self._version],
            "platform": _PLATFORMS[self._manifest.format],
            "inputs": [
                {
                    "name": feature.name,
                    "datatype": "FP64" if feature.type == "Number" else "BYTES",
                    "shape": [-1],
                    "parameters": {"optional": feature.nullable},
                }
                for feature in self._manifest.inputs
            ],
            "outputs": [
                {"name": "prediction", "datatype": self._prediction_type, "shape": [-1]},
                *(
                    {"name": output.name, "datatype": "FP64", "shape": [-1, output.size]}
                    for output in self._manifest.outputs[1:]
                ),
            ],
        }

    def decode(self, body: bytes, json_length: int | None = None) -> Decoded:
        """Read an infer request; behind `json_length` bytes of JSON there are tensors in binary.

        Raises:
            InputError: 400 when it is no infer request, 422 when a tensor is not one the model takes.
        """
        text, tail = (body, memoryview(b"")) if json_length is None else _split(body, json_length)
        try:
            request = self._decoder.decode(text)
        except msgspec.ValidationError as error:
            hint = self._hints.of_body(text, "inputs")
            raise InputError(400, f"the body is no infer request: {brief(str(error))}{hint}") from None
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise not_json(text, error) from None
        for output in request.outputs or ():
            if output.name not in self._outputs:
                known = ", ".join(self._outputs)
                raise InputError(422, f"outputs: no output {brief(output.name)!r}; the model has {known}")
        columns, unused = self._columns(request, tail)
        count = self._count(columns)
        for feature in self._manifest.inputs:
            if feature.name not in columns:
                if not feature.nullable:
                    raise InputError(
                        422,
                        f"inputs: {feature.name} is required; expected {expected(feature)}",
                        field=feature.name,
                    )
                columns[feature.name] = [None] * count
        rows = list(zip(*(columns[feature.name] for feature in self._manifest.inputs), strict=True))
        counted = self._ignored.counted(dict.fromkeys(unused, count))
        return Decoded(request, Rows(self._arrays.build(rows, "inputs"), single=False, ignored=counted))

    def encode(self, request: InferRequest, answers: Answers) -> Encoded:
        """Write the answer to a request."""
        rows = len(answers.predictions)
        outputs = [ResponseOutput("prediction", [rows], self._prediction_type, answers.predictions)]
        if answers.probabilities is not None:
            flat = [value for row in answers.probabilities for value in row]
            outputs.append(ResponseOutput("probabilities", [rows, len(flat) // rows], "FP64", flat))
        if request.outputs:
            wanted = {output.name for output in request.outputs}
            outputs = [output for output in outputs if output.name in wanted]
        tails = [b""] * len(outputs)
        binary = _binary_outputs(request, [output.name for output in outputs])
        for index, output in enumerate(outputs):
            if output.name in binary and output.data is not msgspec.UNSET:
                tails[index] = binary_tensors.write(output.data, output.datatype)
                outputs[index] = msgspec.structs.replace(
                    output, data=msgspec.UNSET, parameters={"binary_data_size": len(tails[index])}
                )
        text = msgspec.json.encode(InferResponse(self._name, self._version, outputs, request.id))
        return Encoded(b"".join([text, *tails]), len(text)) if binary else Encoded(text, None)

    def _columns(self, request: InferRequest, tail: memoryview) -> tuple[dict[str, list[Any]], set[str]]:
        """Values by input, and the names of the tensors that the model does not use."""
        unused: set[str] = set()
        if len(request.inputs) == 1 and self._is_by_position(request.inputs[0]):
            columns, used = self._by_position(request.inputs[0], tail)
        else:
            columns, used = {}, 0
            for tensor in request.inputs:
                if tensor.name in columns or tensor.name in unused:
                    raise InputError(422, f"inputs: {brief(tensor.name)} is given twice", field=tensor.name)
                if tensor.name in self._ignored:
                    unused.add(tensor.name)
                    used += _binary_size(tensor, tail[used:])
                    continue
                columns[tensor.name], size = self._column(tensor, tail[used:])
                used += size
        if used != len(tail):
            raise InputError(
                400, f"{len(tail)} bytes follow the JSON; the tensors' binary_data_size add up to {used}"
            )
        return columns, unused

    def _is_by_position(self, tensor: RequestInput) -> bool:
        """Whether one tensor holds all inputs side by side, as scikit-learn's own protocol servers take them."""
        width = len(self._inputs)
        return (
            self._numbers_only
            and len(tensor.shape) == 2
            and tensor.shape[1] == width
            and (width > 1 or tensor.name not in self._inputs)
        )

    def _by_position(self, tensor: RequestInput, tail: memoryview) -> tuple[dict[str, list[Any]], int]:
        features = self._manifest.inputs
        if tensor.datatype not in _DATATYPES:
            raise _wrong_datatype(tensor)
        _check_rows(tensor.shape[0], tensor)
        data, used = _values(tensor, tail)
        width = len(features)
        columns = {
            feature.name: self._checked(data[index::width], feature) for index, feature in enumerate(features)
        }
        return columns, used

    def _column(self, tensor: RequestInput, tail: memoryview) -> tuple[list[Any], int]:
        name = tensor.name
        feature = self._inputs.get(name)
        if feature is None:
            known = ", ".join(list(self._inputs)[:20])
            by_position = (
                f", or one tensor of shape [rows, {len(self._inputs)}] for all" if self._numbers_only else ""
            )
            raise InputError(
                422,
                f"inputs: {brief(name)!r} is no input of the model; its inputs are {known}; "
                f"send one tensor for each{by_position}",
                field=name,
            )
        if tensor.datatype not in _DATATYPES:
            raise _wrong_datatype(tensor)
        rows = tensor.shape[0] if tensor.shape else 0
        if any(size < 0 for size in tensor.shape) or math.prod(tensor.shape) != rows or not tensor.shape:
            raise InputError(
                422, f"inputs: {name} has shape {tensor.shape}; expected [rows] or [rows, 1]", field=name
            )
        _check_rows(rows, tensor)
        data, used = _values(tensor, tail)
        return self._checked(data, feature), used

    def _checked(self, data: list[Any], feature: Input) -> list[Any]:
        try:
            checked: list[Any] = msgspec.convert(data, self._types[feature.name])
        except msgspec.ValidationError as error:
            found = re.search(r"\[(\d{1,9})\]", str(error))
            row = int(found.group(1)) if found else 0
            got = re.search(r"got `(\w{1,20})`", str(error))
            wrong = f"got {got.group(1)}" if got else "the number is too large"
            raise InputError(
                422,
                f"{path_of('inputs', row, feature.name)}: expected {expected(feature)}, {wrong}",
                row=row,
                field=feature.name,
            ) from None
        if feature.type == "Category" or str not in set(map(type, checked)):
            return checked
        return [
            number(value, feature, "inputs", row) if type(value) is str else value
            for row, value in enumerate(checked)
        ]

    @staticmethod
    def _count(columns: dict[str, list[Any]]) -> int:
        if not columns:
            raise InputError(422, "inputs: there is none; send one tensor for each input of the model")
        counts = {name: len(values) for name, values in columns.items()}
        first, count = next(iter(counts.items()))
        for name, other in counts.items():
            if other != count:
                raise InputError(422, f"inputs: {first} has {count} rows, {name} has {other}", field=name)
        check_count(count)
        return count


def _wrong_datatype(tensor: RequestInput) -> InputError:
    name, found = brief(tensor.name), brief(tensor.datatype)
    return InputError(
        422,
        f"inputs: {name} has datatype {found}; expected {', '.join(sorted(_DATATYPES))}",
        field=tensor.name,
    )


def _check_rows(rows: int, tensor: RequestInput) -> None:
    """Before anything is done for each value."""
    if rows < 0:
        raise InputError(422, f"inputs: {brief(tensor.name)} has shape {tensor.shape}", field=tensor.name)
    if rows > 0:
        check_count(rows)


def _values(tensor: RequestInput, tail: memoryview) -> tuple[list[Any], int]:
    """The tensor's values, flat, and how many bytes of `tail` they took."""
    count = math.prod(tensor.shape)
    if tensor.data is not msgspec.UNSET:
        return _flat(tensor.data, count, tensor), 0
    size = _binary_size(tensor, tail)
    try:
        return binary_tensors.read(tail[:size], tensor.datatype, count), size
    except ValueError as error:
        raise InputError(
            422, f"inputs: {brief(tensor.name)} has shape {tensor.shape}: {error}", field=tensor.name
        ) from None


def _binary_size(tensor: RequestInput, tail: memoryview) -> int:
    """How many bytes of `tail` are the tensor's; none where it has its values in the JSON."""
    if tensor.data is not msgspec.UNSET:
        return 0
    name = brief(tensor.name)
    size = tensor.parameters.get("binary_data_size") if isinstance(tensor.parameters, dict) else None
    if type(size) is not int:
        raise InputError(
            400, f"the body is no infer request: inputs: {name} has no `data`, and no binary_data_size"
        )
    if not 0 <= size <= len(tail):
        raise InputError(
            400,
            f"inputs: {name} has a binary_data_size of {size}; {len(tail)} bytes are left behind the JSON, "
            f"whose length {binary_tensors.HEADER} says",
            field=tensor.name,
        )
    return size


def _flat(data: list[Any], count: int, tensor: RequestInput) -> list[Any]:
    """Nested lists as one. Neither a level of more values than the shape has, nor one beyond its depth is looked at,
    so the work is bounded by the shape."""
    for _ in range(max(2, len(tensor.shape)) - 1):
        if len(data) > count or not any(type(item) is list for item in data):
            break
        data = [value for item in data for value in (item if type(item) is list else (item,))]
    if len(data) != count:
        raise InputError(
            422,
            f"inputs: {brief(tensor.name)} has shape {tensor.shape} and {len(data)} values",
            field=tensor.name,
        )
    return data


def _split(body: bytes, json_length: int) -> tuple[bytes, memoryview]:
    if json_length > len(body):
        raise InputError(400, f"{binary_tensors.HEADER} is {json_length}, and the body has {len(body)} bytes")
    return body[:json_length], memoryview(body)[json_length:]


def _binary_outputs(request: InferRequest, names: list[str]) -> set[str]:
    """Outputs that are wanted in binary: by their own `binary_data`, else by the request's `binary_data_output`."""
    parameters = request.parameters if isinstance(request.parameters, dict) else {}
    wanted = set(names) if parameters.get("binary_data_output") is True else set()
    for output in request.outputs or ():
        if isinstance(output.parameters, dict) and "binary_data" in output.parameters:
            (wanted.add if output.parameters["binary_data"] is True else wanted.discard)(output.name)
    return wanted & set(names)


def _label_type(manifest: Manifest) -> str:
    values: Sequence[Label] | None = manifest.prediction.values
    if not values:
        return "FP64"
    types = {bool: "BOOL", int: "INT64", float: "FP64", str: "BYTES"}
    found = {types[type(value)] for value in values}
    return found.pop() if len(found) == 1 else "BYTES"
