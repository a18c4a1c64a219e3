"""What one cell means."""

from __future__ import annotations

import pytest

from redstart.artifacts import cells
from redstart.artifacts.cells import CellError, InfiniteError

# pandas.io.parsers.readers.STR_NA_VALUES of pandas 3.0.
PANDAS = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
]  # fmt: skip
PEOPLE = ["?", "-", "--", ".", "\\N", "  ", "\t", "\xa0", " NA ", "na", "none", "n.a.", "NaT", "[NULL]"]


@pytest.mark.parametrize("text", PANDAS + PEOPLE)
def test_what_stands_for_no_value_does_so_in_numbers_and_categories(text: str) -> None:
    assert cells.is_missing(text)
    assert cells.number(text) is None
    assert cells.category(text) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("12", 12, id="a whole number"),
        pytest.param(" 12", 12, id="a blank before"),
        pytest.param("12\xa0\t", 12, id="blanks of other kinds behind"),
        pytest.param("+5", 5, id="a plus"),
        pytest.param("-5.25", -5.25, id="a minus"),
        pytest.param("−5", -5, id="a minus as a typesetter writes it"),
        pytest.param(".5", 0.5, id="nothing before the point"),
        pytest.param("5.", 5, id="nothing behind it"),
        pytest.param("1.5e3", 1500, id="an exponent"),
        pytest.param("2E-2", 0.02, id="a negative exponent"),
        pytest.param("1,234", 1234, id="thousands"),
        pytest.param("-1,234,567.5", -1234567.5, id="millions with a fraction"),
        pytest.param("1 234", 1234, id="thousands with a blank"),
        pytest.param("1\u202f234", 1234, id="thousands with a narrow blank"),
        pytest.param("1'234", 1234, id="thousands as the Swiss write them"),
        pytest.param("1_234", 1234, id="thousands as programmers write them"),
        pytest.param("007", 7, id="zeros in front"),
        pytest.param("1e-999", 0, id="too small for a float"),
        pytest.param("True", 1, id="true"),
        pytest.param("FALSE", 0, id="false"),
    ],
)
def test_a_number_in_text(text: str, expected: float) -> None:
    assert cells.number(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("12,5", 12.5, id="a fraction"),
        pytest.param("1.234", 1234, id="thousands"),
        pytest.param("1.234,5", 1234.5, id="both"),
        pytest.param("1 234,5", 1234.5, id="thousands with a blank"),
        pytest.param("12", 12, id="neither"),
    ],
)
def test_a_number_with_a_decimal_comma(text: str, expected: float) -> None:
    assert cells.number(text, ",") == expected


@pytest.mark.parametrize(
    ("text", "decimal"),
    [
        pytest.param("12,5", ".", id="a decimal comma where the format has a point"),
        pytest.param("12.5", ",", id="a decimal point where the format has a comma"),
        pytest.param("0,123", ".", id="a zero is no thousand"),
        pytest.param("1,23,456", ".", id="groups of two"),
        pytest.param("1,234 567", ".", id="two signs for thousands"),
        pytest.param("1_23", ".", id="a group of two"),
        pytest.param("12 5", ".", id="two numbers"),
        pytest.param("12.5.1", ".", id="two points"),
        pytest.param("5%", ".", id="a unit"),
        pytest.param("0x1F", ".", id="hexadecimal"),
        pytest.param("١٢", ".", id="digits of another script"),
        pytest.param("e5", ".", id="an exponent alone"),
        pytest.param("+", ".", id="a sign alone"),
        pytest.param("yes", ".", id="a word"),
    ],
)
def test_text_that_is_no_number(text: str, decimal: cells.Decimal) -> None:
    with pytest.raises(CellError, match="the text"):
        cells.number(text, decimal)


@pytest.mark.parametrize("text", ["inf", "-inf", "Infinity", "+INF", "∞", "1e999", "-1e999", " inf "])
def test_an_infinite_number_has_an_error_of_its_own(text: str) -> None:
    with pytest.raises(InfiniteError, match="an infinite number"):
        cells.number(text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("L", "L", id="text"),
        pytest.param(" L\t", "L", id="blanks around it"),
        pytest.param("10115.0", "10115", id="a whole number with a fraction of zeros"),
        pytest.param("01067.00", "01067", id="zeros in front are kept"),
        pytest.param("007", "007", id="zeros in front without a fraction"),
        pytest.param("-0.0", "0", id="zero has no sign"),
        pytest.param("1.50", "1.50", id="a fraction is text"),
        pytest.param("1.0.0", "1.0.0", id="a version is text"),
        pytest.param("+49", "+49", id="a plus is text"),
        pytest.param("1,234", "1,234", id="thousands are text"),
        pytest.param("TRUE", "true", id="a boolean in text"),
        pytest.param("yes", "yes", id="a word"),
        pytest.param(10115, "10115", id="a whole number"),
        pytest.param(10115.0, "10115", id="a whole float"),
        pytest.param(-0.0, "0", id="minus zero"),
        pytest.param(True, "true", id="true"),
        pytest.param(None, "", id="nothing"),
    ],
)
def test_a_category(value: str | float | None, expected: str) -> None:
    assert cells.category(value) == expected
    assert cells.category(cells.category(value)) == expected


@pytest.mark.parametrize(
    ("value", "known", "expected"),
    [
        pytest.param("NA", ["NA"], "NA", id="a word that is a value"),
        pytest.param(" NA ", ["NA"], "NA", id="with blanks around it"),
        pytest.param("na", ["NA"], "", id="in other letters it is none"),
        pytest.param("1.0", ["1.0", "1"], "1.0", id="a version"),
        pytest.param("True", ["True", "False"], "True", id="text that says true"),
        pytest.param(" L", [" L"], " L", id="blanks that are part of a value"),
        pytest.param(1.5, ["1.5"], "1.5", id="a fraction that is known as text"),
    ],
)
def test_what_is_known_as_a_value_is_that_value(value: str | float, known: list[str], expected: str) -> None:
    assert cells.category(value, known) == expected


@pytest.mark.parametrize("value", [1.5, 1e300, float("inf"), float("nan")])
def test_a_number_without_one_text_is_no_category(value: float) -> None:
    with pytest.raises(CellError):
        cells.category(value)
