"""CSV files of any dialect become the same rows, and what is wrong with one is said with file, column and field."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest

from redstart.api.v1alpha1.training_job import Source
from redstart.artifacts.dialect import BEGINNING
from redstart.trainer.errors import TrainingError
from redstart.trainer.reading import Reading, copy_files, read_rows

GERMAN = "größe;art;wert\n40,5;L;1\n41,25;M;2\n"
EXPECTED = {"größe": [40.5, 41.25], "art": ["L", "M"], "wert": [1, 2]}


def read(
    root: Path, content: bytes | str, format: dict[str, str] | None = None, name: str = "a.csv"
) -> Reading:
    folder = root / "volumes/data"
    folder.mkdir(parents=True)
    (root / "copies").mkdir()
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    first = {"uri": "pvc://data/first/*.csv"}
    (folder / "first").mkdir()
    given = Source.model_validate({"uri": f"pvc://data/{name}", **({"format": format} if format else {})})
    # The second source, so that an error has to count.
    (folder / "first/empty.csv").write_text("unused\n")
    files, _ = copy_files([Source.model_validate(first), given], root / "copies")
    return read_rows(files[1:])


@pytest.fixture(autouse=True)
def _root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDSTART_ROOT", str(tmp_path))


@pytest.mark.parametrize(
    ("content", "format"),
    [
        pytest.param(GERMAN.encode(), None, id="UTF-8"),
        pytest.param(GERMAN.encode("utf-8-sig"), None, id="UTF-8 with a mark"),
        pytest.param(GERMAN.encode("utf-16"), None, id="UTF-16"),
        pytest.param(GERMAN.replace(";", "\t").encode("utf-16"), None, id="UTF-16 and tabs, as Excel writes it"),
        pytest.param(GERMAN.replace("\n", "\r\n").encode(), None, id="lines of Windows"),
        pytest.param(GERMAN.replace("\n", "\r").encode(), None, id="lines of old Macs"),
        pytest.param(b"sep=;\r\n" + GERMAN.encode(), None, id="Excel's first line"),
        pytest.param(GERMAN.replace(";", "|").encode(), None, id="bars"),
        pytest.param(gzip.compress(GERMAN.encode("utf-16")), None, id="packed UTF-16"),
        pytest.param(gzip.compress(GERMAN.encode()), None, id="packed"),
        pytest.param(GERMAN.encode("cp1252"), {"encoding": "cp1252"}, id="cp1252 that is said"),
        pytest.param(GERMAN.encode("latin-1"), {"encoding": "Latin-1"}, id="latin-1 that is said"),
        pytest.param(GERMAN.encode("utf-16-le"), {"encoding": "UTF-16LE"}, id="UTF-16LE that is said"),
        pytest.param(GERMAN.replace(";", "#").encode(), {"separator": "#"}, id="a separator that is said"),
        pytest.param(GERMAN.encode(), {"separator": ";", "decimal": ",", "encoding": "UTF-8"}, id="all is said"),
        pytest.param(GERMAN.replace("\n", "\n\n").encode(), None, id="blank lines"),
        pytest.param(GERMAN.replace("art", " art ").encode(), None, id="blanks around a name"),
    ],
)  # fmt: skip
def test_one_table_in_many_dialects(tmp_path: Path, content: bytes, format: dict[str, str] | None) -> None:
    assert read(tmp_path, content, format).rows.to_dict(as_series=False) == EXPECTED


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param(
            GERMAN,
            [("", "Guessed", "pvc://data/a.csv was read as separated by ;, with decimal comma; if that is wrong, set "
                             "data.sources[1].format")],
            id="what was guessed",
        ),
        pytest.param(
            "a,b\n\n1,2\n\n",
            [("", "BlankLines", "2 lines of pvc://data/a.csv hold nothing and are no rows")],
            id="blank lines",
        ),
        pytest.param(
            "a , b\n1,2\n",
            [("a", "Changed", "the name 'a ' in pvc://data/a.csv lost the blanks around it"),
             ("b", "Changed", "the name ' b' in pvc://data/a.csv lost the blanks around it")],
            id="blanks around names",
        ),
        pytest.param(
            "at,b\n03/02/2026,2\n04/02/2026,3\n",
            [("at", "Guessed", "at was read with the day first, and every value could have the month first: write it "
                               "as 2026-01-31")],
            id="days that could be months",
        ),
        pytest.param("at,b\n03/02/2026,2\n14/02/2026,3\n", [], id="days of which one is no month"),
        pytest.param("at,b\n03.02.2026,2\n", [], id="days with points, which stand first everywhere"),
        pytest.param("a,b\n1,2\n", [], id="nothing"),
    ],
)  # fmt: skip
def test_what_was_done_is_told(tmp_path: Path, content: str, told: list[tuple[str, str, str]]) -> None:
    found = read(tmp_path, content).findings
    assert [(finding.column, finding.kind, finding.message) for finding in found] == told


@pytest.mark.parametrize(
    ("content", "format", "message"),
    [
        pytest.param(b"torque,kind,torque\n1,2,3\n", None, "torque stands there twice: columns 1 and 3", id="twice"),
        pytest.param(b"torque,kind,Torque \n1,2,3\n", None, "columns 1 and 3 have names that differ", id="case"),
        pytest.param(b"5.1,3.5,x\n4.9,3.0,y\n", None, "column 1 would be 5.1, which is a number", id="no header"),
        pytest.param("gr\ufffdn,b\n1,2\n".encode(), None, "the sign U+FFFD", id="a damaged name"),
        pytest.param("größe,b\n1,2\n".encode("cp1252"), None,
                     "in cp1252 the header has 'größe' there; set data.sources[1].format.encoding, for instance to",
                     id="a header in cp1252"),
        pytest.param("a,b\n1,grün\n".encode("cp1252"), None, "byte 0xFC in line 2 is no UTF-8; set data.sources[1]",
                     id="a cell in cp1252"),
        pytest.param(b"a,b\n" + b"1,x\n" * BEGINNING + b"1,gr\xfcn\n", None, "byte 0xFC in line 1,048,578 is no UTF-8",
                     id="a cell in cp1252 far below"),
        pytest.param("größe,b\n1,2\n".encode(), {"encoding": "ascii"},
                     "is no ASCII; set data.sources[1].format.encoding",
                     id="another encoding than is said"),
        pytest.param(b"a b\n1 2\n3 4\n", None,
                     "looks separated by blanks; set data.sources[1].format.separator", id="blanks"),
        pytest.param(b"a;b\n1,234;x\n", None, "set data.sources[1].format.decimal", id="a comma of unknown use"),
        pytest.param(b"a,b\n1,2\n" + b"1,2\n" * 2000 + b"1\n", None, "record 2003 has 1 fields where the header has 2",
                     id="a last line that was cut off"),
        pytest.param(b"a,b\n1,2\n" + b"1,2\n" * 2000 + b"1,2,3\n", None,
                     "found more fields", id="a line too long far below"),
        pytest.param(gzip.compress(b"a,b\n1,2\n")[:-9], None,
                     "gzip cannot be unpacked", id="a packed file that was cut off"),
        pytest.param(b"PK\x03\x04", None, "Excel workbooks", id="a workbook"),
    ],
)  # fmt: skip
def test_what_cannot_be_read(
    tmp_path: Path, content: bytes, format: dict[str, str] | None, message: str
) -> None:
    with pytest.raises(TrainingError) as caught:
        read(tmp_path, content, format)
    assert caught.value.reason == "SourceInvalid"
    assert str(caught.value).startswith("pvc://data/a.csv")
    assert message in str(caught.value)


def test_a_format_is_for_csv_alone(tmp_path: Path) -> None:
    folder = tmp_path / "volumes/data"
    folder.mkdir(parents=True)
    pl.DataFrame({"a": [1]}).write_parquet(folder / "a.parquet")
    source = Source.model_validate({"uri": "pvc://data/*", "format": {"separator": ";"}})
    with pytest.raises(TrainingError, match=r"data.sources\[0\].format: pvc://data/a.parquet is Parquet"):
        copy_files([source], tmp_path)


def test_names_of_parquet_are_judged_too(tmp_path: Path) -> None:
    frame = pl.DataFrame({"torque": [1], "Torque": [2]})
    frame.write_parquet(tmp_path / "a.parquet")
    with pytest.raises(TrainingError, match="names that differ in the size of letters"):
        read(tmp_path, (tmp_path / "a.parquet").read_bytes(), name="a.parquet")
