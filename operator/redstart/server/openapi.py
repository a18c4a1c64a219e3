"""The OpenAPI document of one model: its real inputs, their types, and rows to try."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redstart.artifacts.manifest import Input, Label, Manifest, Reference
from redstart.server.rows import MAX_ROWS

_EXAMPLES = 2
_SEEN = 50
_IGNORED = {
    "type": ["number", "string", "boolean", "null"],
    "deprecated": True,
    "description": "An input of an earlier version, which this one does not use: taken and ignored.",
}


def document(
    manifest: Manifest, reference: Reference, name: str, version: str, ignored: Sequence[str] = ()
) -> dict[str, Any]:
    """OpenAPI 3.1 of /predict and the V2 endpoints; examples are reference rows. Inputs that are ignored are
    deprecated."""
    examples = reference.rows[:_EXAMPLES]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": name,
            "version": version,
            "description": f"{manifest.task} by {manifest.model}, served by Redstart.",
        },
        "paths": {
            "/predict": {"post": _predict(manifest, examples)},
            "/v2": {"get": _get("Server metadata")},
            "/v2/health/live": {"get": _get("Whether the server runs")},
            "/v2/health/ready": {"get": _ready("Whether the model is loaded and answers its reference rows")},
            f"/v2/models/{name}": {"get": _get("Model metadata")},
            f"/v2/models/{name}/ready": {"get": _ready("Whether the model is ready")},
            f"/v2/models/{name}/infer": {"post": _infer(manifest, examples)},
        },
        "components": {
            "schemas": {
                "Row": _row(manifest, examples, ignored),
                "Values": {
                    "type": "array",
                    "description": "All inputs in this order: "
                    + ", ".join(item.name for item in manifest.inputs),
                    "prefixItems": [_value(feature) for feature in manifest.inputs],
                    "minItems": len(manifest.inputs),
                    "maxItems": len(manifest.inputs),
                },
                "Error": {
                    "type": "object",
                    "required": ["error"],
                    "properties": {
                        "error": {"type": "string"},
                        "row": {"type": "integer", "description": "Which row, from 0"},
                        "field": {"type": "string", "description": "Which input"},
                    },
                },
            }
        },
    }


def _predict(manifest: Manifest, examples: list[dict[str, Any]]) -> dict[str, Any]:
    rows = {"type": "array", "minItems": 1, "maxItems": MAX_ROWS}
    row, values = {"$ref": "#/components/schemas/Row"}, {"$ref": "#/components/schemas/Values"}
    named = [
        _object({"rows": {**rows, "items": row}}),
        _object({"instances": {**rows, "items": values}}),
        _object({"features": values}),
    ]
    lists = [[example.get(feature.name) for feature in manifest.inputs] for example in examples]
    content: dict[str, Any] = {"schema": {"oneOf": named}}
    if examples:
        content["examples"] = {
            "rows": {"value": {"rows": examples}},
            "instances": {"value": {"instances": lists}},
            "features": {"value": {"features": lists[0]}},
        }
    prediction = _prediction(manifest)
    answer: dict[str, Any] = {
        "prediction": {"oneOf": [{"type": "array", "items": prediction}, prediction]},
        "model": {"type": "string"},
        "version": {"type": "string"},
    }
    if manifest.probabilities is not None:
        each = _probabilities(manifest.prediction.values or [])
        answer["probabilities"] = {"oneOf": [{"type": "array", "items": each}, each]}
    return {
        "summary": "Predict",
        "description": "`rows` and `instances` are answered with lists, `features` (one row) without. Where a number "
        "is expected, true and false are 1 and 0, and text that holds a number is read; where a string is, whole "
        "numbers and booleans are their text. Words such as NA mean no value, unless the model knows them as values.",
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": {"200": _response("The predictions", _object(answer)), **_errors()},
    }


def _infer(manifest: Manifest, examples: list[dict[str, Any]]) -> dict[str, Any]:
    tensor = _object(
        {
            "name": {"enum": [feature.name for feature in manifest.inputs]},
            "shape": {"type": "array", "items": {"type": "integer"}},
            "datatype": {"type": "string"},
            "data": {"type": "array"},
        }
    )
    content: dict[str, Any] = {
        "schema": {
            "type": "object",
            "required": ["inputs"],
            "properties": {"id": {"type": "string"}, "inputs": {"type": "array", "items": tensor}},
        }
    }
    if examples:
        content["example"] = {
            "inputs": [
                {
                    "name": feature.name,
                    "shape": [len(examples)],
                    "datatype": "FP64" if feature.type == "Number" else "BYTES",
                    "data": [example.get(feature.name) for example in examples],
                }
                for feature in manifest.inputs
            ]
        }
    return {
        "summary": "Open Inference Protocol V2",
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": {"200": _response("The output tensors", {"type": "object"}), **_errors()},
    }


def _row(manifest: Manifest, examples: list[dict[str, Any]], ignored: Sequence[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": [feature.name for feature in manifest.inputs if not feature.nullable],
        "properties": {feature.name: _value(feature) for feature in manifest.inputs}
        | dict.fromkeys(ignored, _IGNORED),
        "additionalProperties": False,
        "examples": examples,
    }


def _value(feature: Input) -> dict[str, Any]:
    kind = "number" if feature.type == "Number" else "string"
    schema: dict[str, Any] = {"type": [kind, "null"] if feature.nullable else kind}
    if feature.values is not None and feature.closed:
        schema["enum"] = [*feature.values, None] if feature.nullable else feature.values
    elif feature.values is not None:
        schema["examples"] = feature.values[:_SEEN]
        schema["description"] = "Any string; the examples were seen in training."
    return schema


def _prediction(manifest: Manifest) -> dict[str, Any]:
    values = manifest.prediction.values
    return {"enum": values} if values else {"type": "number"}


def _probabilities(values: list[Label]) -> dict[str, Any]:
    return {
        "type": "array",
        "description": "Of the classes " + ", ".join(str(value) for value in values) + ", in this order",
        "items": {"type": "number", "minimum": 0, "maximum": 1},
        "minItems": len(values),
        "maxItems": len(values),
    }


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(properties),
        "properties": properties,
        "additionalProperties": False,
    }


def _response(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _get(summary: str) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": _response(summary, {"type": "object"})}}


def _ready(summary: str) -> dict[str, Any]:
    found = _get(summary)
    found["responses"]["503"] = _response(
        "Not ready; the error says why", {"$ref": "#/components/schemas/Error"}
    )
    return found


def _errors() -> dict[str, Any]:
    error = {"$ref": "#/components/schemas/Error"}
    return {
        "400": _response("The body is not JSON of this shape", error),
        "413": _response("The body is too large", error),
        "422": _response("A value is not one that the model takes; the error names it", error),
        "500": _response("The model failed, or its answer is not finite", error),
        "503": _response("The model is not ready", error),
    }
