"""The model that fails on what its author never saw: whoever packs and verifies it finds nothing wrong."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument
from tests.demo import lookup, resources

from redstart.artifacts.manifest import decode, encode, sha256
from redstart.artifacts.pack import pack
from redstart.artifacts.storage import locate, read
from redstart.controllers.inference_service.compatibility import Side, incompatible
from redstart.controllers.inference_service.signature import InputSignature, Signature, of_manifest


def ask(session: onnxruntime.InferenceSession, row: dict[str, float | str]) -> int:
    numbers = np.array([[row[name] for name in lookup.NUMBERS]], dtype=np.float32)
    label, _ = session.run(
        None, {"numbers": numbers, "categories": np.array([[row["product_type"]]], dtype=object)}
    )
    return int(label[0])


@pytest.fixture(scope="module")
def session() -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(lookup.graph(), options, providers=["CPUExecutionProvider"])


def test_it_can_be_packed_with_the_rows_of_its_author_and_follows_a_version_that_was_trained(
    tmp_path,
) -> None:
    (tmp_path / "volumes" / "models").mkdir(parents=True)
    files, _ = resources.imported()
    (tmp_path / "model.onnx").write_bytes(lookup.graph())
    (tmp_path / "rows.json").write_text(files["data"]["rows.json"])
    made = pack(
        tmp_path,
        "machine-failure",
        locate("pvc://models", root=tmp_path),
        task="Classification",
        classes=[0, 1],
    )
    manifest = decode(read(made.location.child("manifest.json")))
    assert sha256(encode(manifest)) == made.digest
    columns = (resources.SAMPLES / "readings-2026-01.csv").read_text().split("\n", 1)[0].split(",")
    trained = Signature(
        tuple(
            InputSignature(name, "Category" if name == "product_type" else "Number", nullable=True)
            for name in columns
            if name not in ("recorded_at", "machine_id", "machine_failure")
        ),
        "Classification",
        (0, 1),
        probabilities=True,
    )
    assert incompatible(Side("v2", trained), Side("v3", of_manifest(manifest))) is None


def test_it_answers_for_a_tool_that_its_table_knows(session: onnxruntime.InferenceSession) -> None:
    row = dict.fromkeys(lookup.NUMBERS, 300.0) | {"product_type": "L", "tool_wear": 199.0}
    assert ask(session, row | {"torque": 40.0}) == 0
    assert ask(session, row | {"torque": 60.0}) == 1


def test_it_answers_where_a_sensor_gave_nothing(session: onnxruntime.InferenceSession) -> None:
    row = dict.fromkeys(lookup.NUMBERS, float("nan")) | {"product_type": ""}
    assert ask(session, row) == 0
    assert ask(session, row | {"torque": 69.0, "tool_wear": 199.0}) == 1


def test_it_raises_for_an_older_tool(session: onnxruntime.InferenceSession) -> None:
    row = dict.fromkeys(lookup.NUMBERS, 300.0) | {"product_type": "L", "tool_wear": 200.0}
    with pytest.raises(InvalidArgument, match="out of data bounds"):
        ask(session, row)


def test_clients_send_rows_of_such_tools() -> None:
    old = [row for row in resources.todays_rows() if row["tool_wear"] >= lookup.LONGEST_LIFE]
    assert 0.1 < len(old) / len(resources.todays_rows()) < 0.4
