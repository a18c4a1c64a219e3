"""Real data, as scikit-learn ships it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal

import polars as pl
from sklearn.datasets import load_breast_cancer, load_diabetes

from tests.e2e.kubernetes import Object


@dataclass(frozen=True)
class Dataset:
    """Rows with a target."""

    rows: pl.DataFrame
    target: str
    task: Literal["Classification", "Regression"]

    @property
    def features(self) -> pl.DataFrame:
        """The rows without their target."""
        return self.rows.drop(self.target)

    @property
    def requests(self) -> list[Object]:
        """The rows as clients send them."""
        return self.features.to_dicts()

    def csv(self) -> str:
        """The rows as a CSV file; every number is read back as it is."""
        return self.rows.write_csv()

    def parquet(self) -> bytes:
        """The rows as a Parquet file."""
        file = io.BytesIO()
        self.rows.write_parquet(file)
        return file.getvalue()


def breast_cancer() -> Dataset:
    """569 rows of 30 numbers, and a diagnosis: "malignant" or "benign"."""
    found = load_breast_cancer()
    diagnosis = [str(found.target_names[label]) for label in found.target]
    rows = pl.DataFrame(found.data, schema=list(map(str, found.feature_names)), orient="row")
    return Dataset(rows.with_columns(pl.Series("diagnosis", diagnosis)), "diagnosis", "Classification")


def diabetes() -> Dataset:
    """442 rows of 10 numbers in the units they were measured in, and how far the disease went in a year."""
    found = load_diabetes(scaled=False)
    rows = pl.DataFrame(found.data, schema=list(map(str, found.feature_names)), orient="row")
    return Dataset(rows.with_columns(pl.Series("progression", found.target)), "progression", "Regression")
