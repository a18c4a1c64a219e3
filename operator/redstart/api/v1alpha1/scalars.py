"""Text that YAML may have read as something else: `cpu: 0.5` is a number, and an unquoted y, no or off a boolean.

The API server compares types before any rule with a sentence is asked. So these fields have no type there, and are
judged here: what can only have meant one text is taken, the rest is refused with the mend.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

UNTYPED = "x-redstart-untyped"
"""Marks a field's schema; crd.py leaves out its type, and keeps its bounds."""

_QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"


def refusal(sentence: str) -> PydanticCustomError:
    """A validation error that says just the sentence."""
    return PydanticCustomError("redstart", "{sentence}", {"sentence": sentence})


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        raise refusal(
            f"a text is wanted, and this is the boolean {str(value).lower()}: YAML reads y, yes, n, no, on, off, true "
            "and false as booleans; put it in quotes"
        )
    if isinstance(value, int | float):
        return _decimal(value)
    if not isinstance(value, str):
        raise refusal("a text is wanted; put it in quotes")
    return value


def _quantity(value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    text = _decimal(value) if number else value
    if not isinstance(text, str) or not re.fullmatch(_QUANTITY, text):
        raise refusal(
            "use a number with or without a unit, for instance 500m, 2 or 4Gi; put one with a unit in quotes"
        )
    return text


def _decimal(value: float) -> str:
    """2 for 2 and 2.0, 0.5 for 0.5, and never an exponent."""
    number = Decimal(str(value))
    return str(int(number)) if number == number.to_integral_value() else format(number, "f")


Word = Annotated[
    str,
    StringConstraints(max_length=256),
    Field(json_schema_extra={UNTYPED: True}),
    BeforeValidator(_text),
]
"""Text of at most 256 characters."""
LongWord = Annotated[
    str,
    StringConstraints(max_length=4096),
    Field(json_schema_extra={UNTYPED: True}),
    BeforeValidator(_text),
]
"""Text of at most 4,096 characters."""
Target = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128),
    Field(json_schema_extra={UNTYPED: True}),
    BeforeValidator(_text),
]
"""The name of a column."""
Quantity = Annotated[
    str,
    StringConstraints(max_length=32, pattern=_QUANTITY),
    Field(json_schema_extra={UNTYPED: True, "minimum": 0}),
    BeforeValidator(_quantity),
]
"""CPU or memory, as Kubernetes writes it."""
