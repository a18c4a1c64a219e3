"""Files of rows: one schema, one digest, and errors that name file and column."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from redstart.api.v1alpha1.training_job import Source
from redstart.artifacts.storage import StoreError
from redstart.trainer.errors import TrainingError
from redstart.trainer.reading import copy_files, read_rows


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

    def read(self, *uris: str) -> tuple[pl.DataFrame, str]:
        self.copies += 1
        into = self.root / f"copy-{self.copies}"
        into.mkdir()
        files, digest = copy_files([Source(uri=f"pvc://data/{uri}") for uri in uris], into)
        return read_rows(files), digest


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
    ],
)  # fmt: skip
def test_types_that_go_together(volume: Volume, first: str, second: str, expected: list[object]) -> None:
    volume.put("1.csv", first)
    volume.put("2.csv", second)
    assert volume.read("*.csv")[0]["a"].to_list() == expected


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
            "a,b\ntrue,2\n", "column a is true/false in pvc://data/2.csv and numbers", id="booleans"
        ),
    ],
)
def test_files_that_differ_are_named(volume: Volume, second: str, message: str) -> None:
    volume.put("1.csv", "a,b\n1,2\n")
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
    with pytest.raises(StoreError, match=r"2026-\*\.csv: no file matches"):
        volume.read("2026-*.csv")
