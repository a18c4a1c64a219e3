"""Columns that a model should perhaps not learn from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest

from redstart.trainer.columns import Feature, Roles
from redstart.trainer.findings import Finding
from redstart.trainer.suspicions import index_columns, leakage, of_columns

ROWS = 600
random = np.random.default_rng(7)
TRUTH = random.integers(0, 2, ROWS)
NOISE = random.normal(size=ROWS)


def roles(rows: pl.DataFrame) -> Roles:
    features = tuple(
        Feature(name, "Category" if kind == pl.String else "Number") for name, kind in rows.schema.items()
    )
    return Roles(features, "failure", None, None, ())


def kinds(found: Sequence[Finding]) -> list[tuple[str, str]]:
    return [(finding.column, finding.kind) for finding in found]


@pytest.mark.parametrize(
    ("values", "suspected"),
    [
        pytest.param(TRUTH, True, id="the target itself"),
        pytest.param(1 - TRUTH, True, id="its contrary"),
        pytest.param(np.where(TRUTH == 1, "broken", "fine"), True, id="the target in words"),
        pytest.param(TRUTH * 10 + random.integers(0, 3, ROWS), True, id="codes that tell it"),
        pytest.param(TRUTH * 9.0 + NOISE / 4, True, id="a measurement after the fact"),
        pytest.param([None if y else 1.0 for y in TRUTH], True, id="missing where it failed"),
        pytest.param(NOISE, False, id="noise"),
        pytest.param(TRUTH + NOISE, False, id="a good feature"),
        pytest.param([f"part {number}" for number in range(ROWS)], False, id="a name for each row"),
        pytest.param(np.arange(ROWS), False, id="an index"),
        pytest.param([None] * ROWS, False, id="nothing"),
    ],
)
def test_a_feature_that_alone_tells_the_class(values: object, suspected: bool) -> None:
    rows = pl.DataFrame({"x": values, "noise": NOISE})
    found = list(leakage(rows, roles(rows), TRUTH, 2))
    assert kinds(found) == ([("x", "LeakageSuspected")] if suspected else [])
    if suspected:
        assert "x alone tells failure" in found[0].message
        assert "data.features.exclude" in found[0].message


def test_a_feature_that_tells_a_rare_class_in_part_is_not_suspected() -> None:
    rare = (random.random(ROWS) < 0.1).astype(int)
    rows = pl.DataFrame({"x": rare * (random.random(ROWS) < 0.5)})
    assert not list(leakage(rows, roles(rows), rare, 2))


@pytest.mark.parametrize(
    ("values", "suspected"),
    [
        pytest.param(NOISE, True, id="the target itself"),
        pytest.param(3 - NOISE * 1.8, True, id="in another unit"),
        pytest.param(NOISE.round(1), True, id="rounded"),
        pytest.param(NOISE + random.normal(size=ROWS), False, id="a good feature"),
        pytest.param(TRUTH, False, id="noise"),
    ],
)
def test_a_feature_that_alone_tells_the_number(values: object, suspected: bool) -> None:
    rows = pl.DataFrame({"x": values})
    assert bool(list(leakage(rows, roles(rows), NOISE, 0))) == suspected


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        pytest.param("row", range(50), True, id="from 0"),
        pytest.param("row", range(1000, 1050), True, id="from another number"),
        pytest.param("Unnamed: 0", [3, 1] * 25, True, id="the name that pandas gives it"),
        pytest.param("__index_level_0__", [3.5, 1] * 25, True, id="the name that Arrow gives it"),
        pytest.param("wear", [3, 1] * 25, False, id="a measurement"),
        pytest.param("wear", range(0, 100, 2), False, id="steps of two"),
    ],
)
def test_a_feature_that_counts_the_rows(name: str, values: Sequence[float], expected: bool) -> None:
    rows = pl.DataFrame({name: list(values)}, strict=False)
    assert kinds(list(index_columns(rows, roles(rows)))) == ([(name, "IndexColumn")] if expected else [])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([1.0] * 30, [("x", "Constant")], id="one number"),
        pytest.param(["L"] * 30, [("x", "Constant")], id="one word"),
        pytest.param([1.0] * 29 + [None], [], id="one number, missing in a row"),
        pytest.param([f"id-{number}" for number in range(30)], [("x", "Identifier")], id="another word in each row"),
        pytest.param(["L", "M", "H"] * 10, [], id="three words"),
        pytest.param(["yes", "Yes", "no"] * 10, [("x", "NearEqualLabels")], id="a word in two forms"),
    ],
)  # fmt: skip
def test_a_feature_that_says_little(values: list[object], expected: list[tuple[str, str]]) -> None:
    rows = pl.DataFrame({"x": values})
    assert kinds(list(of_columns(rows, roles(rows)))) == expected
