"""Skops files: equal pipelines have equal bytes, and only harmless types are loaded."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_wine
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from skops.io import dumps

from redstart.artifacts.skops_file import UntrustedTypesError, dump_pipeline, load_pipeline

FEATURES, TARGET = load_wine(return_X_y=True)


@pytest.mark.parametrize(
    "estimator",
    [
        pytest.param(RandomForestClassifier(5, random_state=0), id="a forest"),
        pytest.param(HistGradientBoostingClassifier(max_iter=3, random_state=0), id="histogram boosting"),
        pytest.param(KNeighborsClassifier(), id="neighbours"),
    ],
)
def test_what_is_dumped_is_loaded(estimator: object) -> None:
    pipeline = make_pipeline(StandardScaler(), estimator).fit(FEATURES, TARGET)
    found = load_pipeline(dump_pipeline(pipeline))
    np.testing.assert_array_equal(found.predict_proba(FEATURES), pipeline.predict_proba(FEATURES))


def test_equal_pipelines_have_equal_bytes_in_any_process() -> None:
    script = (
        "import sys, hashlib; from sklearn.datasets import load_wine; "
        "from sklearn.ensemble import RandomForestClassifier; "
        "from redstart.artifacts.skops_file import dump_pipeline; junk = [object() for _ in range(int(sys.argv[1]))]; "
        "model = RandomForestClassifier(3, random_state=0).fit(*load_wine(return_X_y=True)); "
        "print(hashlib.sha256(dump_pipeline(model)).hexdigest())"
    )
    runs = [
        subprocess.run([sys.executable, "-c", script, n], capture_output=True, check=True)
        for n in ("1", "9999")
    ]
    assert len({run.stdout for run in runs}) == 1


def test_a_file_with_other_types_is_refused() -> None:
    hostile = make_pipeline(FunctionTransformer(np.save))
    with pytest.raises(UntrustedTypesError, match="save"):
        load_pipeline(dumps(hostile))
