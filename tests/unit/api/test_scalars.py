"""Text that YAML may read as something else."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from tests.unit.trainer.specs import spec

from redstart.api.v1alpha1.scalars import Quantity, Word


class Asked(BaseModel):
    word: Word = ""
    quantity: Quantity = "1"


@pytest.mark.parametrize(
    ("typed", "text"),
    [("y1", "y1"), ("1", "1"), ("1.0", "1"), ("-0.5", "-0.5"), ("1e3", "1e3"), ("1.0e-7", "0.0000001"), ("'y'", "y")],
)  # fmt: skip
def test_words_that_are_taken(typed: str, text: str) -> None:
    assert Asked(word=yaml.safe_load(typed)).word == text


@pytest.mark.parametrize("typed", ["yes", "no", "on", "off", "true", "False", "null", "[a]", "{a: b}"])
def test_words_that_want_quotes(typed: str) -> None:
    with pytest.raises(ValidationError, match="put it in quotes"):
        Asked(word=yaml.safe_load(typed))


@pytest.mark.parametrize(
    ("typed", "text"),
    [("0.5", "0.5"), ("2", "2"), ("2.0", "2"), ("500m", "500m"), ("1.5Gi", "1.5Gi"), ("0.0001", "0.0001")],
)
def test_quantities_that_are_taken(typed: str, text: str) -> None:
    assert Asked(quantity=yaml.safe_load(typed)).quantity == text


@pytest.mark.parametrize("typed", ["lots", "-1", "4 GB", "yes", "null", "[1]", ".5x"])
def test_quantities_that_are_refused(typed: str) -> None:
    with pytest.raises(ValidationError, match="use a number with or without a unit"):
        Asked(quantity=yaml.safe_load(typed))


@given(st.one_of(st.integers(0, 10**9), st.floats(0.001, 10**9)))
def test_every_number_is_a_quantity_of_its_value(number: float) -> None:
    assert float(Asked(quantity=number).quantity) == number  # type: ignore[arg-type]


SOURCES = [{"uri": "pvc://c/x.csv"}]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        pytest.param(
            {"target": True}, "data.target: a text is wanted, and this is the boolean true", id="unquoted y"
        ),
        pytest.param({"target": "y", "time": "y"}, "data: time must not be the target", id="as time"),
        pytest.param(
            {"target": "y", "sensitive": ["y"]}, "sensitive must not name the target", id="as sensitive"
        ),
        pytest.param(
            {"target": "y", "features": {"include": ["x", "y"]}},
            "include must not name the target",
            id="as a feature",
        ),
    ],
)
def test_a_target_is_text_and_apart(data: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        spec(data={"sources": SOURCES, **data})
    first = caught.value.errors()[0]
    assert sentence in f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
