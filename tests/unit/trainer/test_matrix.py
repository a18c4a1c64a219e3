"""The one matrix that a pipeline learns from: a table where there is text, and no trace of it in the pipeline."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from tests.unit.trainer.specs import spec

from redstart.artifacts.predictor import side_by_side
from redstart.trainer import preprocessing
from redstart.trainer.columns import Feature, Roles
from redstart.trainer.fitting import Learnable, fit, forget_names, matrix_of

RANDOM = np.random.default_rng(5)
NUMBERS = RANDOM.normal(size=(300, 3))
NUMBERS[::7, 1] = np.nan
TEXTS = np.column_stack(
    [RANDOM.choice(words, 300).astype(object) for words in (["a", "b", ""], ["x", "y", "1"])]
)
TARGET = (NUMBERS[:, 0] > 0).astype(int)
FEATURES = tuple(
    [Feature(f"n{at}", "Number") for at in range(3)] + [Feature(f"c{at}", "Category") for at in range(2)]
)
ROLES = Roles(FEATURES, "y", None, None, ())


@pytest.mark.parametrize(
    "impute",
    [{}, {"c0": "MostFrequent", "n1": "Mean"}, {"c0": "Constant:b", "n1": "Constant:0"}],
    ids=["by default", "most frequent", "constants"],
)
def test_a_pipeline_that_learned_from_a_table_is_the_one_that_learned_from_an_array(
    impute: dict[str, str],
) -> None:
    prepare = spec(prepare__model__impute=impute).prepare.model
    pipeline = preprocessing.build(ROLES, prepare, LogisticRegression())
    array = side_by_side([NUMBERS, TEXTS])
    by_table = fit(pipeline, Learnable(matrix_of([NUMBERS, TEXTS]), TARGET))
    by_array = fit(pipeline, Learnable(array, TARGET))
    forget_names(by_table)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(by_table.predict_proba(array), by_array.predict_proba(array))
    assert b"feature_names_in_" not in pickle.dumps(by_table)


def test_numbers_alone_are_an_array() -> None:
    assert np.array_equal(matrix_of([NUMBERS]), NUMBERS, equal_nan=True)
