"""Files of rows: one schema, one digest, and errors that name file and column."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from tests.unit.trainer.specs import spec

from redstart.api.v1alpha1.training_job import Source
from redstart.trainer.errors import TrainingError
from redstart.trainer.reading import Reading, copy_files, declared_columns, read_rows
from redstart.trainer.text_columns import Declared


class Volume:
    """A volume named data, and what the trainer reads of it."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "volumes/data"
        self.folder.mkdir(parents=True)
        self.copies = 0
        self.root = root

    def put(self, name: str, content: str | pl.DataFrame) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content)
        else:
            content.write_parquet(path)

    def read(self, *uris: str, categories: Collection[str] = ()) -> tuple[pl.DataFrame, str]:
        reading, digest = self.reading(*uris, declared={name: Declared("Category") for name in categories})
        return reading.rows, digest

    def reading(self, *uris: str, declared: Mapping[str, Declared] | None = None) -> tuple[Reading, str]:
        self.copies += 1
        into = self.root / f"copy-{self.copies}"
        into.mkdir()
        files, digest = copy_files([Source(uri=f"pvc://data/{uri}") for uri in uris], into)
        return read_rows(files, declared), digest


@pytest.fixture
def volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Volume:
    monkeypatch.setenv("REDSTART_ROOT", str(tmp_path))
    return Volume(tmp_path)


def test_files_are_read_in_order(volume: Volume) -> None:
    volume.put("2026-02/rows.csv", "b,a\n3,x\n")
    volume.put("2026-01/rows.csv", "a,b\ny,2\n")
    volume.put("last.parquet", pl.DataFrame({"a": ["z"], "b": [1]}))
    rows, digest = volume.read("last.parquet", "2026-*/rows.csv")
    assert rows.to_dict(as_series=False) == {"a": ["z", "y", "x"], "b": [1, 2, 3]}
    whole = hashlib.sha256()
    for name in ("last.parquet", "2026-01/rows.csv", "2026-02/rows.csv"):
        whole.update(hashlib.sha256((volume.folder / name).read_bytes()).digest())
    assert digest == f"sha256:{whole.hexdigest()}"


def test_the_digest_tells_files_apart(volume: Volume) -> None:
    volume.put("a.csv", "a\n1\n")
    volume.put("b.csv", "a\n2\n")
    assert volume.read("a.csv", "b.csv")[1] != volume.read("b.csv", "a.csv")[1]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        pytest.param("a\n1\n", "a\n1.5\n", [1.0, 1.5], id="whole numbers and fractions"),
        pytest.param("a,b\n,1\n", "a,b\nx,1\n", [None, "x"], id="a column that is empty in the first file"),
        pytest.param("a\n1\n", 'a\n""\n', [1, None], id="a column that is empty in the second"),
        pytest.param("a\n2026-01-01\n", "a\n2026-01-01T10:00:00\n",
                     [datetime(2026, 1, 1), datetime(2026, 1, 1, 10)], id="days and times"),
        pytest.param("a\nNA\nNaN\nnull\n1\n", "a\n2\n", [None, None, None, 1, 2], id="what stands for no value"),
        pytest.param("a\ntrue\n", "a\nfalse\n", [True, False], id="booleans"),
        pytest.param("a\n1\n", "a\nTrue\n0\n", [True, True, False], id="booleans, of which one file has 1 and 0"),
    ],
)  # fmt: skip
def test_types_that_go_together(volume: Volume, first: str, second: str, expected: list[object]) -> None:
    volume.put("1.csv", first)
    volume.put("2.csv", second)
    assert volume.read("*.csv")[0]["a"].to_list() == expected


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        pytest.param(["01067", "10115", ""], ["01067", "10115", None], id="zeros in front are kept"),
        pytest.param(["10115.0", "01067.0", ""], ["10115", "01067", None], id="pandas' whole numbers"),
        pytest.param(["True", "false"], ["true", "false"], id="booleans are small"),
        pytest.param(["L", "1.0", "NA"], ["L", "1", None], id="text and whole numbers"),
        pytest.param(["1.0", "1.5"], [1.0, 1.5], id="fractions stay numbers, which are no categories"),
        pytest.param(["2026-01-01", "soon"], ["2026-01-01", "soon"], id="text that begins like a day"),
        pytest.param(["", "NA"], [None, None], id="nothing"),
    ],
)
def test_cells_of_a_category(volume: Volume, cells: list[str], expected: list[object]) -> None:
    volume.put("a.csv", "n,zip\n" + "".join(f"1,{cell}\n" for cell in cells))
    rows, _ = volume.read("a.csv", categories=["zip", "not there"])
    assert rows["zip"].to_list() == expected
    assert rows["n"].dtype == pl.Int64


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([10115, None], ["10115", None], id="whole numbers"),
        pytest.param([10115.0, None], ["10115", None], id="whole fractions"),
        pytest.param([True, None], ["true", None], id="booleans"),
        pytest.param(["L", "1.0", "NA"], ["L", "1", None], id="text"),
        pytest.param(["1.0", "1.5"], [1.0, 1.5], id="fractions in text, which are no categories"),
        pytest.param([1e19, 1.0], [1e19, 1.0], id="floats above 2^63 are left alone"),
    ],
)
def test_a_category_in_parquet(volume: Volume, values: list[object], expected: list[object]) -> None:
    volume.put("a.parquet", pl.DataFrame({"zip": values}))
    assert volume.read("a.parquet", categories=["zip"])[0]["zip"].to_list() == expected


