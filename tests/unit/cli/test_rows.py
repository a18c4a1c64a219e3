"""Rows from the command line, from files and from standard input."""

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
        ("a.json", '[{"torque": 40.5}]', [{"torque": 40.5}]),
        ("a.json", '{"rows": [{"torque": 1}, {"torque": 2}]}', [{"torque": 1}, {"torque": 2}]),
        ("a.json", '{"torque": 1}', [{"torque": 1}]),
        ("a.jsonl", '{"torque": 1}\n\n{"torque": 2}\n', [{"torque": 1}, {"torque": 2}]),
        ("a.csv", "torque,product_type\n40,007\n", [{"torque": 40.0, "product_type": "007"}]),
        ("a.csv", "torque,product_type\n,L\n", [{"torque": None, "product_type": "L"}]),
        ("a.csv", "\ufefftorque\n40\n", [{"torque": 40.0}]),
        ("a.csv", "torque\nhot\n", [{"torque": "hot"}]),
        ("a.csv", "torque,product_type\nNaN,nan\n", [{"torque": None, "product_type": "nan"}]),
        ("a.csv", "torque\n-inf\n1e999\n", [{"torque": "-inf"}, {"torque": "1e999"}]),
        ("a.jsonl", '{"torque": NaN}\n{"torque": -Infinity}', [{"torque": None}, {"torque": "-Infinity"}]),
        ("a.json", '[{"torque": 1e999}]', [{"torque": "1e999"}]),
        ("a.csv", "other\n7\n", [{"other": "7"}]),
        ("a", "torque\n40\n", [{"torque": 40.0}]),
        ("a", '[{"torque": 40}]', [{"torque": 40}]),
    ],
)
def test_a_file_is_read_as_the_model_takes_it(
    tmp_path: Path, name: str, content: str, expected: list[dict[str, Any]]
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert rows.read(tmp_path / name, PROPERTIES) == expected


@pytest.mark.parametrize("file", [None, Path("-")], ids=["by default", "as -"])
@pytest.mark.parametrize("text", ["torque\n40\n", '[{"torque": 40.0}]'], ids=["csv", "json"])
def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch, file: Path | None, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert rows.read(file, PROPERTIES) == [{"torque": 40.0}]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.json", "{", "is not JSON"),
        ("a.json", "[1]", "is not a list of rows"),
        ("a.json", "[]", "holds no rows"),
        ("a.csv", "torque\n", "holds no rows"),
        ("a.parquet", b"PAR1\xff\xfe", ".parquet files are not read here"),
        ("a.csv", b"torque\n\xff", "cannot be read: 'utf-8' codec"),
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
