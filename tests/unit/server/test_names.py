"""Inputs whose names hold any characters, as the server reads them."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.server.test_rows import decode

from redstart.artifacts.manifest import Input
from redstart.server.escaped import escape, unescape
from redstart.server.rows import InputError

NAMES = {
    "a quote": 'a"b',
    "a backslash": "a\\b",
    "a tab": "a\tb",
    "a line feed": "a\nb",
    "a null character": "a\x00b",
    "the mark that escapes begin with": "\ue0000022",
    "a bracket": "a[<].b`",
    "a leading blank": " a",
    "a name of Python": "__proto__",
    "a regular expression": "^a.*$",
    "letters of any script": "größe 温度 🌡",
    "128 characters": '"' * 128,
}


@pytest.mark.parametrize("name", NAMES.values(), ids=list(NAMES))
@pytest.mark.parametrize("ascii_only", [True, False], ids=["escaped", "as it is"])
def test_a_row_finds_its_input_whatever_the_name_holds(name, ascii_only):
    body = json.dumps({"rows": [{name: 1.5, 'other"': 2}]}, ensure_ascii=ascii_only).encode()
    (numbers,) = decode(body, Input(name, "Number"), Input('other"', "Number")).tensors
    assert numbers.tolist() == [[1.5, 2.0]]


@pytest.mark.parametrize(
    ("row", "said"),
    [({}, "is required"), ({'a"\n': []}, "expected a number"), ({'a"\n': 1, "x\\": 2}, "is no input")],
    ids=["a missing value", "a value of another type", "an unknown name"],
)
def test_an_error_has_the_name_as_the_client_wrote_it(row, said):
    with pytest.raises(InputError, match=said) as caught:
        decode({"rows": [row]}, Input('a"\n', "Number", nullable=False))
    assert caught.value.field == ("x\\" if "x\\" in row else 'a"\n')


def test_an_escaped_form_is_not_taken_for_the_name():
    with pytest.raises(InputError, match="is no input"):
        decode({"rows": [{'a"': 1, escape('a"'): 2}]}, Input('a"', "Number"))


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
        min_size=1,
        max_size=5,
        unique=True,
    )
)
def test_any_names_are_told_apart(names):
    row = {name: float(index) for index, name in enumerate(names)}
    (numbers,) = decode(
        {"rows": [row, {}]}, *(Input(name, "Number", nullable=True) for name in names)
    ).tensors
    assert numbers[0].tolist() == list(row.values())
    assert all(map(math.isnan, numbers[1].tolist()))
    assert [unescape(escape(name)) for name in names] == names
