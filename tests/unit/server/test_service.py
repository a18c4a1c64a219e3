"""A loaded model's answers."""

import json

import msgspec
import numpy as np
import pytest
from tests.unit.server import sample_artifacts
from tests.unit.server.sample_artifacts import ROW

from redstart.artifacts.manifest import Threshold
from redstart.artifacts.predictor import Predictions
from redstart.server.inference import InvalidOutputError, ModelError, answer


def predict(service, body):
    return json.loads(service.predict(json.dumps(body).encode()).body)


def test_the_answers_are_the_artifacts_own(service):
    reference = service.artifact.reference
    found = predict(service, {"rows": reference.rows})
    assert found["prediction"] == [wanted.prediction for wanted in reference.answers]
    assert found["probabilities"] == [wanted.probabilities for wanted in reference.answers]
    assert set(found["prediction"]) == {0, 1}
    assert (found["model"], found["version"]) == ("machine-failure", "machine-failure-v3")


def test_one_row_is_answered_without_lists(service):
    single = predict(service, {"features": [40.1, 298.1, "L"]})
    listed = predict(service, {"rows": [ROW]})
    assert [single["prediction"]] == listed["prediction"]
    assert [single["probabilities"]] == listed["probabilities"]


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param([0, 1], id="integers"),
        pytest.param(["healthy", "failing"], id="strings"),
        pytest.param([False, True], id="booleans"),
        pytest.param([0.5, 1.0], id="floats"),
    ],
)
def test_predictions_keep_the_json_type_of_the_target(labels, make_service):
    found = predict(make_service(*sample_artifacts.classifier(labels)), {"rows": sample_artifacts.rows()})
    assert {(type(label), label) for label in found["prediction"]} == {
        (type(label), label) for label in labels
    }


@pytest.mark.parametrize("positive", [0, 1])
def test_the_manifests_threshold_decides(positive, make_service):
    service = make_service(*sample_artifacts.classifier(["no", "yes"], threshold=Threshold(positive, 0.999)))
    found = predict(service, {"rows": sample_artifacts.rows()})
    labels = ["no", "yes"]
    assert found["prediction"] == [
        labels[positive] if row[positive] >= 0.999 else labels[1 - positive] for row in found["probabilities"]
    ]
    assert set(found["prediction"]) == {"no", "yes"}


def test_a_regression_answers_with_numbers_and_no_probabilities(make_service):
    service = make_service(*sample_artifacts.regression())
    found = predict(service, {"rows": [{"torque": 10, "Air temperature [K]": 300}]})
    assert found.keys() == {"prediction", "model", "version"}
    assert found["prediction"] == pytest.approx([320.0], abs=0.5)


class Broken:
    """A model that answers as it is told, or raises."""

    def __init__(self, found):
        self.found = found

    def predict(self, tensors):
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@pytest.mark.parametrize(
    ("found", "error"),
    [
        pytest.param(RuntimeError("bad node\nand more"), ModelError("bad node"), id="the runtime raises"),
        pytest.param(
            Predictions(np.array([0]), np.array([[np.nan, 0.5]])),
            InvalidOutputError("a probability is not finite"),
            id="a probability is NaN",
        ),
        pytest.param(
            Predictions(np.array([np.inf]), None),
            InvalidOutputError("the prediction is not finite"),
            id="a prediction is infinite",
        ),
        pytest.param(
            Predictions(np.array([7]), None),
            ModelError("no class for what the model answered: list index out of range"),
            id="no such class",
        ),
    ],
)
def test_a_models_fault_is_told_from_a_clients(found, error, classifier):
    manifest = classifier[0]
    with pytest.raises(type(error), match=str(error)) as caught:
        answer(manifest, Broken(found), [])
    assert type(caught.value) is type(error)


def test_openapi_describes_the_models_own_inputs(service):
    document = json.loads(service.openapi)
    row = document["components"]["schemas"]["Row"]
    assert row["properties"]["torque"] == {"type": ["number", "null"]}
    assert row["properties"]["Air temperature [K]"] == {"type": "number"}
    assert row["properties"]["product_type"]["examples"] == ["L", "M", "H"]
    assert row["required"] == ["Air temperature [K]"]
    assert "/v2/models/machine-failure/infer" in document["paths"]


def test_openapi_lists_the_values_of_a_closed_category(make_service):
    document = json.loads(make_service(*sample_artifacts.classifier(closed=True)).openapi)
    assert document["components"]["schemas"]["Row"]["properties"]["product_type"]["enum"] == [
        "L",
        "M",
        "H",
        None,
    ]


def test_the_examples_of_openapi_are_answered(service):
    post = json.loads(service.openapi)["paths"]["/predict"]["post"]
    examples = post["requestBody"]["content"]["application/json"]["examples"]
    for example in examples.values():
        assert "prediction" in predict(service, example["value"])
    infer = json.loads(service.openapi)["paths"]["/v2/models/machine-failure/infer"]["post"]
    body = infer["requestBody"]["content"]["application/json"]["example"]
    assert json.loads(service.infer(msgspec.json.encode(body)).body)["outputs"]
