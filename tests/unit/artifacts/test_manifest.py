"""The manifest: equal documents have equal bytes, and what contradicts itself is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from redstart.artifacts import manifest as manifests
from redstart.artifacts.manifest import File, Input, Manifest, ManifestError, Output, Tensor, Threshold

DIGEST = "sha256:" + "a" * 64


def make(**changes: Any) -> Manifest:
    fields: dict[str, Any] = {
        "contract": 1,
        "model": "m",
        "task": "Classification",
        "format": "ONNX",
        "files": [File("model.onnx", 3, DIGEST), File("reference.json", 2, DIGEST)],
        "inputs": [Input("torque", "Number"), Input("kind", "Category", values=["H", "L"], closed=True)],
        "tensors": [Tensor("numbers", "float", ["torque"]), Tensor("categories", "string", ["kind"])],
        "outputs": [
            Output("prediction", "Category", "label", values=[0, 1], indexed=True),
            Output("probabilities", "Number", "probabilities", size=2),
        ],
        "threshold": Threshold(1, 0.4),
        **changes,
    }
    return Manifest(**fields)


def test_what_is_written_is_read_back() -> None:
    assert manifests.decode(manifests.encode(make())) == make()


def test_the_digest_does_not_depend_on_the_order_of_fields() -> None:
    content = manifests.encode(make())
    document = json.loads(content)
    assert list(document) == sorted(document)
    shuffled = json.dumps(dict(reversed(document.items()))).encode()
    assert manifests.encode(manifests.decode(shuffled)) == content
    assert manifests.digest(make()) == manifests.sha256(content)


def test_labels_keep_their_json_type() -> None:
    for values in ([False, True], [0, 1], ["0", "1"], [0.0, 1.0]):
        outputs = [Output("prediction", "Category", "label", values=list(values), indexed=True)]
        found = manifests.decode(manifests.encode(make(outputs=outputs, threshold=None))).prediction.values
        assert found == values
        assert [type(value) for value in found] == [type(value) for value in values]


def test_a_newer_release_may_add_fields() -> None:
    document = json.loads(manifests.encode(make()))
    document["signature"] = {"by": "someone"}
    assert manifests.decode(json.dumps(document).encode()) == make()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"contract": 2}, "contract 2", id="another contract is refused"),
        pytest.param(
            {"files": [File("../model.onnx", 3, DIGEST)]},
            "no plain file name",
            id="a file name that leaves the folder is refused",
        ),
        pytest.param(
            {"files": [File("model.onnx", 3, DIGEST), File("manifest.json", 3, DIGEST)]},
            "no plain file name",
            id="the manifest cannot name itself",
        ),
        pytest.param({"files": [File("model.onnx", 3, "md5:abc")]}, "sha256", id="every file needs a sha256"),
        pytest.param(
            {"files": [File("model.onnx", 3, DIGEST)] * 2}, "listed twice", id="a file is listed once"
        ),
        pytest.param(
            {"files": [File("reference.json", 3, DIGEST)]},
            "needs model.onnx",
            id="the model's file must be there",
        ),
        pytest.param(
            {"inputs": [Input("torque", "Number")] * 2}, "listed twice", id="an input is listed once"
        ),
        pytest.param(
            {"tensors": [Tensor("numbers", "float", ["torque"])]},
            "exactly one tensor",
            id="every input is in a tensor",
        ),
        pytest.param(
            {"tensors": [Tensor("numbers", "float", ["torque", "kind"])]},
            "holds kind, a Category",
            id="a tensor of numbers holds no categories",
        ),
        pytest.param({"outputs": []}, "first must be the prediction", id="there is a prediction"),
        pytest.param(
            {"outputs": [Output("prediction", "Category", "label", indexed=True)]},
            "needs values",
            id="an index needs what it points into",
        ),
        pytest.param(
            {
                "outputs": [
                    Output("prediction", "Category", "label", values=[0, 1, 2], indexed=True),
                    Output("probabilities", "Number", "p", size=2),
                ]
            },
            "one column for each",
            id="there is one probability for each class",
        ),
        pytest.param(
            {"outputs": [Output("prediction", "Category", "label", values=[0, 1], indexed=True)]},
            "threshold",
            id="a threshold needs probabilities",
        ),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        manifests.decode(manifests.encode(make(**changes)))


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"contract": 1}'])
def test_what_is_no_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.json cannot be read"):
        manifests.decode(content)
