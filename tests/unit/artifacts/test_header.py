"""Names of columns: which are taken, and what is said of the others."""

from __future__ import annotations

import pytest

from redstart.artifacts.header import HeaderError, header


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        pytest.param(["torque", "tool wear"], ["torque", "tool wear"], id="words"),
        pytest.param([" torque", "kind "], ["torque", "kind"], id="blanks around them"),
        pytest.param(["0", "1", "2"], ["0", "1", "2"], id="the default names of pandas"),
        pytest.param(["0", "1", "label"], ["0", "1", "label"], id="pixels"),
        pytest.param(["country", "2019", "2020", "2024"], ["country", "2019", "2020", "2024"], id="years"),
        pytest.param(["id", "0.1", "0.5", "0.9"], ["id", "0.1", "0.5", "0.9"], id="quantiles"),
        pytest.param(['a"b', "c\\d", "e\tf"], ['a"b', "c\\d", "e\tf"], id="signs"),
    ],
)
def test_names_that_are_taken(cells: list[str], names: list[str]) -> None:
    found = header(cells)
    assert found.names == names
    assert found.stripped == [cell for cell in cells if cell not in names]


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        pytest.param(["torque", "kind", "torque"], "^torque stands there twice: columns 1 and 3; name one", id="twice"),
        pytest.param(["torque", "Torque"], "columns 1 and 2 have names that differ in the size of letters", id="case"),
        pytest.param(["torque", "torque "], "columns 1 and 2 have names that differ in blanks", id="blanks"),
        pytest.param(["a", "", "b"], "column 2 has no name; name it", id="no name"),
        pytest.param(["a", "  ", "b"], "column 2 has no name", id="a blank name"),
        pytest.param(["a", "gr\ufffdn"], r"column 2, gr.n, has the sign U\+FFFD", id="a damaged name"),
        pytest.param(["a", "^a.*$"], r"column 2, '\^a\.\*\$', is a pattern", id="a regular expression"),
        pytest.param(["*", "b"], r"column 1, '\*', is a pattern", id="a star"),
        pytest.param(["a" * 129, "b"], "column 1 has 129 characters, at most 128", id="a long name"),
        pytest.param(["5.1", "3.5", "setosa"], "column 1 would be 5.1, which is a number", id="fractions"),
        pytest.param(["6", "148", "72", "0"], "column 1 would be 6, which is a number", id="whole numbers"),
        pytest.param(["L", "1400", "3"], "column 2 would be 1400", id="numbers that do not ascend"),
        pytest.param(["1", "2", "3"], "column 1 would be 1", id="numbers alone that do not count from 0"),
    ],
)  # fmt: skip
def test_names_that_are_refused(cells: list[str], sentence: str) -> None:
    with pytest.raises(HeaderError, match=sentence):
        header(cells)


def test_names_of_parquet_may_be_numbers() -> None:
    assert header(["5", "3"], of_text=False).names == ["5", "3"]
