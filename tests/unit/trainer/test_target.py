"""What is asked about a target before it is learned, and what is found on the way."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from tests.unit.trainer.specs import spec

from redstart.trainer.errors import TrainingError
from redstart.trainer.findings import Finding, near_equal_labels
from redstart.trainer.preparing import Prepared, prepare
from redstart.trainer.reading import declared_columns
from redstart.trainer.text_columns import UNDECLARED, CellCounts, read_text


def prepared(columns: dict[str, list[str | None]], times: int = 20, **changes: Any) -> Prepared:
    """The columns' cells so many times, with a number that tells the rows apart, as a CSV file would hold them."""
    wanted = spec(
        **{"data__features": {"include": [name for name in columns if name != "failure"]}, **changes}
    )
    declared = declared_columns(wanted.data)
    counts: dict[str, CellCounts] = {}
    read = []
    for name, cells in columns.items():
        column = pl.Series(name, cells * times, dtype=pl.String)
        values, counts[name] = read_text(column, declared.get(name, UNDECLARED))
        read.append(values)
    rows = pl.DataFrame(read)
    return prepare(rows.with_columns(n=pl.int_range(rows.height)), wanted, counts=counts)


def kinds(found: Prepared) -> dict[tuple[str, str], Finding]:
    return {(finding.column, finding.kind): finding for finding in found.findings}


X = ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("cells", "changes", "classes"),
    [
        pytest.param(["0.0", "1.0", "", "1.0"], {}, (0, 1), id="labels of which one is missing are whole numbers"),
        pytest.param(["0", "1", "NA", "1"], {}, (0, 1), id="a word among numbers is dropped"),
        pytest.param(["True", "false", "?", "1"], {}, (False, True), id="booleans stay booleans"),
        pytest.param(["yes", "no", "", "no "], {}, ("no", "yes"), id="an empty cell among words is dropped"),
        pytest.param(["NA", "EU", "EU", "AP"],
                     {"data__expect": {"columns": {"failure": {"values": ["NA", "EU", "AP"]}}}},
                     ("AP", "EU", "NA"), id="a word that is listed is a class"),
        pytest.param(["NA", "EU", "None", "AP"], {"prepare__dataset__drop_missing": ["failure"]},
                     ("AP", "EU"), id="words that are to be dropped"),
        pytest.param(["0", "1", "x", "x"], {}, ("0", "1", "x"), id="numbers and words, of each a good deal"),
    ],
)  # fmt: skip
def test_classes(cells: list[str], changes: dict[str, Any], classes: tuple[Any, ...]) -> None:
    found = prepared({"x": X, "failure": cells}, **changes)
    assert found.target.classes == classes
    assert list(map(type, found.target.classes)) == list(map(type, classes))


@pytest.mark.parametrize(
    ("cells", "changes", "message"),
    [
        pytest.param(
            ["NA", "EU", "None", "NA"],
            {},
            "data.target: 60 cells of failure hold words that mean no value in features: 'NA' (40), 'None' (20); if "
            "they are classes, list them with the others in data.expect.columns.failure.values, and if they are not, "
            "name failure in prepare.dataset.dropMissing",
            id="words among text are asked about",
        ),
        pytest.param(
            [*["0", "1"] * 10, "unknown"],
            {},
            "data.target: failure holds numbers, but for 20 of 420 cells, such as 'unknown'; clean these, or say "
            "data.expect.columns.failure.type: Category",
            id="a few words among numbers",
        ),
        pytest.param(
            ["1.5", "2.5", "x", "x"],
            {"task": "Regression"},
            "data.target: 40 of 80 cells of failure are no numbers, such as 'x'; Regression needs numbers",
            id="words where numbers are needed",
        ),
        pytest.param(
            ["1.5", "inf", "1", "1"],
            {"task": "Regression"},
            "failure holds 20 infinite values",
            id="infinite",
        ),
        pytest.param(["1", "", "1.0", "NA"], {}, "every value of failure is 1", id="one class"),
    ],
)
def test_targets_that_are_asked_about(cells: list[str], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError) as caught:
        prepared({"x": [str(number) for number in range(len(cells))], "failure": cells}, **changes)
    assert caught.value.reason == "TargetUnusable"
    assert message in str(caught.value)


