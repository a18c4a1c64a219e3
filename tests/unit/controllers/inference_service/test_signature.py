"""What is known of a version by its manifest, and by its spec alone."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.artifacts.test_manifest import make
from tests.unit.controllers.inference_service.builders import artifact

from redstart.api.v1alpha1 import ModelVersionSpec
from redstart.artifacts.manifest import Input, Output, Tensor
from redstart.controllers.inference_service.signature import (
    InputSignature,
    Signature,
    of_manifest,
    of_spec,
)


def spec(**fields: Any) -> ModelVersionSpec:
    made = {"model": "m", "number": 1, "artifact": artifact(1).to_dict(), **fields}
    return ModelVersionSpec.model_validate(made)


TORQUE = {"name": "torque", "type": "Number", "nullable": True}
PREDICTION = {"name": "prediction", "type": "Category", "values": ["0", "1"]}
PROBABILITIES = {"name": "probabilities", "type": "Number", "size": 2}


def test_a_manifest_tells_all() -> None:
    manifest = make(
        inputs=[
            Input("torque", "Number", nullable=False),
            Input("kind", "Category", values=["L"], closed=True),
            Input("site", "Category", values=["x"]),
        ],
        tensors=[Tensor("numbers", "float", ["torque"]), Tensor("categories", "string", ["kind", "site"])],
        outputs=[
            Output("prediction", "Category", values=[False, True], indexed=True),
            Output("probabilities", "Number", size=2),
        ],
    )
    assert of_manifest(manifest) == Signature(
        (
            InputSignature("torque", "Number", False),
            InputSignature("kind", "Category", True, frozenset({"L"})),
            InputSignature("site", "Category", True),
        ),
        manifest.task,
        (False, True),
        probabilities=True,
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({}, None, id="a version written by hand that tells nothing"),
        pytest.param(
            {"inputs": [TORQUE], "outputs": [PREDICTION, PROBABILITIES]},
            Signature((InputSignature("torque", "Number", True),), "Classification", ("0", "1"), True),
            id="a classifier, its classes as text",
        ),
        pytest.param(
            {"inputs": [TORQUE], "outputs": [{"name": "prediction", "type": "Number"}]},
            Signature((InputSignature("torque", "Number", True),), "Regression"),
            id="a regression",
        ),
        pytest.param(
            {"inputs": [TORQUE]},
            Signature((InputSignature("torque", "Number", True),), ""),
            id="one that tells of inputs alone",
        ),
        pytest.param(
            {"outputs": [PREDICTION]},
            Signature((), "Classification", ("0", "1"), whole=False),
            id="one that tells of outputs alone",
        ),
    ],
)
def test_a_spec_tells_what_it_has(fields: dict[str, Any], expected: Signature | None) -> None:
    assert of_spec(spec(**fields)) == expected


@pytest.mark.parametrize(
    ("inputs", "classes", "whole"),
    [
        pytest.param(499, 2, True, id="fewer than can be listed are all"),
        pytest.param(500, 2, False, id="as many inputs as can be listed may be some of more"),
        pytest.param(2, 50, False, id="as many classes as can be listed may be some of more"),
    ],
)
def test_a_spec_that_is_full_may_tell_a_part(inputs: int, classes: int, whole: bool) -> None:
    found = of_spec(
        spec(
            inputs=[{"name": f"x{place}", "type": "Number"} for place in range(inputs)],
            outputs=[{**PREDICTION, "values": [str(place) for place in range(classes)]}],
        )
    )
    assert found is not None
    assert found.whole is whole
