"""Small artifacts for tests of the server: a classifier over numbers and a category, and a regression."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from redstart.artifacts import manifest as manifests
from redstart.artifacts.manifest import (
    CategoryProfile,
    Input,
    Manifest,
    NumberProfile,
    Output,
    Profile,
    Reference,
    Tensor,
    Threshold,
)
from redstart.artifacts.predictor import Predictor, load_model
from redstart.artifacts.publish import file_entries
from redstart.artifacts.skops_file import dump_pipeline

TORQUE = Input("torque", "Number", nullable=True)
TEMPERATURE = Input("Air temperature [K]", "Number", nullable=False)
PRODUCT = Input("product_type", "Category", nullable=True, values=["L", "M", "H"])

ROW: dict[str, Any] = {"torque": 40.1, "Air temperature [K]": 298.1, "product_type": "L"}


def rows(count: int = 32) -> list[dict[str, Any]]:
    """Raw rows; every eighth lacks its torque, one has a category that training never saw."""
    random = np.random.default_rng(7)
    made: list[dict[str, Any]] = [
        {
            "torque": None if index % 8 == 7 else round(float(random.uniform(20, 60)), 1),
            "Air temperature [K]": round(float(random.uniform(295, 305)), 1),
            "product_type": ["L", "M", "H"][index % 3],
        }
        for index in range(count)
    ]
    made[3]["product_type"] = "unseen"
    return made


def classifier(
    labels: list[Any] | None = None, *, threshold: Threshold | None = None, closed: bool = False
) -> tuple[Manifest, dict[str, bytes]]:
    """A manifest and its files: LogisticRegression in ONNX, fitted on indices of the labels."""
    labels = labels if labels is not None else [0, 1]
    numbers, categories, target = _training_data()
    pipeline = make_pipeline(
        ColumnTransformer(
            [
                ("numbers", SimpleImputer(), [0, 1]),
                ("categories", OneHotEncoder(handle_unknown="ignore"), [2]),
            ]
        ),
        LogisticRegression(max_iter=1000),
    )
    pipeline.fit(np.hstack([numbers.astype(object), categories]), target)
    # The graph's first two inputs are one tensor each, so the columns are fitted by position and named here.
    graph = to_onnx(
        pipeline,
        initial_types=[("numbers", FloatTensorType([None, 2])), ("categories", StringTensorType([None, 1]))],
        options={"zipmap": False},
    )
    draft = Manifest(
        contract=manifests.CONTRACT,
        model="machine-failure",
        task="Classification",
        format="ONNX",
        files=[],
        inputs=[TORQUE, TEMPERATURE, msgspec.structs.replace(PRODUCT, closed=closed)],
        tensors=[
            Tensor("numbers", "float", [TORQUE.name, TEMPERATURE.name]),
            Tensor("categories", "string", [PRODUCT.name]),
        ],
        outputs=[
            Output("prediction", "Category", "label", values=labels, indexed=True),
            Output("probabilities", "Number", "probabilities", size=2),
        ],
        threshold=threshold,
        framework={"scikit-learn": "1.9.1"},
    )
    return _whole(draft, graph.SerializeToString(), closed=closed)


def regression(estimator: Any = None, times: int = 1) -> tuple[Manifest, dict[str, bytes]]:
    """The estimator, or LinearRegression, over the two numbers of so many times the rows, in Skops."""
    numbers = np.tile(_training_data()[0], (times, 1))
    pipeline = make_pipeline(SimpleImputer(), estimator or LinearRegression())
    pipeline.fit(numbers, np.nan_to_num(numbers[:, 0], nan=40.0) * 2 + numbers[:, 1])
    draft = Manifest(
        contract=manifests.CONTRACT,
        model="machine-failure",
        task="Regression",
        format="Skops",
        files=[],
        inputs=[TORQUE, TEMPERATURE],
        tensors=[Tensor("numbers", "double", [TORQUE.name, TEMPERATURE.name])],
        outputs=[Output("prediction", "Number")],
    )
    return _whole(draft, dump_pipeline(pipeline), closed=False)


def write(folder: Path, manifest: Manifest, files: dict[str, bytes]) -> str:
    """Write an artifact as fetch leaves it, and return its digest."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    content = manifests.encode(manifest)
    (folder / manifests.MANIFEST).write_bytes(content)
    return manifests.sha256(content)


def with_files(manifest: Manifest, files: dict[str, bytes]) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest with sizes and digests of these files."""
    return msgspec.structs.replace(manifest, files=file_entries(files)), files


def _training_data() -> tuple[Any, Any, Any]:
    made = rows(200)
    numbers = np.array([[row["torque"], row["Air temperature [K]"]] for row in made], dtype=np.float64)
    categories = np.array([[row["product_type"]] for row in made], dtype=object)
    categories[categories == "unseen"] = "L"
    return numbers, categories, (np.nan_to_num(numbers[:, 0]) > 45).astype(np.int64)


def _whole(draft: Manifest, content: bytes, *, closed: bool) -> tuple[Manifest, dict[str, bytes]]:
    names = {feature.name for feature in draft.inputs}
    asked = [{name: value for name, value in row.items() if name in names} for row in rows()]
    if closed:
        asked = [row for row in asked if row["product_type"] != "unseen"]
    predictor = Predictor(draft, load_model(content, draft))
    answers = predictor.answer(asked)
    torque = [row["torque"] for row in asked if row["torque"] is not None]
    features: dict[str, Any] = {"torque": NumberProfile([20.0, 40.1, 60.0], [len(torque) // 2] * 2, 4)}
    if "product_type" in names:
        features["product_type"] = CategoryProfile(["L", "M", "H"], [11, 11, 10], 0)
    predicted = [answer.prediction for answer in answers]
    prediction = (
        NumberProfile(
            [float(min(predicted)), float(np.median(predicted)), float(max(predicted))], [16, 16], 0
        )  # type: ignore[arg-type]
        if draft.task == "Regression"
        else CategoryProfile(list(draft.prediction.values or []), [16, 16], 0)
    )
    files = {
        draft.model_file: content,
        manifests.REFERENCE: manifests.encode(Reference(asked, answers)),
        manifests.PROFILE: manifests.encode(Profile(len(asked), features, prediction)),
        manifests.REPORT: msgspec.json.encode(
            {"importance": [{"feature": "torque", "value": 0.31}], "metrics": {}}
        ),
    }
    return with_files(draft, files)
