"""What each feature is worth to the model, and what the figure rests on."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from redstart.artifacts.manifest import Manifest, Output, Tensor
from redstart.artifacts.predictor import Predictions, Predictor
from redstart.trainer import importance
from redstart.trainer.importance import Measured, important


class Sum:
    """A regression that adds its first two numbers, the second ten times, and counts what it is asked."""

    def __init__(self) -> None:
        self.rows = 0

    def predict(self, tensors):
        self.rows += len(tensors[0])
        return Predictions(tensors[0][:, 0] + 10 * tensors[0][:, 1], None)


def predictor(features: int) -> Predictor:
    names = [f"f{number}" for number in range(features)]
    manifest = Manifest(
        contract=1,
        model="m",
        task="Regression",
        format="ONNX",
        files=[],
        inputs=[],
        tensors=[Tensor("numbers", "double", names)],
        outputs=[Output("prediction", "Number")],
    )
    return Predictor(manifest, Sum())


def data(rows: int, features: int):
    numbers = np.random.default_rng(3).normal(size=(rows, features))
    return [numbers], numbers[:, 0] + 10 * numbers[:, 1]


@pytest.mark.parametrize(
    ("features", "rows", "measured"),
    [
        pytest.param(6, 400, Measured(400, 5, 6, 6), id="few rows are all asked, five times"),
        pytest.param(30, 40_000, Measured(2000, 5, 30, 30), id="of many rows two thousand"),
        pytest.param(100, 40_000, Measured(2000, 2, 100, 100), id="more features are shuffled less often"),
        pytest.param(784, 2_000, Measured(637, 1, 784, 784), id="then on fewer rows"),
        pytest.param(5_000, 2_000, Measured(200, 1, 5_000, 5_000), id="but on two hundred at least"),
    ],
)
def test_the_effort_is_bounded_and_told(features: int, rows: int, measured: Measured) -> None:
    asked = predictor(features)
    held_out, truth = data(rows, features)
    before = held_out[0].copy()
    found = important(asked, held_out, truth, seed=0)
    assert found.measured == measured
    assert asked.model.rows == measured.rows * (1 + measured.repeats * features)
    assert [name for name, _ in found.features[:2]] == ["f1", "f0"]
    assert len(found.features) == min(20, features)
    assert np.array_equal(held_out[0], before)


def test_the_same_seed_gives_the_same_figures() -> None:
    held_out, truth = data(300, 4)
    assert important(predictor(4), held_out, truth, 7) == important(predictor(4), held_out, truth, 7)


def test_a_model_that_takes_too_long_is_asked_about_what_the_time_allows_and_that_is_told() -> None:
    held_out, truth = data(300, 50)
    ticks = itertools.count(0, importance.SECONDS / 10)
    told: list[tuple[int, int]] = []
    found = important(
        predictor(50), held_out, truth, 0, lambda *done: told.append(done), clock=lambda: next(ticks)
    )
    assert found.measured == Measured(300, 5, 11, 50)
    assert told == [(number, 50) for number in range(12)]
    assert "11 features of 50, all that 60 s were enough for, on 300 held-out rows" in found.text()
