"""Rows from the command line, from files and from standard input."""

import gzip
import io
from pathlib import Path
from typing import Any

import pytest

from redstart.cli import rows
from redstart.cli.errors import CliError

PROPERTIES = {
    "torque": {"type": ["number", "null"]},
    "product_type": {"type": "string"},
}


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("A.CSV", "torque;product_type\n40,5;L\n", [{"torque": 40.5, "product_type": "L"}]),
        ("a.csv", "torque\tproduct_type\r\n40\tL\r\n", [{"torque": 40.0, "product_type": "L"}]),
        ("a.csv", "sep=|\ntorque|product_type\n\n40|L\n\n", [{"torque": 40.0, "product_type": "L"}]),
        ("a.csv", " torque , product_type\n40,L\n", [{"torque": 40.0, "product_type": "L"}]),
        (
            "a.csv",
            "torque;product_type\n1.234,5;L\n".encode("utf-16"),
            [{"torque": 1234.5, "product_type": "L"}],
        ),
        ("a.csv.gz", gzip.compress(b"torque,product_type\n40,L\n"), [{"torque": 40.0, "product_type": "L"}]),
        ("a.json", '[{"torque": 40.5}]', [{"torque": 40.5}]),
        ("a.json", '{"rows": [{"torque": 1}, {"torque": 2}]}', [{"torque": 1}, {"torque": 2}]),
        ("a.json", '{"torque": 1}', [{"torque": 1}]),
        ("a.jsonl", '{"torque": 1}\n\n{"torque": 2}\n', [{"torque": 1}, {"torque": 2}]),
        ("a.csv", "torque,product_type\n40,007\n", [{"torque": 40.0, "product_type": "007"}]),
        ("a.csv", "torque,product_type\n,L\n", [{"torque": None, "product_type": "L"}]),
        ("a.csv", "\ufefftorque,product_type\n40,L\n", [{"torque": 40.0, "product_type": "L"}]),
        ("a.csv", "torque,product_type\nhot,\n", [{"torque": "hot", "product_type": None}]),
        ("a.csv", "torque,product_type\nNaN,nan\n", [{"torque": None, "product_type": "nan"}]),
        (
            "a.csv",
            "torque,product_type\n-inf,L\n1e999,L\n",
            [{"torque": text, "product_type": "L"} for text in ("-inf", "1e999")],
        ),
        ("a.jsonl", '{"torque": NaN}\n{"torque": -Infinity}', [{"torque": None}, {"torque": "-Infinity"}]),
        ("a.json", '[{"torque": 1e999}]', [{"torque": "1e999"}]),
        ("a.csv", "other,torque,product_type\n7,1,L\n", [{"other": "7", "torque": 1.0, "product_type": "L"}]),
        ("a", "torque,product_type\n40,L\n", [{"torque": 40.0, "product_type": "L"}]),
        ("a", '[{"torque": 40}]', [{"torque": 40}]),
    ],
)
def test_a_file_is_read_as_the_model_takes_it(
    tmp_path: Path, name: str, content: str | bytes, expected: list[dict[str, Any]]
) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert rows.read(tmp_path / name, PROPERTIES) == expected


@pytest.mark.parametrize("file", [None, Path("-")], ids=["by default", "as -"])
@pytest.mark.parametrize(
    "text", ["torque,product_type\n40,\n", '[{"torque": 40.0, "product_type": null}]'], ids=["csv", "json"]
)
def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch, file: Path | None, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert rows.read(file, PROPERTIES) == [{"torque": 40.0, "product_type": None}]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.json", "{", "is not JSON"),
        ("a.json", "[1]", "is not a list of rows"),
        ("a.json", "[]", "holds no rows"),
        ("a.csv", "torque\n", "holds no rows"),
        ("a.parquet", b"PAR1\xff\xfe", ".parquet files are not read here"),
        ("a.csv", b"torque,product_type\n\xff,L", "cannot be read: byte 0xFF in line 2 is no UTF-8"),
        ("a.csv", "torque;product_type\n1,234;L\n", "could be decimal, or group thousands"),
        ("a.csv", "torque,product_type,torque\n1,L,2\n", "torque stands there twice: columns 1 and 3"),
        ("a.csv", "torque\n40\n", "a.csv has no product_type, which the model takes; it has torque"),
        ("a.csv", "torque#product_type\n40#L\n", "has no torque, product_type"),
        ("a.csv", "torque,product_type\n40,L\n41\n", "record 3 has 1 fields where the header has 2"),
        ("a.csv.gz", b"\x1f\x8b\x08\x00", "cannot be read"),
        ("a.json", '[{"torque": 1, "torque": 2}]', "torque stands twice in one object"),
        ("a.jsonl", '{"a": 1}\n{"torque": 1, "torque": 2}', "torque stands twice in one object"),
        ("a.json", '[{"Torque": 1}]', "has no torque, product_type, which the model takes; it has Torque"),
        ("missing.csv", None, "cannot be read: No such file"),
    ],
)
def test_a_file_that_is_none_is_refused(
    tmp_path: Path, name: str, content: str | bytes | None, sentence: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CliError, match=sentence):
        rows.read(tmp_path / name, PROPERTIES)


@pytest.mark.parametrize("text", ["{", "[1]", "1"])
def test_a_row_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(CliError, match="--row"):
        rows.typed([text])


def test_a_number_that_json_cannot_say_is_missing_and_an_infinite_one_is_told_to_the_server() -> None:
    assert rows.typed(['{"torque": NaN}', '{"torque": Infinity}']) == [
        {"torque": None},
        {"torque": "Infinity"},
    ]


def test_columns_that_the_model_does_not_take_are_left_out_by_name() -> None:
    kept, left_out = rows.known_only(
        [{"torque": 1, "machine_failure": 0}, {"id": 7, "torque": 2}], PROPERTIES
    )
    assert kept == [{"torque": 1}, {"torque": 2}]
    assert left_out == ["machine_failure", "id"]


def test_all_columns_are_kept_when_the_inputs_are_not_known() -> None:
    assert rows.known_only([{"a": 1}], None) == ([{"a": 1}], [])
