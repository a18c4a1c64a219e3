"""A process of its own that turns a fitted pipeline into ONNX and compares the two: some conversions never end, and
native code may end the process, neither of which may end the training run.

`python -m redstart.trainer.convert FOLDER` reads FOLDER/request.joblib and writes FOLDER/outcome.json and, when a
graph is exact, FOLDER/model.onnx.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import joblib
import msgspec
import numpy as np

from redstart.artifacts.manifest import Manifest, Output, Tensor
from redstart.artifacts.predictor import Predictions, load_model, typed
from redstart.trainer.errors import last_line
from redstart.trainer.parity import Verdict, compare

if TYPE_CHECKING:
    from numpy.typing import NDArray

REQUEST = "request.joblib"
OUTCOME = "outcome.json"
MODEL = "model.onnx"


@dataclass(frozen=True)
class Request:
    """A fitted pipeline, the manifest as far as it is known, sets of rows as tensors, what the pipeline says of them,
    and the standard deviation of a regression's target."""

    pipeline: Any
    draft: Manifest
    checks: list[list[NDArray[Any]]]
    expected: list[Predictions]
    deviation: float | None


class Attempt(msgspec.Struct, frozen=True):
    """One graph, of float32 or float64: the verdict on it, or why there is none."""

    kind: Literal["float", "double"]
    verdict: Verdict | None = None
    error: str | None = None


class Outcome(msgspec.Struct, frozen=True):
    """Every attempt, the last one exact or none; with it the tensors and outputs of the graph."""

    attempts: list[Attempt]
    tensors: list[Tensor] = []
    outputs: list[Output] = []


def convert(request: Request, folder: Path) -> None:
    """Try float32, then float64, and stop at the first exact graph. The outcome is written after each attempt, so
    that a process which is stopped has said what it knows."""
    attempts: list[Attempt] = []
    for kind in ("float", "double"):
        outcome = _attempt(request, kind, attempts, folder)
        (folder / OUTCOME).write_bytes(msgspec.json.encode(outcome))
        if outcome.outputs:
            return


def _attempt(
    request: Request, kind: Literal["float", "double"], attempts: list[Attempt], folder: Path
) -> Outcome:
    try:
        content, manifest = graph(request.pipeline, request.draft, kind)
        model = load_model(content, manifest)
        found = [model.predict(typed(manifest, tensors)) for tensors in request.checks]
        verdict = compare(manifest, list(zip(request.expected, found, strict=True)), request.deviation)
    except Exception as error:
        attempts.append(Attempt(kind, error=last_line(error)))
        return Outcome(attempts)
    attempts.append(Attempt(kind, verdict))
    if not verdict.exact:
        return Outcome(attempts)
    (folder / MODEL).write_bytes(content)
    return Outcome(attempts, manifest.tensors, manifest.outputs)


def graph(pipeline: Any, draft: Manifest, kind: Literal["float", "double"]) -> tuple[bytes, Manifest]:
    """The pipeline as the bytes of an ONNX graph, and the manifest with that graph's tensors and outputs."""
    from skl2onnx import to_onnx  # noqa: PLC0415
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType  # noqa: PLC0415
    from skl2onnx.helpers.onnx_helper import select_model_inputs_outputs  # noqa: PLC0415

    _register_imputer()
    _write_booleans_as_integers()
    types = {"float": FloatTensorType, "double": DoubleTensorType, "string": StringTensorType}
    tensors = [
        tensor if tensor.type == "string" else msgspec.structs.replace(tensor, type=kind)
        for tensor in draft.tensors
    ]
    # Probabilities as one tensor, not as a list of maps. Without options of its own, a last step that has no
    # probabilities is given this one by skl2onnx all the same, and some then refuse it.
    options: dict[int, dict[str, bool]] = {id(pipeline[-1]): {"zipmap": False} if draft.probabilities else {}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = to_onnx(
            pipeline,
            initial_types=[(t.name, types[t.type]([None, len(t.features)])) for t in tensors],
            options=options,
        )
        names = [output.name for output in model.graph.output][: len(draft.outputs)]
        if len(names) < len(model.graph.output):
            # Decision values, which nobody asks for.
            model = select_model_inputs_outputs(model, outputs=names)
    outputs = [
        msgspec.structs.replace(output, tensor=name)
        for output, name in zip(draft.outputs, names, strict=True)
    ]
    content = in_order(model).SerializeToString()
    return content, msgspec.structs.replace(draft, tensors=tensors, outputs=outputs)


def in_order(model: Any) -> Any:
    """The graph with its operator sets by name. skl2onnx writes them in the order of a set that holds None, which
    differs from process to process, and with it the digest of the same model would."""
    sets = sorted(model.opset_import, key=lambda entry: str(entry.domain))
    del model.opset_import[:]
    model.opset_import.extend(sets)
    return model


def _register_imputer() -> None:
    """ONNX Runtime has no Imputer for doubles, so that one is written as Where(IsNaN(x), statistic, x)."""
    from skl2onnx import update_registered_converter  # noqa: PLC0415
    from skl2onnx.common.data_types import DoubleTensorType  # noqa: PLC0415
    from skl2onnx.operator_converters.common import concatenate_variables  # noqa: PLC0415
    from skl2onnx.operator_converters.imputer_op import convert_sklearn_imputer  # noqa: PLC0415
    from skl2onnx.proto import onnx_proto  # noqa: PLC0415
    from skl2onnx.shape_calculators.imputer import calculate_sklearn_imputer_output_shapes  # noqa: PLC0415
    from sklearn.impute import SimpleImputer  # noqa: PLC0415

    def converter(scope: Any, operator: Any, container: Any) -> None:
        if not isinstance(operator.inputs[0].type, DoubleTensorType):
            convert_sklearn_imputer(scope, operator, container)
            return
        values = operator.raw_operator.statistics_.astype(np.float64)
        statistics, missing = (scope.get_unique_variable_name(name) for name in ("statistics", "missing"))
        container.add_initializer(
            statistics, onnx_proto.TensorProto.DOUBLE, [1, len(values)], values.tolist()
        )
        joined = concatenate_variables(scope, operator.inputs, container)
        container.add_node("IsNaN", [joined], [missing], op_version=13)
        container.add_node(
            "Where", [missing, statistics, joined], [operator.outputs[0].full_name], op_version=16
        )

    update_registered_converter(
        SimpleImputer, "SklearnSimpleImputer", calculate_sklearn_imputer_output_shapes, converter
    )


def _write_booleans_as_integers() -> None:
    """scikit-learn 1.9's gradient boosting by histograms marks missing values with booleans, which ONNX's attributes
    of integers refuse."""
    from skl2onnx.common._container import ModelComponentContainer  # noqa: PLC0415

    original = ModelComponentContainer.add_node

    def add_node(self: Any, *arguments: Any, **attributes: Any) -> Any:
        plain = {name: _integers(value) for name, value in attributes.items()}
        return original(self, *arguments, **plain)

    ModelComponentContainer.add_node = add_node


def _integers(value: Any) -> Any:
    if isinstance(value, list) and value and any(isinstance(item, bool | np.bool_) for item in value):
        return [int(item) for item in value]
    return value


if __name__ == "__main__":
    place = Path(sys.argv[1])
    # The file was written by the trainer that started this process, into a folder of its own.
    convert(joblib.load(place / REQUEST), place)
