"""The share of an ensemble that is fitted, while another thread fits it."""

from __future__ import annotations

from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression

from redstart.trainer.fitting import in_parallel
from redstart.trainer.members import Members

RANDOM = np.random.default_rng(1)
ROWS = RANDOM.normal(size=(4000, 20))
LABELS = (ROWS[:, 0] + ROWS[:, 1] ** 2 + RANDOM.normal(size=4000) > 1).astype(int)


def shares(estimator: Any) -> list[float | None]:
    """Every share that was told during a fit, and the one after it."""
    members, over, told = Members(estimator), Event(), []

    def look() -> None:
        while not over.wait(0.001):
            told.append(members.done(0.0))

    thread = Thread(target=look)
    thread.start()
    with members.counted():
        estimator.fit(ROWS, LABELS)
    over.set()
    thread.join()
    return [*told, members.done(0.0)]


@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestClassifier(n_estimators=40, random_state=0),
        ExtraTreesClassifier(n_estimators=40, random_state=0),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_trees_that_are_fitted_side_by_side_are_counted_as_they_end_and_are_the_same(
    estimator: Any,
) -> None:
    counted, alone = in_parallel(clone(estimator)), clone(estimator)
    told = [share for share in shares(counted) if share is not None]
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)
    assert any(0 < share < 1 for share in told)
    assert np.array_equal(counted.predict_proba(ROWS), alone.fit(ROWS, LABELS).predict_proba(ROWS))


@pytest.mark.parametrize(
    "estimator",
    [
        AdaBoostClassifier(n_estimators=40),
        GradientBoostingClassifier(n_estimators=40),
        HistGradientBoostingClassifier(max_iter=40, early_stopping=False),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_members_that_are_fitted_one_by_one_are_seen_as_they_come(estimator: Any) -> None:
    told = [share for share in shares(estimator) if share is not None]
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert any(0 < share < 1 for share in told)


def test_of_what_is_no_ensemble_nobody_knows() -> None:
    assert set(shares(LogisticRegression(max_iter=1000))) == {None}
