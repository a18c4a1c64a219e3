"""Reports come out of users' pods: only what fits the contract counts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.controllers.objects import details_line, report, sha, terminated

from redstart.controllers import reports

REFUSED: dict[str, Any] = {
    "no JSON": "Traceback: ...",
    "empty": "",
    "no object": "[]",
    "an unknown result": report("", result="Perfect"),
    "a reason that is no reason": report("", reason="it failed"),
    "a number that is none": report("", number=0),
    "an artifact of a scheme that we do not have": report(
        "", artifact={"uri": "file:///etc", "digest": sha("a"), "format": "ONNX"}
    ),
    "a digest that is none": report("", detailsDigest="sha256:xyz"),
}


@pytest.mark.parametrize("message", REFUSED.values(), ids=REFUSED.keys())
def test_a_report_is_refused(message: Any) -> None:
    ended = terminated("trainer", 0, message)["state"]["terminated"]
    assert reports.report(ended) is None


def test_a_report_of_a_later_trainer_is_read() -> None:
    ended = terminated("trainer", 0, report("", somethingNew=1))["state"]["terminated"]
    found = reports.report(ended)
    assert found is not None
    assert found.number == 1
    assert found.artifact is not None
    assert found.artifact.uri == "pvc://models/iris/artifacts/a"


def test_details_are_found_by_their_digest_behind_other_lines() -> None:
    line = details_line()
    found = reports.details(f"reading\nfitting\n{line}\nwarning: at exit\n", sha(line))
    assert found is not None
    assert found.metrics == {"f1": 0.83}


NO_DETAILS: dict[str, tuple[str, str]] = {
    "the digest is another": (details_line(), sha("another")),
    "the log is empty": ("", sha(details_line())),
    "the log lost its beginning": (details_line()[10:], sha(details_line())),
}


@pytest.mark.parametrize(("log", "digest"), NO_DETAILS.values(), ids=NO_DETAILS.keys())
def test_details_are_not_there(log: str, digest: str) -> None:
    assert reports.details(log, digest) is None


BAD_DETAILS: dict[str, tuple[str, str]] = {
    "a metric is no number": (details_line(metrics={"f1": float("nan")}), "details.metrics.f1: "),
    "a feature has no name": (
        details_line(importance=[{"feature": "", "value": 0.3}]),
        "details.importance.0.feature: ",
    ),
    "they are no object": (json.dumps([1]), "details: Input should be an object"),
    "they are no JSON": ("{", "details: Invalid JSON"),
}


@pytest.mark.parametrize(("line", "field"), BAD_DETAILS.values(), ids=BAD_DETAILS.keys())
def test_details_that_do_not_fit_are_refused_with_the_field(line: str, field: str) -> None:
    with pytest.raises(reports.BadReportError, match=f"does not fit the contract: {field}"):
        reports.details(f"{line}\n", sha(line))
