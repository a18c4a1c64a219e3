"""What the verifier reports."""

import hashlib
import json

import msgspec
import pytest
from tests.unit.server import sample_artifacts

from redstart.artifacts import manifest as manifests
from redstart.artifacts.manifest import Answer
from redstart.server.__main__ import main


@pytest.fixture
def verify(tmp_path, monkeypatch):
    log = tmp_path / "termination-log"
    monkeypatch.setenv("REDSTART_TERMINATION_LOG", str(log))

    def run(manifest, files, *arguments):
        folder = tmp_path / "model"
        sample_artifacts.write(folder, manifest, files)
        code = main(["verify", "--model-dir", str(folder), *arguments])
        return code, json.loads(log.read_bytes())

    return run


def test_a_good_artifact_is_verified(verify, classifier, capsys):
    code, report = verify(*classifier)
    assert code == 0
    assert (report["result"], report["reason"]) == ("Verified", "ReferenceRowsMatch")
    assert "all 32 reference rows" in report["message"]
    line = capsys.readouterr().out.splitlines()[-1]
    assert report["detailsDigest"] == "sha256:" + hashlib.sha256(line.encode()).hexdigest()
    details = json.loads(line)
    assert details["redstart"] == "details"
    assert details["inputs"][2] == {
        "name": "product_type",
        "type": "Category",
        "nullable": True,
        "values": ["L", "M", "H"],
    }
    assert details["outputs"][1] == {"name": "probabilities", "type": "Number", "size": 2}
    assert details["importance"] == [{"feature": "torque", "value": 0.31}]


def test_a_skops_artifact_is_verified(verify):
    assert verify(*sample_artifacts.regression())[0] == 0


def test_wrong_answers_fail_with_the_row(verify, classifier):
    manifest, files = classifier
    reference = manifests.decode_reference(files[manifests.REFERENCE])
    answers = [Answer(1, [0.125, 0.875]), *reference.answers[1:]]
    wrong = files | {
        manifests.REFERENCE: manifests.encode(msgspec.structs.replace(reference, answers=answers))
    }
    code, report = verify(*sample_artifacts.with_files(manifest, wrong))
    assert (code, report["result"], report["reason"]) == (3, "Failed", "ReferenceMismatch")
    assert (
        "1 of 32 reference rows differ: reference row 0: expected probabilities [0.125, 0.875]"
        in report["message"]
    )


def test_a_format_that_policy_does_not_allow_fails(verify, classifier):
    code, report = verify(*classifier, "--formats", "Skops")
    assert (code, report["reason"]) == (3, "FormatNotAllowed")


def test_an_unknown_format_is_a_usage_error(verify, classifier, tmp_path, capsys):
    assert main(["verify", "--model-dir", str(tmp_path), "--formats", "Pickle"]) == 2
    assert "'Pickle' is no format; known are ONNX, Skops, Joblib" in capsys.readouterr().err
