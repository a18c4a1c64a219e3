"""Pipelines fitted on real rows, and the manifest that goes with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from sklearn.datasets import load_breast_cancer, load_diabetes
from tests.unit.trainer.specs import spec

from redstart.artifacts.manifest import Manifest
from redstart.trainer import estimators, registering, training
from redstart.trainer.preparing import Prepared, prepare
from redstart.trainer.progress import Progress


def data(task: str) -> pl.DataFrame:
    loaded = load_breast_cancer() if task == "Classification" else load_diabetes()
    names = [str(name).replace(" ", "_") for name in loaded.feature_names][:4]
    random = np.random.default_rng(0)
    rows = pl.DataFrame(loaded.data[:, :4], schema=names).with_columns(failure=pl.Series(loaded.target))
    return rows.with_columns(kind=pl.Series(random.choice(["L", "M", ""], rows.height)))


def fitted(estimator: str, task: str = "Classification", **changes: Any) -> tuple[Prepared, Any, Manifest]:
    job = spec(task=task, algorithm={"estimator": estimator, **changes.pop("algorithm", {})}, **changes)
    prepared = prepare(data(task), job)
    trained = training.train(prepared, job, estimators.build(job.algorithm, task, 0), Progress())
    draft = registering.draft(job, prepared, trained, input_digest="sha256:i", data_digest="sha256:d")
    return prepared, trained.pipeline, draft
