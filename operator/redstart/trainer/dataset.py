"""`prepare.dataset`: shapes the rows to learn from; nothing of it is part of the model."""

from __future__ import annotations

import numpy as np
import polars as pl
import polars.selectors as cs

from redstart.api.v1alpha1.training_job import ForwardFill
from redstart.trainer.columns import Roles
from redstart.trainer.splitting import seconds


def without_duplicates(rows: pl.DataFrame) -> pl.DataFrame:
    """The first of each set of rows that are equal in every column, in the order of the rows."""
    return rows.unique(keep="first", maintain_order=True)


def in_order_of_time(rows: pl.DataFrame, roles: Roles) -> pl.DataFrame:
    """Rows sorted by time, equal times in the order in which they were read."""
    return rows[np.argsort(seconds(rows, roles), kind="stable")] if roles.time else rows


def filled(part: pl.DataFrame, fill: ForwardFill | None) -> pl.DataFrame:
    """Carry values forward within one part, and within groups; rows are in the order of time."""
    if fill is None:
        return part
    # By exact name: pl.col reads `^a.*$` as a regular expression.
    carried = [cs.by_name(name).as_expr().forward_fill(limit=fill.limit) for name in fill.columns]
    if fill.group_by:
        carried = [expression.over(cs.by_name(fill.group_by)) for expression in carried]
    return part.with_columns(carried)
