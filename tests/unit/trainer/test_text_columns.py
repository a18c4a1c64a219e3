"""Columns of text: their type, their values and what became of their cells."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redstart.artifacts import cells
from redstart.artifacts.cells import CellError, InfiniteError
from redstart.trainer.text_columns import Declared, as_numbers, read_text


def column(*texts: str | None) -> pl.Series:
    return pl.Series("x", texts, dtype=pl.String)


@pytest.mark.parametrize(
    ("texts", "dtype", "expected"),
    [
        pytest.param(["1", "2", None], pl.Int64, [1, 2, None], id="whole numbers"),
        pytest.param(["1", "2.5", ""], pl.Float64, [1, 2.5, None], id="fractions"),
        pytest.param(["1", "NULL", "?", "-", "\\N"], pl.Float64, [1, None, None, None, None], id="missing"),
        pytest.param([" 12", "1,234", "+5", "1e2"], pl.Float64, [12, 1234, 5, 100], id="other ways to write"),
        pytest.param(["1", "inf"], pl.Float64, [1, float("inf")], id="infinite numbers are told of later"),
        pytest.param(["True", "false", "NA"], pl.Boolean, [True, False, None], id="booleans"),
        pytest.param(["TRUE", "0", "1.0"], pl.Boolean, [True, False, True], id="1 and 0 among booleans"),
        pytest.param(["true", "2"], pl.String, ["true", "2"], id="other numbers are none"),
        pytest.param(["L ", "1.0", "TRUE", "n/a"], pl.String, ["L", "1", "true", None], id="text"),
        pytest.param(["2026-01-31", "-"], pl.Date, [date(2026, 1, 31), None], id="days"),
        pytest.param(["2026-01-31T10:00:00", "2026-01-31T10:00:01"], pl.Datetime("us"),
                     [datetime(2026, 1, 31, 10), datetime(2026, 1, 31, 10, 0, 1)], id="times"),
        pytest.param(["10:30:00", "11:45:00"], pl.Time, [time(10, 30), time(11, 45)], id="times of day"),
        pytest.param(["2026-01-31", "soon"], pl.String, ["2026-01-31", "soon"], id="text among days"),
        pytest.param(["2026-01-31", "7"], pl.String, ["2026-01-31", "7"], id="a number among days"),
        pytest.param(["NA", ""], pl.Float64, [None, None], id="nothing"),
    ],
)  # fmt: skip
def test_a_column_is_what_its_cells_are(texts: list[str], dtype: pl.DataType, expected: list[Any]) -> None:
    values, _ = read_text(column(*texts))
    assert (values.dtype, values.to_list()) == (dtype, expected)


@pytest.mark.parametrize(
    ("texts", "declared", "expected"),
    [
        pytest.param(["007", "10115.0", "NA"], Declared("Category"), ["007", "10115", None], id="a category"),
        pytest.param(["NA", "EU", ""], Declared(values=frozenset({"NA", "EU"})), ["NA", "EU", None],
                     id="a word that is a value"),
        pytest.param(["1.0", "1", "2.0"], Declared("Category", frozenset({"1.0", "1"})), ["1.0", "1", "2"],
                     id="values as they are listed"),
        pytest.param(["True", "0.5"], Declared("Number"), [1, 0.5], id="true is 1 where numbers are declared"),
        pytest.param(["1", "NA", None], Declared(target=True), [1, None, None], id="a target of numbers"),
        pytest.param(["a", "NA", None, " "], Declared(target=True), ["a", "NA", None, None],
                     id="a target of text keeps words"),
    ],
)  # fmt: skip
def test_what_is_declared_decides(texts: list[str], declared: Declared, expected: list[Any]) -> None:
    assert read_text(column(*texts), declared)[0].to_list() == expected


def test_a_decimal_comma() -> None:
    values, counts = read_text(column("1,5", "2", "1.234,5", "1.000"), decimal=",")
    assert values.to_list() == [1.5, 2, 1234.5, 1000]
    assert counts.changed == {"1.234,5": 1, "1.000": 1}


def test_declared_numbers_that_are_none_are_told_from_the_others_whatever_the_decimal_sign() -> None:
    values, _ = read_text(column("1,5", "x", "NA", "2"), Declared("Number"), ",")
    assert values.to_list() == ["1.5", "x", None, "2.0"]
    assert as_numbers(values).to_list() == [1.5, None, None, 2]


def test_what_became_of_the_cells_is_counted() -> None:
    numbers = read_text(column("1", "007.5", " 2", "NULL", "NULL", "?", "", "+3"))[1]
    assert (numbers.missing, numbers.changed) == ({"NULL": 2, "?": 1}, {" 2": 1})
    codes = read_text(column("01067", "10115", "01067"))[1]
    assert codes.zeros == {"01067": 2}
    mixed = read_text(column("1", "2", "x", "x", "NA", "True"))[1]
    assert (mixed.numbers, mixed.others, mixed.missing) == (2, {"x": 2, "True": 1}, {"NA": 1})
    assert (mixed + mixed).others == {"x": 4, "True": 2}


TEXTS = st.one_of(
    st.sampled_from(sorted(cells.MISSING)),
    st.floats().map(repr),
    st.integers().map(str),
    st.text(alphabet="0123456789.,eE+-_ '\u00a0infaINFATYtrue", max_size=12),
    st.text(max_size=6),
)


@given(st.lists(TEXTS, max_size=8))
def test_a_column_of_numbers_is_read_as_each_of_its_cells(texts: list[str]) -> None:
    expected = []
    for text in texts:
        try:
            expected.append(cells.number(text))
        except InfiniteError:
            expected.append("infinite")
        except CellError:
            expected.append(None)
    found = as_numbers(column(*texts)).to_list()
    assert [
        value if value is None or abs(value) < float("inf") else "infinite" for value in found
    ] == expected


@given(st.lists(TEXTS, max_size=8), st.frozensets(TEXTS, max_size=3))
def test_a_column_of_categories_is_read_as_each_of_its_cells(texts: list[str], known: frozenset[str]) -> None:
    found, _ = read_text(column("text", *texts), Declared("Category", known))
    assert found.to_list() == ["text", *(cells.category(text, known) or None for text in texts)]
