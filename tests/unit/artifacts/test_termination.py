"""Termination messages fit, whatever the message."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from redstart.artifacts import termination
from redstart.artifacts.termination import Artifact, Report

FULL = Report(
    "Rejected",
    "GateFailed",
    "f1 0.62 < 0.75",
    number=3,
    input_digest="sha256:" + "1" * 64,
    data_digest="sha256:" + "2" * 64,
    rows=10_000,
    artifact=Artifact("pvc://models/m/artifacts/3f", "sha256:" + "3" * 64, "ONNX"),
    details_digest="sha256:" + "4" * 64,
)


def test_a_report_is_the_contracts_json() -> None:
    assert json.loads(termination.encode(FULL)) == {
        "result": "Rejected",
        "reason": "GateFailed",
        "message": "f1 0.62 < 0.75",
        "number": 3,
        "inputDigest": "sha256:" + "1" * 64,
        "dataDigest": "sha256:" + "2" * 64,
        "rows": 10000,
        "artifact": {"uri": "pvc://models/m/artifacts/3f", "digest": "sha256:" + "3" * 64, "format": "ONNX"},
        "detailsDigest": "sha256:" + "4" * 64,
    }


@pytest.mark.parametrize(
    "character", ["x", "é", "\u2047", "\U0001f600", '"', "\n", "\x01"], ids=lambda c: f"of U+{ord(c):04X}"
)
def test_a_long_message_is_cut_and_the_json_stays_whole(character: str) -> None:
    content = termination.encode(Report("Failed", "FitFailed", character * 9000, rows=5))
    assert len(content) <= termination.LIMIT
    found = json.loads(content)
    assert found["message"].endswith("...")
    assert set(found["message"]) == {character, "."}
    assert (found["result"], found["reason"], found["rows"]) == ("Failed", "FitFailed", 5)
    assert len(content) > termination.LIMIT * 0.9


def test_it_is_written_where_the_kubelet_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDSTART_TERMINATION_LOG", str(tmp_path / "log"))
    termination.write(FULL)
    assert (tmp_path / "log").read_bytes() == termination.encode(FULL)