def test_a_category_in_csv_and_parquet_is_the_same_text(volume: Volume) -> None:
    volume.put("1.csv", "zip\n01067\n10115\n")
    volume.put("2.parquet", pl.DataFrame({"zip": [10115]}))
    rows, _ = volume.read("1.csv", "2.parquet", categories=["zip"])
    assert rows["zip"].to_list() == ["01067", "10115", "10115"]


def test_what_is_declared_of_columns() -> None:
    columns = {name: {"type": "Category"} for name in ("failure", "at", "zip")} | {
        "wear": {"type": "Number"},
        "region": {"values": ["NA", "EU"]},
        "size": {"values": ["1", "2"]},
    }
    data = spec(data__time="at", data__expect={"columns": columns}, data__sensitive=["sex"]).data
    declared = declared_columns(data)
    assert {name for name, column in declared.items() if column.is_category} == {"zip", "region"}
    assert declared["failure"].target
    assert declared["sex"].sensitive
    assert declared["at"] == Declared()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param(pl.Series(["a", "b"], dtype=pl.Categorical), pl.Series(["a", "b"]), id="categories"),
        pytest.param(
            pl.Series(["a", "b"], dtype=pl.Enum(["b", "a"])), pl.Series(["a", "b"]), id="enumerations"
        ),
        pytest.param(pl.Series([Decimal("1.50"), None]), pl.Series([1.5, None]), id="decimals"),
    ],
)
def test_types_of_parquet_become_simpler(volume: Volume, values: pl.Series, expected: pl.Series) -> None:
    volume.put("a.parquet", pl.DataFrame({"a": values}))
    found = volume.read("a.parquet")[0]["a"]
    assert (found.dtype, found.to_list()) == (expected.dtype, expected.to_list())


def test_nan_in_parquet_is_missing(volume: Volume) -> None:
    volume.put("a.parquet", pl.DataFrame({"a": [1.0, float("nan"), None]}))
    assert volume.read("a.parquet")[0]["a"].to_list() == [1.0, None, None]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        pytest.param("a\n1\n", "2.csv has no column b, which pvc://data/1.csv has", id="a column too few"),
        pytest.param(
            "a,b,c\n1,2,3\n", "2.csv has column c, which pvc://data/1.csv has not", id="one too many"
        ),
        pytest.param(
            "a,b\nx,2\n", "column a is text in pvc://data/2.csv and numbers in pvc://data/1.csv", id="text"
        ),
        pytest.param(
            "a,b\n1,true\n", "column b is true/false in pvc://data/2.csv and numbers", id="booleans"
        ),
        pytest.param(
            "a,b\n1,3\n2,x\n",
            "column b is text (1 of 2 values are no numbers, such as 'x') in pvc://data/2.csv and numbers",
            id="text among numbers",
        ),
    ],
)
@pytest.mark.parametrize("first", ["a,b\n1,2\n", "a,b\n1.5,2.5\n"], ids=["whole numbers", "fractions"])
def test_files_that_differ_are_named(volume: Volume, first: str, second: str, message: str) -> None:
    volume.put("1.csv", first)
    volume.put("2.csv", second)
    with pytest.raises(TrainingError) as caught:
        volume.read("1.csv", "2.csv")
    assert caught.value.reason == "SchemaMismatch"
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "reason", "message"),
    [
        pytest.param("a.json", "{}", "SourceInvalid", "must end in .csv", id="another kind of file"),
        pytest.param("a.csv", "", "SourceInvalid", "pvc://data/a.csv cannot be read", id="an empty file"),
        pytest.param("a.csv", "a,b\n", "NoRows", "no rows", id="a header alone"),
        pytest.param(
            "a.csv", "a,b\n1,2,3\n", "SourceInvalid", "pvc://data/a.csv cannot be read", id="a ragged row"
        ),
        pytest.param("a.parquet", "a,b\n1,2\n", "SourceInvalid", "cannot be read", id="no Parquet"),
        pytest.param(
            "a.csv",
            ",a\n0,1\n",
            "SourceInvalid",
            "pvc://data/a.csv: column 1 has no name; name it, or write the file without it (was it written with its",
            id="an index without a name",
        ),
        pytest.param(
            "a.csv",
            f"a,{'b' * 129}\n0,1\n",
            "SourceInvalid",
            "pvc://data/a.csv: the name of column 2 has 129 characters, at most 128",
            id="a name that is too long",
        ),
    ],
)
def test_files_that_cannot_be_read(
    volume: Volume, name: str, content: str, reason: str, message: str
) -> None:
    volume.put(name, content)
    with pytest.raises(TrainingError) as caught:
        volume.read(name)
    assert caught.value.reason == reason
    assert message in str(caught.value)


def test_a_file_that_is_not_there(volume: Volume) -> None:
    with pytest.raises(TrainingError, match=r"data.sources: .*2026-\*\.csv: no file matches") as caught:
        volume.read("2026-*.csv")
    assert caught.value.reason == "SourceNotFound"
