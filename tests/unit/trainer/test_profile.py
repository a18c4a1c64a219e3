"""Profiles: at most ten frozen bins, counts that add up, values by frequency."""

from __future__ import annotations

import numpy as np
import pytest

from redstart.artifacts.manifest import CategoryProfile, NumberProfile
from redstart.trainer.profile import category, number, profile


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param(
            list(range(1, 101)), NumberProfile([1.0, *range(10, 101, 10)], [10] * 10, 0), id="evenly"
        ),
        pytest.param([0] * 97 + [1] * 3, NumberProfile([0, 0, 1], [97, 3], 0), id="zeros and a few ones"),
        pytest.param([5, 5, 5], NumberProfile([5, 5], [3], 0), id="one value"),
        pytest.param([1, 2, np.nan, np.nan], NumberProfile([1, 1, 2], [1, 1], 2), id="some missing"),
        pytest.param([np.nan], NumberProfile([], [], 1), id="all missing"),
    ],
)
def test_numbers(values: list[float], expected: NumberProfile) -> None:
    assert number(np.array(values, dtype=float)) == expected


@pytest.mark.parametrize("seed", range(10))
def test_every_value_is_in_one_bin(seed: int) -> None:
    random = np.random.default_rng(seed)
    values = np.round(random.gamma(1.0, 3.0, 997), seed % 3)
    found = number(values)
    assert sum(found.counts) == 997
    assert 1 <= len(found.counts) <= 10
    assert len(found.edges) == len(found.counts) + 1
    assert (found.edges[0], found.edges[-1]) == (values.min(), values.max())
    for low, high, count in zip(found.edges[1:-1], found.edges[2:], found.counts[1:], strict=True):
        assert count == ((values > low) & (values <= high)).sum()


def test_categories() -> None:
    assert category(["b", "a", "", "b", "c", "a", "b"]) == CategoryProfile(["b", "a", "c"], [3, 2, 1], 1)


def test_labels_of_different_types_are_different() -> None:
    assert category([1, True, 1, "1"]) == CategoryProfile([1, True, "1"], [2, 1, 1], 0) or category(
        [1, True, 1, "1"]
    ) == CategoryProfile([1, "1", True], [2, 1, 1], 0)


def test_a_profile_of_features_and_predictions() -> None:
    tensors = [np.array([[1.0, 5.0], [2.0, np.nan]]), np.array([["a"], [""]], dtype=object)]
    found = profile(tensors, ["x", "y"], ["kind"], [0, 0, 1], "Classification")
    assert found.rows == 2
    assert found.features == {
        "x": NumberProfile([1, 1, 2], [1, 1], 0),
        "y": NumberProfile([5, 5], [1], 1),
        "kind": CategoryProfile(["a"], [1], 1),
    }
    assert found.prediction == CategoryProfile([0, 1], [2, 1], 0)
    assert isinstance(
        profile(tensors, ["x", "y"], ["kind"], [0.5, 1.5], "Regression").prediction, NumberProfile
    )
