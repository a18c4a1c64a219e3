"""Splits: a row held out once is held out for ever."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.unit.trainer.specs import spec

from redstart.trainer.columns import assign_roles
from redstart.trainer.errors import TrainingError
from redstart.trainer.splitting import Parts, folds, fractions, split
from redstart.trainer.target import read_target

START = datetime(2026, 1, 1)


def frame(rows: int, seed: int = 0) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "at": [START + timedelta(minutes=minute) for minute in range(rows)],
            "machine": [f"m{number}" for number in random.integers(0, 50, rows)],
            "torque": random.normal(size=rows),
            "age": random.choice(["a", "b"], rows),
            "failure": random.integers(0, 2, rows),
        }
    )


def parts(rows: pl.DataFrame, **changes: Any) -> Parts:
    job = spec(data__sensitive=["age"], data__time="at", **changes)
    roles = assign_roles(rows, job)
    return split(rows, roles, read_target(rows["failure"], "Classification"), job.split)


@pytest.mark.parametrize("strategy", ["Random", "Stratified"])
def test_rows_held_out_once_stay_held_out_when_rows_are_appended(strategy: str) -> None:
    old, new = frame(2000), pl.concat([frame(2000), frame(1000, seed=1)])
    before, after = parts(old, split__strategy=strategy), parts(new, split__strategy=strategy)
    assert before.test.tolist() == [row for row in after.test.tolist() if row < 2000]
    assert 0.17 < len(before.test) / 2000 < 0.23


def test_the_order_of_rows_and_columns_does_not_matter() -> None:
    rows = frame(500)
    shuffled = rows.select(sorted(rows.columns, reverse=True)).reverse()
    before, after = rows[parts(rows).test], shuffled[parts(shuffled).test]
    assert sorted(before["at"].to_list()) == sorted(after["at"].to_list())


def test_whole_numbers_and_fractions_of_equal_value_are_the_same_row() -> None:
    whole = pl.DataFrame({"a": [1, 0, 3]})
    fraction = pl.DataFrame({"a": [1.0, -0.0, 3.0]})
    assert fractions(whole, 7).tolist() == fractions(fraction, 7).tolist()


@pytest.mark.parametrize(
    "appended",
    [
        pytest.param(["a", None], id="text"),
        pytest.param([1.5, None], id="numbers"),
        pytest.param([True, None], id="booleans"),
        pytest.param([START, None], id="times"),
    ],
)
def test_the_first_values_of_a_column_do_not_draw_anew(appended: list[Any]) -> None:
    old = frame(500).with_columns(note=pl.lit(None))
    note = pl.Series(appended * 50)
    new = pl.concat([old.cast({"note": note.dtype}), frame(100, seed=1).with_columns(note=note)])
    excluded = {"data__features": {"exclude": ["note"]}}
    before, after = parts(old, **excluded), parts(new, **excluded)
    assert before.test.tolist() == [row for row in after.test.tolist() if row < 500]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param([["a"], ["b"]], id="lists"),
        pytest.param([{"a": 1}, {"a": 2}], id="structs"),
        pytest.param([b"\xff", b"b"], id="bytes"),
        pytest.param([timedelta(1), timedelta(2)], id="durations"),
    ],
)
def test_a_column_that_cannot_be_compared_does_not_decide(other: list[Any]) -> None:
    rows = frame(500)
    excluded = {"data__features": {"exclude": ["other"]}}
    found = parts(rows.with_columns(other=pl.Series(other * 250)), **excluded)
    assert "other" not in found.rule.columns
    assert found.test.tolist() == parts(rows).test.tolist()


def test_the_choice_of_features_does_not_draw_anew() -> None:
    rows = frame(500)
    assert parts(rows).test.tolist() == parts(rows, data__features={"exclude": ["torque"]}).test.tolist()


def test_a_sensitive_value_does_not_decide() -> None:
    rows = frame(500)
    other = rows.with_columns(age=pl.lit("b"))
    assert parts(rows).test.tolist() == parts(other).test.tolist()


def test_another_seed_draws_others() -> None:
    rows = frame(500)
    assert parts(rows).test.tolist() != parts(rows, split__seed=1).test.tolist()


def test_fractions_never_change() -> None:
    """What other releases have held out; a change of these numbers would put held-out rows into training."""
    rows = pl.DataFrame({"b": [1.5, None, 2.0], "a": ["x", "", None], "c": [True, False, None]})
    assert fractions(rows, 7).round(6).tolist() == [0.331308, 0.967393, 0.333034]


def test_rows_of_a_group_stay_together() -> None:
    rows = frame(2000)
    found = parts(rows, split__strategy="Group", split__group="machine")
    train, test = set(rows["machine"][found.train]), set(rows["machine"][found.test])
    assert not train & test
    assert train | test == set(rows["machine"])
    assert found.rule.columns == ["machine"]


def test_time_holds_out_the_newest_and_leaves_a_gap() -> None:
    rows = frame(1000).reverse()
    found = parts(rows, split__strategy="Time", split__gap="1h")
    assert sorted(rows["at"][found.test])[0] == START + timedelta(minutes=800)
    assert sorted(rows["at"][found.train])[-1] == START + timedelta(minutes=739)
    assert (len(found.train), len(found.test)) == (740, 200)
    assert found.rule.cutoff == "2026-01-01T13:20:00"


def test_rows_of_the_same_time_are_not_parted() -> None:
    rows = frame(1000).with_columns(at=pl.lit(START) + pl.duration(hours=pl.int_range(1000) // 300))
    found = parts(rows, split__strategy="Time")
    assert len(found.test) == 400
    assert not set(rows["at"][found.train]) & set(rows["at"][found.test])


@pytest.mark.parametrize(
    "at",
    [
        pytest.param([f"2026-01-01 00:{minute:02d}:00" for minute in range(60)], id="text"),
        pytest.param([f"2026-01-01T00:{minute:02d}:00Z" for minute in range(60)], id="text with a zone"),
        pytest.param([60.0 * minute for minute in range(60)], id="seconds"),
        pytest.param([START + timedelta(minutes=minute) for minute in range(60)], id="times"),
        pytest.param([START.date() + timedelta(days=day) for day in range(60)], id="days"),
    ],
)
def test_times_may_be(at: list[Any]) -> None:
    rows = frame(60).with_columns(at=pl.Series(at))
    found = parts(rows, split__strategy="Time")
    assert found.test.tolist() == list(range(48, 60))


@pytest.mark.parametrize(
    ("rows", "changes", "reason", "message"),
    [
        pytest.param(
            frame(6).with_columns(at=pl.Series(["2026-01-01", "soon", "never"] * 2)),
            {"split__strategy": "Time"},
            "TimeUnusable",
            "4 values of at",
            id="text that is no time",
        ),
        pytest.param(
            frame(6).with_columns(at=pl.Series([START, None, None] * 2)),
            {"split__strategy": "Time"},
            "TimeUnusable",
            "4 values of at are missing",
            id="missing times",
        ),
        pytest.param(
            frame(6).with_columns(at=pl.lit(True)),
            {"split__strategy": "Time"},
            "TimeUnusable",
            "Boolean",
            id="times that are no times",
        ),
        pytest.param(
            frame(6).with_columns(at=pl.lit(timedelta(1))),
            {"split__strategy": "Time"},
            "TimeUnusable",
            "Duration",
            id="durations are no times",
        ),
        pytest.param(
            frame(6).with_columns(at=pl.Series([["a"]] * 6)),
            {"split__strategy": "Time"},
            "TimeUnusable",
            "List",
            id="lists are no times",
        ),
        pytest.param(
            frame(100).with_columns(at=pl.lit(START)),
            {"split__strategy": "Time"},
            "SplitImpossible",
            "training part is empty",
            id="one time only",
        ),
        pytest.param(
            frame(20),
            {"split__strategy": "Time", "split__gap": "24h"},
            "SplitImpossible",
            "training",
            id="a wide gap",
        ),
        pytest.param(
            frame(40).with_columns(failure=(pl.int_range(40) == 7).cast(pl.Int64)),
            {"split__strategy": "Stratified"},
            "SplitImpossible",
            "no row of class 1",
            id="a class with one row",
        ),
        pytest.param(
            frame(40).with_columns(machine=pl.lit("m")),
            {"split__strategy": "Group", "split__group": "machine"},
            "SplitImpossible",
            "is empty",
            id="one group only",
        ),
    ],
)
def test_a_split_that_cannot_be_says_why(
    rows: pl.DataFrame, changes: dict[str, Any], reason: str, message: str
) -> None:
    with pytest.raises(TrainingError, match=message) as caught:
        parts(rows, **changes)
    assert caught.value.reason == reason


@pytest.mark.parametrize("strategy", ["Random", "Stratified", "Group", "Time"])
def test_folds_follow_the_strategy(strategy: str) -> None:
    labels = np.array([0, 1] * 100)
    groups = np.array([f"g{number // 4}" for number in range(200)], dtype=object)
    changes = {"split__group": "g"} if strategy == "Group" else {}
    found = list(folds(spec(split__strategy=strategy, data__time="at", **changes).split, labels, groups))
    assert len(found) == 5
    for train, held in found:
        assert not set(train) & set(held)
        if strategy == "Stratified":
            assert labels[held].mean() == 0.5
        if strategy == "Group":
            assert not set(groups[train]) & set(groups[held])
        if strategy == "Time":
            assert train.max() < held.min()
