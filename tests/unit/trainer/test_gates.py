"""Gates: bounds, the texts that say how a metric stands to them, and what is undefined."""

from __future__ import annotations

from typing import Any

import pytest

from redstart.api.v1alpha1.common import Gate
from redstart.trainer.errors import TrainingError
from redstart.trainer.gates import evaluate

METRICS = {"f1": 0.62, "rmse": 51.25, "accuracy": 1.0}


@pytest.mark.parametrize(
    ("gate", "passed", "text"),
    [
        pytest.param({"metric": "f1", "atLeast": 0.6}, True, "f1 0.62 >= 0.6", id="above the least"),
        pytest.param({"metric": "f1", "atLeast": 0.62}, True, "f1 0.62 >= 0.62", id="on the least"),
        pytest.param({"metric": "f1", "atLeast": 0.75}, False, "f1 0.62 < 0.75", id="below the least"),
        pytest.param({"metric": "rmse", "atMost": 60}, True, "rmse 51.25 <= 60", id="below the most"),
        pytest.param({"metric": "rmse", "atMost": 51.25}, True, "rmse 51.25 <= 51.25", id="on the most"),
        pytest.param({"metric": "rmse", "atMost": 50}, False, "rmse 51.25 > 50", id="above the most"),
        pytest.param(
            {"metric": "f1", "atLeast": 0.6200000001},
            False,
            "f1 0.62 < 0.6200000001",
            id="just below the least",
        ),
    ],
)
def test_a_gate(gate: dict[str, Any], passed: bool, text: str) -> None:
    (result,) = evaluate([Gate.model_validate(gate)], METRICS)
    assert (result.passed, result.text()) == (passed, text)


def test_an_undefined_metric_is_an_error_and_never_a_pass() -> None:
    gates = [Gate(metric="f1", at_least=0.0), Gate(metric="rocAuc", at_most=1.0)]
    with pytest.raises(TrainingError, match="rocAuc is not defined on the held-out rows: it needs") as caught:
        evaluate(gates, METRICS)
    assert caught.value.reason == "MetricUndefined"


def test_without_gates_there_is_nothing_to_judge() -> None:
    assert evaluate([], {}) == []
