"""Expectations: a broken rule names column, rule and count, and never a value."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from redstart.api.v1alpha1.training_job import Expectations
from redstart.trainer.errors import TrainingError
from redstart.trainer.expectations import check

ROWS = pl.DataFrame(
    {
        "torque": [40.0, None, 250.0, -1.0],
        "kind": ["L", "M", "secret", None],
        "text": ["1", "2.5", "secret", "x"],
        "wear": [1, 2, 3, 4],
        "ok": [True, False, True, None],
        "tags": [["a"], ["b"], [], None],
        "blob": [b"a", b"secret", b"\xff", None],
        "took": [timedelta(1), timedelta(2), timedelta(3), None],
        "huge": [1e19, 2.0, 3.0, None],
    }
)


@pytest.mark.parametrize(
    ("expect", "broken"),
    [
        pytest.param({"minRows": 4}, None, id="enough rows"),
        pytest.param({"minRows": 5000}, "minRows: 4 rows, at least 5,000 are expected", id="too few rows"),
        pytest.param({"columns": {"torque": {"maxMissing": 0.25}}}, None, id="few enough missing"),
        pytest.param(
            {"columns": {"torque": {"maxMissing": 0.05}}},
            "columns.torque: maxMissing 0.05: 1 of 4 values are missing (25.00%)",
            id="too many missing",
        ),
        pytest.param({"columns": {"torque": {"min": -1, "max": 250}}}, None, id="within bounds"),
        pytest.param(
            {"columns": {"torque": {"min": 0, "max": 200}}},
            "min 0: 1 of 4 values are below; data.expect.columns.torque: max 200: 1 of 4 values are above",
            id="both bounds broken",
        ),
        pytest.param({"columns": {"wear": {"type": "Number"}}}, None, id="numbers are numbers"),
        pytest.param({"columns": {"ok": {"type": "Number"}}}, None, id="booleans are numbers"),
        pytest.param(
            {"columns": {"text": {"type": "Number"}}}, "type Number: 2 of 4 values are not numbers", id="text"
        ),
        pytest.param(
            {"columns": {"kind": {"min": 0}}},
            "min and max need numbers: 3 of 4",
            id="bounds of what is no number",
        ),
        pytest.param({"columns": {"wear": {"type": "Category"}}}, None, id="whole numbers are categories"),
        pytest.param({"columns": {"kind": {"type": "Category"}}}, None, id="text is a category"),
        pytest.param(
            {"columns": {"torque": {"type": "Category", "min": -5}}},
            None,
            id="whole fractions are categories",
        ),
        pytest.param({"columns": {"kind": {"values": ["L", "M", "secret"]}}}, None, id="known values"),
        pytest.param(
            {"columns": {"kind": {"values": ["L", "M"]}}},
            "values: 1 of 4 are none of L, M",
            id="an unknown value",
        ),
        pytest.param({"columns": {"wear": {"values": ["1", "2", "3", "4"]}}}, None, id="numbers as text"),
        pytest.param({"columns": {"ok": {"values": ["true", "false"]}}}, None, id="booleans as text"),
        pytest.param(
            {"columns": {"tags": {"type": "Category"}}},
            "columns.tags: type: the column holds List(String); only maxMissing fits it",
            id="lists are no categories",
        ),
        pytest.param(
            {"columns": {"blob": {"type": "Number", "values": ["a"]}}},
            "columns.blob: type and values: the column holds Binary; only maxMissing fits it",
            id="bytes are no numbers",
        ),
        pytest.param(
            {"columns": {"took": {"min": 0, "max": 5}}},
            "columns.took: min and max: the column holds Duration",
            id="durations have no bounds",
        ),
        pytest.param({"columns": {"tags": {"maxMissing": 0.5}}}, None, id="lists may be missing"),
        pytest.param(
            {"columns": {"huge": {"type": "Category"}}},
            "type Category: 1 of 4 values are neither text nor true/false nor whole numbers below 2^63",
            id="a float above 2^63 is no category",
        ),
        pytest.param(
            {"columns": {"huge": {"values": ["2"]}}},
            "values: 3 of 4 are none of 2",
            id="a float above 2^63 is no value",
        ),
        pytest.param(
            {"columns": {"tork": {"min": 0}}},
            "columns.tork: there is no such column; did you mean",
            id="no column",
        ),
    ],
)
def test_rules(expect: dict[str, Any], broken: str | None) -> None:
    expectations = Expectations.model_validate(expect)
    if broken is None:
        check(ROWS, expectations)
        return
    with pytest.raises(TrainingError) as caught:
        check(ROWS, expectations)
    assert caught.value.reason == "ExpectationFailed"
    assert broken in str(caught.value)
    assert "secret" not in str(caught.value)


def test_every_broken_rule_is_reported_at_once() -> None:
    expect = {"minRows": 9, "columns": {"wear": {"max": 2}, "kind": {"maxMissing": 0}}}
    with pytest.raises(TrainingError, match=r"minRows.*wear.*kind"):
        check(ROWS, Expectations.model_validate(expect))
