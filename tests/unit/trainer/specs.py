"""Specs for tests: a valid TrainingJob spec, changed by dotted field names."""

from __future__ import annotations

import copy
from typing import Any

from redstart.api.v1alpha1.training_job import TrainingJobSpec

BASE: dict[str, Any] = {
    "model": "m",
    "task": "Classification",
    "data": {"sources": [{"uri": "pvc://data/rows.csv"}], "target": "failure"},
    "algorithm": {"estimator": "LogisticRegression"},
    "output": {"uri": "pvc://models"},
}


def document(**changes: Any) -> dict[str, Any]:
    """The base as JSON with changes; `data__time="at"` sets data.time."""
    made = copy.deepcopy(BASE)
    for name, value in changes.items():
        *path, last = name.split("__")
        place = made
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return made


def spec(**changes: Any) -> TrainingJobSpec:
    return TrainingJobSpec.model_validate(document(**changes))