NUMBERS = [str(number) for number in range(40)]
LABELS = ["0", "1"] * 20


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        pytest.param(
            [*NUMBERS[:37], "12 %", "n.v.", "n.v."],
            "column x holds numbers, but for 60 of 800 cells, such as 'n.v.', '12 %'; clean these, or say "
            "data.expect.columns.x.type: Category",
            id="a few cells that are neither numbers nor missing",
        ),
        pytest.param(
            [f"{number},5" for number in range(40)],
            "column x has a decimal comma in 800 of 800 cells, such as '0,5', '1,5', '10,5', which the file's format "
            "has not; say decimal: ','",
            id="decimal commas",
        ),
        pytest.param([*NUMBERS[:39], "1e999"], "column x holds 20 infinite values", id="infinite numbers"),
        pytest.param(
            [*NUMBERS[:39], "1e300"], "column x holds 20 values beyond 3.4e+38", id="numbers for no float32"
        ),
    ],
)
def test_numbers_that_cannot_be_read_are_no_categories(cells: list[str], message: str) -> None:
    with pytest.raises(TrainingError) as caught:
        prepared({"x": cells, "failure": LABELS})
    assert caught.value.reason == "ColumnUnusable"
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("cells", "expect", "kind"),
    [
        pytest.param(
            [*NUMBERS[:37], "NULL", " 12", "1,234"], None, "Number", id="other ways to write and to miss"
        ),
        pytest.param([*NUMBERS[:39], "x"], {"type": "Category"}, "Category", id="declared categories"),
        pytest.param([*NUMBERS[:20], *"abcdefghijklmnopqrst"], None, "Category", id="half of them numbers"),
        pytest.param([*NUMBERS[:39], "x"], {"values": [*NUMBERS, "x"]}, "Category", id="listed values"),
    ],
)
def test_numbers_that_can(cells: list[str], expect: dict[str, Any] | None, kind: str) -> None:
    changes = {"data__expect": {"columns": {"x": expect}}} if expect else {}
    found = prepared({"x": cells, "failure": LABELS}, **changes)
    assert [feature.type for feature in found.roles.features] == [kind]


def test_a_column_that_is_no_feature_may_hold_anything() -> None:
    columns = {"x": NUMBERS, "note": [*NUMBERS[:39], "x"], "failure": LABELS}
    with pytest.raises(TrainingError, match="column note holds numbers"):
        prepared(columns)
    found = prepared(columns, data__sensitive=["note"], data__features={"include": ["x"]})
    assert not [finding for finding in found.findings if finding.column == "note"]


def test_what_was_changed_dropped_or_guessed_is_found() -> None:
    found = prepared(
        {
            "x": ["1", "NULL", " 2", "?", "+3", "NULL"],
            "zip": ["01067", "10115", "10115", "10115", "10115", "10115"],
            "size": ["38", "40", "M", "L", "S", "XL"],
            "failure": ["yes", "no", "Yes", "no ", "", "yes"],
        },
        times=30,
        prepare__dataset__drop_missing=["x"],
    )
    findings = kinds(found)
    assert findings["x", "ReadAsMissing"] == Finding(
        "x", "ReadAsMissing", 90, ("NULL", "?"), "90 cells of x mean no value: 'NULL' (60), '?' (30)"
    )
    assert (findings["x", "Changed"].count, findings["x", "Changed"].examples) == (30, (" 2",))
    assert findings["zip", "LeadingZeros"].examples == ("01067",)
    assert findings["size", "MixedTypes"].count == 120
    assert "60 of 180 cells are numbers" in findings["size", "MixedTypes"].message
    assert findings["failure", "MissingTarget"].message == "30 rows have no failure: dropped"
    assert findings["x", "MissingValues"].count == 90
    assert findings["failure", "NearEqualLabels"].examples == ("Yes", "yes")


def test_the_findings_of_a_clean_file_are_none() -> None:
    noise = [str(at * 37 % 101) for at in range(len(NUMBERS))]
    assert prepared({"x": noise, "failure": LABELS}, times=1).findings == ()


@pytest.mark.parametrize(
    ("labels", "groups"),
    [
        pytest.param(["yes", "Yes ", "YES", "no"], [("YES", "Yes ", "yes")], id="letters and blanks"),
        pytest.param(
            ["straße", "STRASSE", "ﬁn", "fin"], [("STRASSE", "straße"), ("fin", "ﬁn")], id="their forms"
        ),
        pytest.param(["non fail", "nonfail"], [("non fail", "nonfail")], id="blanks within"),
        pytest.param(["a", "b"], [], id="others"),
    ],
)
def test_labels_that_are_nearly_equal(labels: list[str], groups: list[tuple[str, ...]]) -> None:
    assert near_equal_labels(labels) == groups
