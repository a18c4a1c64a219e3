"""Parity: when an exported model answers as the trained one does."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from tests.unit.trainer.fitted import fitted

from redstart.artifacts.manifest import Input, Manifest, Threshold
from redstart.artifacts.predictor import Predictions
from redstart.trainer.export import denied
from redstart.trainer.parity import UNSEEN, compare, disturbed


@pytest.mark.parametrize(
    ("estimator", "reason"),
    [
        pytest.param(
            LinearDiscriminantAnalysis().fit([[0.0], [1.0], [2.0], [4.0]], [0, 0, 1, 1]),
            "other probabilities",
            id="discriminant analysis of two classes",
        ),
        pytest.param(
            LinearDiscriminantAnalysis().fit([[0.0], [1.0], [2.0], [4.0], [8.0], [9.0]], [0, 0, 1, 1, 2, 2]),
            None,
            id="of three classes",
        ),
        pytest.param(
            HistGradientBoostingClassifier(categorical_features=[0]),
            "categorical_features",
            id="boosted categories",
        ),
        pytest.param(HistGradientBoostingClassifier(), None, id="boosting"),
        pytest.param(RandomForestClassifier(), None, id="a forest"),
    ],
)
def test_known_wrong_pairs(estimator: Any, reason: str | None) -> None:
    found = denied(estimator)
    assert (found is None) if reason is None else (found is not None and reason in found)


def draft_of(threshold: Threshold | None = None) -> Manifest:
    _, _, draft = fitted("LogisticRegression")
    return msgspec.structs.replace(draft, threshold=threshold)


def probabilities(*positive: float) -> Predictions:
    table = np.array([[1 - value, value] for value in positive])
    return Predictions(table.argmax(axis=1), table)


@pytest.mark.parametrize(
    ("found", "exact", "largest"),
    [
        pytest.param([0.2, 0.9], True, 0.0, id="equal"),
        pytest.param([0.20009, 0.9], True, 9e-5, id="within the tolerance"),
        pytest.param([0.2003, 0.9], False, 3e-4, id="beyond it"),
        pytest.param([0.2, 0.1], False, 0.8, id="another label"),
        pytest.param([0.2, float("nan")], False, 1.0, id="no number"),
    ],
)
def test_parity_of_probabilities(found: list[float], exact: bool, largest: float) -> None:
    verdict = compare(draft_of(), [(probabilities(0.2, 0.9), probabilities(*found))], None)
    assert (verdict.exact, verdict.largest_difference) == (exact, pytest.approx(largest, abs=1e-9))
    assert len(verdict.listed) == (0 if exact else 1)


def test_parity_allows_one_row_in_a_thousand_and_lists_it_with_its_margin() -> None:
    expected, found = [0.1] * 1999 + [0.45], [0.1] * 1999 + [0.55]
    verdict = compare(draft_of(), [(probabilities(*expected), probabilities(*found))], None)
    assert verdict.exact
    assert [(row.row, round(row.difference, 6), round(row.margin or 0, 6)) for row in verdict.listed] == [
        (1999, 0.1, 0.1)
    ]
    worse = [0.1] * 1996 + [0.55] * 4
    assert not compare(draft_of(), [(probabilities(*expected), probabilities(*worse))], None).exact


def test_parity_holds_for_each_set_of_rows_by_itself() -> None:
    good = (probabilities(*[0.1] * 5000), probabilities(*[0.1] * 5000))
    bad = (probabilities(*[0.1] * 100), probabilities(*[0.2] * 100))
    verdict = compare(draft_of(), [good, bad], None)
    assert (verdict.exact, verdict.agreeing) == (False, 0.0)


def test_parity_judges_the_decision_after_the_threshold() -> None:
    pair = (probabilities(0.30004), probabilities(0.29996))
    assert compare(draft_of(), [pair], None).exact
    assert not compare(draft_of(Threshold(1, 0.3)), [pair], None).exact


def test_parity_of_numbers_is_in_deviations_of_the_target() -> None:
    _, _, draft = fitted("Ridge", "Regression")
    expected, found = Predictions(np.array([1.0, 2.0]), None), Predictions(np.array([1.0, 2.0009]), None)
    assert compare(draft, [(expected, found)], 100.0).exact
    assert not compare(draft, [(expected, found)], 80.0).exact


def test_each_column_is_blanked_and_each_category_unseen() -> None:
    inputs = [
        Input("a", "Number"),
        Input("k", "Category", values=["x"]),
        Input("b", "Number", nullable=False),
        Input("c", "Category", values=["x"], nullable=False, closed=True),
    ]
    tensors = [np.ones((3, 2)), np.full((3, 2), "x", dtype=object)]
    numbers, categories = disturbed(tensors, inputs)
    assert np.isnan(numbers).tolist() == [[True, False]] * 3 + [[False, False]] * 6
    assert categories.tolist() == [["x", "x"]] * 3 + [["", "x"]] * 3 + [[UNSEEN, "x"]] * 3
    assert not np.isnan(tensors[0]).any()
