"""Makes an artifact of a model that was trained elsewhere.

The folder holds `model.onnx` and `rows.json`, a list of raw rows as clients will send them. The graph takes either
one input for each field (shape [rows, 1]), or one tensor of numbers and one of strings, whose columns are the
fields of that type in the order of the first row. Its first output is the prediction, its second, if any, the
probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import onnxruntime

from redstart.artifacts import manifest as manifests
from redstart.artifacts.manifest import (
    CONTRACT,
    REFERENCE,
    Input,
    Label,
    Manifest,
    Output,
    Reference,
    Task,
    Tensor,
)
from redstart.artifacts.predictor import Predictor, load_model
from redstart.artifacts.publish import Published, file_entries, publish
from redstart.artifacts.storage import Location

_TENSORS = {"tensor(float)": "float", "tensor(double)": "double", "tensor(string)": "string"}
_LIMIT = 256


class PackError(ValueError):
    """The folder cannot become an artifact."""


def pack(
    folder: Path, model: str, output: Location, *, task: Task, classes: Sequence[Label] | None
) -> Published:
    """Answer the rows with the graph, and write both as an artifact under `output`/`model`.

    Args:
        classes: The labels of a classifier in the order of its probabilities.

    Raises:
        PackError: the graph or the rows do not fit.
    """
    content = (folder / "model.onnx").read_bytes()
    rows = _rows(folder / "rows.json")
    try:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common base
        raise PackError(f"model.onnx is no ONNX graph that ONNX Runtime loads: {error}") from error
    inputs = _inputs(rows)
    draft = Manifest(
        contract=CONTRACT,
        model=model,
        task=task,
        format="ONNX",
        files=[],
        inputs=inputs,
        tensors=_tensors(session.get_inputs(), inputs),
        outputs=_outputs(session.get_outputs(), task, classes),
        framework={"onnxruntime": onnxruntime.__version__},
    )
    predictor = Predictor(draft, load_model(content, draft))
    try:
        answers = predictor.answer(rows)
    except Exception as error:  # as above
        raise PackError(f"model.onnx does not answer rows.json: {error}") from error
    expected = draft.probabilities.size if draft.probabilities else 0
    if expected and len(answers[0].probabilities or ()) != expected:
        found = len(answers[0].probabilities or ())
        raise PackError(f"--classes: {expected} labels, the graph gives {found} probabilities")
    reference = Reference([{**row} for row in rows], answers)
    contents = {"model.onnx": content, REFERENCE: manifests.encode(reference)}
    final = manifests.decode(manifests.encode(msgspec.structs.replace(draft, files=file_entries(contents))))
    return publish(output.child(model), final, contents)


def _rows(path: Path) -> list[dict[str, float | str | None]]:
    try:
        rows = msgspec.json.decode(path.read_bytes(), type=list[dict[str, float | str | None]])
    except msgspec.DecodeError as error:
        raise PackError(f"{path.name}: {error}") from error
    if not rows or len(rows) > _LIMIT:
        raise PackError(f"{path.name}: give 1 to {_LIMIT} rows, not {len(rows)}")
    return rows


def _inputs(rows: Sequence[Mapping[str, float | str | None]]) -> list[Input]:
    inputs = []
    for name in rows[0]:
        values = [row.get(name) for row in rows]
        texts = sorted({value for value in values if isinstance(value, str) and value})
        if texts and any(isinstance(value, float) for value in values):
            raise PackError(f"rows.json: {name} holds both numbers and text")
        missing = any(value in (None, "") for value in values)
        inputs.append(
            Input(name, "Category", nullable=missing, values=texts)
            if texts
            else Input(name, "Number", nullable=missing)
        )
    return inputs


def _tensors(nodes: Sequence[Any], inputs: Sequence[Input]) -> list[Tensor]:
    names = {feature.name for feature in inputs}
    tensors = []
    for node in nodes:
        if node.type not in _TENSORS:
            raise PackError(
                f"model.onnx: input {node.name} is {node.type}; use float, double or string tensors"
            )
        kind = _TENSORS[node.type]
        wanted = "Category" if kind == "string" else "Number"
        features = [node.name] if node.name in names else [f.name for f in inputs if f.type == wanted]
        tensors.append(Tensor(node.name, kind, features))  # type: ignore[arg-type]
    return tensors


def _outputs(nodes: Sequence[Any], task: Task, classes: Sequence[Label] | None) -> list[Output]:
    if task == "Regression":
        return [Output("prediction", "Number", nodes[0].name)]
    if not classes:
        raise PackError("--classes is needed for Classification, for instance '[0, 1]'")
    outputs = [Output("prediction", "Category", nodes[0].name, values=list(classes))]
    if len(nodes) > 1:
        outputs.append(Output("probabilities", "Number", nodes[1].name, size=len(classes)))
    return outputs
