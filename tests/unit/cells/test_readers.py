"""One cell means the same to every reader."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.cells.readers import FILES, REFUSED, TYPED, Kind, Outcome

from redstart.artifacts import cells

PAGE = Path(__file__).parents[3] / "docs/cells.md"
KNOWN = frozenset({"NA", "1.0", " L", "True"})


def every(cell: Any, kind: Kind, known: frozenset[str], folder: Path) -> set[tuple[type, Outcome]]:
    """What each reader makes of a cell, with the type of what it makes."""
    readers = [*FILES, *TYPED] if isinstance(cell, str) else TYPED
    outcomes = {reader.__name__: reader(cell, kind, known, folder) for reader in readers}
    assert len({repr(outcome) for outcome in outcomes.values()}) == 1, outcomes
    return {(type(outcome), outcome) for outcome in outcomes.values()}


# What a cell of a file may hold: no line breaks, which end rows, and no halves of surrogate pairs, which no file holds.
TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"),
    max_size=8,
)
CELLS = st.one_of(
    st.sampled_from(sorted(cells.MISSING)).map(str.upper),
    st.floats(width=32).map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.integers(0, 10**9).map("{:,}".format),
    st.sampled_from(
        ["True", "FALSE", "true", "1.0", "007", "01067.0", " 12", "+5", "10115.0", "inf", "1e999", " L"]
    ),
    st.text(alphabet="0123456789.,eE+-_ '\u00a0", max_size=10),
    TEXT,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CELLS, st.sampled_from(["Number", "Category"]), st.sampled_from([frozenset(), KNOWN]))
def test_text_means_the_same_to_all(tmp_path: Path, cell: str, kind: Kind, known: frozenset[str]) -> None:
    every(cell, kind, known if kind == "Category" else frozenset(), tmp_path)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(st.booleans(), st.integers(-(2**53), 2**53), st.floats(-(2.0**53), 2.0**53, allow_nan=False)),
    st.sampled_from(["Number", "Category"]),
)
def test_values_with_a_type_mean_the_same_to_all(tmp_path: Path, cell: float | bool, kind: Kind) -> None:
    if kind == "Category" and isinstance(cell, float) and not cells.is_whole(cell):
        return
    every(cell, kind, frozenset(), tmp_path)


def rows_of(heading: str) -> list[Any]:
    """The rows of the table below a heading of docs/cells.md."""
    section = PAGE.read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [
        [cell.strip(" ") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in section.splitlines()
        if line.startswith("|")
    ][2:]
    assert rows, heading
    return [pytest.param(*row[:3], id=row[0]) for row in rows]


def code(cell: str) -> str:
    """The text of a cell of the table: between backticks, with a pipe and blanks written as they can be there."""
    found = re.fullmatch(r"`+( ?)(.*?)\1`+", cell)
    assert found, cell
    return found.group(2).replace("␣", " ").replace("⍽", "\u00a0").replace("\\|", "|")


def outcome(cell: str, kind: Kind) -> Outcome:
    if cell in ("missing", "refused"):
        return None if cell == "missing" else REFUSED
    return float(code(cell)) if kind == "Number" else code(cell)


@pytest.mark.parametrize(("cell", "number", "category"), rows_of("Text"))
def test_the_page_says_what_becomes_of_text(cell: str, number: str, category: str, tmp_path: Path) -> None:
    text = "" if cell == "(empty)" else code(cell)
    for kind, said in (("Number", number), ("Category", category)):
        wanted = outcome(said, kind)
        assert every(text, kind, frozenset(), tmp_path) == {(type(wanted), wanted)}


@pytest.mark.parametrize(("cell", "number", "category"), rows_of("Values that have a type"))
def test_the_page_says_what_becomes_of_typed_values(
    cell: str, number: str, category: str, tmp_path: Path
) -> None:
    value = {"true": True, "false": False, "null": None}.get(code(cell), code(cell))
    if isinstance(value, str):
        value = float(value) if set(value) & set(".e") else int(value)
    for kind, said in (("Number", number), ("Category", category)):
        readers = TYPED[1:] if value is None or said == "refused" else TYPED
        wanted = outcome(said, kind)
        found = {repr(reader(value, kind, frozenset(), tmp_path)) for reader in readers}
        assert found == {repr(wanted)}


def test_the_page_lists_every_word_that_means_no_value() -> None:
    listed = PAGE.read_text(encoding="utf-8").partition("## Missing\n")[2].partition("\n## ")[0]
    assert {
        code(cell).lower() for cell in re.findall(r"`[^`]+`", listed.partition("\n\n")[0])
    } == cells.MISSING - {""}
