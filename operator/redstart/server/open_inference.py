"""Open Inference Protocol V2 over REST: one input tensor for each feature, one element for each row.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from redstart.artifacts.manifest import Input, Label, Manifest
from redstart.server.inference import Answers
from redstart.server.rows import (
    ArrayBuilder,
    InputError,
    Rows,
    check_count,
    expected,
    not_json,
    path_of,
    value_type,
)

_NUMBERS = {
    "BOOL",
    "FP16",
    "FP32",
    "FP64",
    *(f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)),
}
_CATEGORIES = {"BYTES", "BOOL", *(f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64))}
_PLATFORMS = {"ONNX": "onnxruntime_onnx", "Skops": "sklearn_skops", "Joblib": "sklearn_joblib"}

Parameters = dict[str, str | int | float | bool]


class RequestInput(msgspec.Struct, frozen=True):
    """One tensor of a request; its data may be flat or nested."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]
    parameters: Parameters = {}


class RequestOutput(msgspec.Struct, frozen=True):
    """An output that the client wants; without any it gets all."""

    name: str
    parameters: Parameters = {}


class InferRequest(msgspec.Struct, frozen=True):
    """The body of an infer request. Parameters are read and ignored: no model of ours has any."""

    inputs: list[RequestInput]
    id: str | None = None
    parameters: Parameters = {}
    outputs: list[RequestOutput] = []


class ResponseOutput(msgspec.Struct, frozen=True):
    """One tensor of an answer, its data flat in row-major order."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]


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


class OpenInference:
    """Metadata, decoding and encoding for one model."""

    def __init__(self, manifest: Manifest, name: str, version: str) -> None:
        self._manifest = manifest
        self._name = name
        self._version = version
        self._inputs = {feature.name: feature for feature in manifest.inputs}
        self._types = {feature.name: list[value_type(feature)] for feature in manifest.inputs}  # type: ignore[misc]
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

    def decode(self, body: bytes) -> Decoded:
        """Read an infer request.

        Raises:
            InputError: 400 when it is no infer request, 422 when a tensor is not one the model takes.
        """
        try:
            request = self._decoder.decode(body)
        except msgspec.ValidationError as error:
            raise InputError(400, f"the body is no infer request: {error}") from None
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise not_json(body, error) from None
        known = [output.name for output in self._manifest.outputs]
        for output in request.outputs:
            if output.name not in known:
                raise InputError(422, f"outputs: no output {output.name!r}; the model has {', '.join(known)}")
        columns: dict[str, list[Any]] = {}
        for tensor in request.inputs:
            if tensor.name in columns:
                raise InputError(422, f"inputs: {tensor.name} is given twice", field=tensor.name)
            columns[tensor.name] = self._column(tensor)
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
        return Decoded(request, Rows(self._arrays.build(rows, "inputs"), single=False))

    def encode(self, request: InferRequest, answers: Answers) -> bytes:
        """Write the answer to a request."""
        rows = len(answers.predictions)
        outputs = [ResponseOutput("prediction", [rows], self._prediction_type, answers.predictions)]
        if answers.probabilities is not None:
            flat = [value for row in answers.probabilities for value in row]
            outputs.append(ResponseOutput("probabilities", [rows, len(flat) // rows], "FP64", flat))
        if request.outputs:
            wanted = {output.name for output in request.outputs}
            outputs = [output for output in outputs if output.name in wanted]
        return msgspec.json.encode(InferResponse(self._name, self._version, outputs, request.id))

    def _column(self, tensor: RequestInput) -> list[Any]:
        name = tensor.name
        feature = self._inputs.get(name)
        if feature is None:
            known = ", ".join(list(self._inputs)[:20])
            raise InputError(
                422, f"inputs: {name!r} is no input of the model; its inputs are {known}", field=name
            )
        allowed = _NUMBERS if feature.type == "Number" else _CATEGORIES
        if tensor.datatype not in allowed:
            raise InputError(
                422,
                f"inputs: {name} has datatype {tensor.datatype}; expected {', '.join(sorted(allowed))}",
                field=name,
            )
        data = _flat(tensor.data)
        rows = tensor.shape[0] if tensor.shape else 0
        if any(size < 0 for size in tensor.shape) or math.prod(tensor.shape) != rows or not tensor.shape:
            raise InputError(
                422, f"inputs: {name} has shape {tensor.shape}; expected [rows] or [rows, 1]", field=name
            )
        if len(data) != rows:
            raise InputError(
                422, f"inputs: {name} has shape {tensor.shape} and {len(data)} values", field=name
            )
        return self._checked(data, feature)

    def _checked(self, data: list[Any], feature: Input) -> list[Any]:
        try:
            checked: list[Any] = msgspec.convert(data, self._types[feature.name])
        except msgspec.ValidationError as error:
            found = re.search(r"\[(\d+)\]", str(error))
            row = int(found.group(1)) if found else 0
            got = re.search(r"got `(\w+)`", str(error))
            wrong = f"got {got.group(1)}" if got else "the number is too large"
            raise InputError(
                422,
                f"{path_of('inputs', row, feature.name)}: expected {expected(feature)}, {wrong}",
                row=row,
                field=feature.name,
            ) from None
        return checked

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


def _flat(data: list[Any]) -> list[Any]:
    while data and any(isinstance(item, list) for item in data):
        data = [value for item in data for value in (item if isinstance(item, list) else [item])]
    return data


def _label_type(manifest: Manifest) -> str:
    values: Sequence[Label] | None = manifest.prediction.values
    if not values:
        return "FP64"
    types = {bool: "BOOL", int: "INT64", float: "FP64", str: "BYTES"}
    found = {types[type(value)] for value in values}
    return found.pop() if len(found) == 1 else "BYTES"
