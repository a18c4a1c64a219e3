"""Sample rows: reproducible, after the published rules, and without drift unless asked for."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import polars as pl
import pytest

from redstart.cli.sample_data import AGE_GROUPS, Row, SampleDataError, generate, write

COLUMNS = [
    "recorded_at", "machine_id", "product_type", "air_temperature", "process_temperature", "rotational_speed",
    "torque", "tool_wear", "machine_failure",
]  # fmt: skip


def numbers(rows: list[Row], name: str) -> list[float]:
    return [float(value) for row in rows if (value := row[name]) is not None and not isinstance(value, str)]


def test_the_same_seed_and_month_give_the_same_rows() -> None:
    assert generate(rows=500) == generate(rows=500)
    assert generate(rows=500) != generate(rows=500, seed=8)
    assert generate(rows=500) != generate(rows=500, month="2026-02")


def test_columns_and_months() -> None:
    rows = generate(rows=100, month="2024-02")
    assert list(rows[0]) == COLUMNS
    times = [str(row["recorded_at"]) for row in rows]
    assert times == sorted(times)
    assert times[0] == "2024-02-01T00:00:00+00:00"
    assert times[-1].startswith("2024-02-29")


@pytest.mark.parametrize("month", ["2026-01", "2026-02", "2026-03"])
def test_distributions_are_those_published(month: str) -> None:
    rows = generate(month=month)
    for name, center, spread in (
        ("air_temperature", 300, 2),
        ("torque", 40, 10),
        ("rotational_speed", 1539, 165),
    ):
        assert mean(numbers(rows, name)) == pytest.approx(center, rel=0.02)
        assert stdev(numbers(rows, name)) == pytest.approx(spread, rel=0.15)
    shares = [sum(row["product_type"] == kind for row in rows) / len(rows) for kind in "LMH"]
    assert shares == pytest.approx([0.5, 0.3, 0.2], abs=0.02)
    assert max(numbers(rows, "tool_wear")) < 250
    assert 0.025 < mean(numbers(rows, "machine_failure")) < 0.055


def test_rows_that_the_rules_fail_have_failed() -> None:
    strain = {"L": 11_000, "M": 12_000, "H": 13_000}
    certain = 0
    for row in generate():
        torque, speed, wear = (float(row[name] or 0) for name in ("torque", "rotational_speed", "tool_wear"))
        power = torque * speed * math.tau / 60
        if not 3500 <= power <= 9000 or wear * torque > strain[str(row["product_type"])]:
            certain += 1
            assert row["machine_failure"] == 1
    assert certain > 100


def test_temperatures_take_the_same_values_every_month() -> None:
    first, second = (sorted(numbers(generate(month=m), "air_temperature")) for m in ("2026-01", "2026-07"))
    assert first == second


def test_drift_moves_wear_and_temperature() -> None:
    plain, drifted = generate(), generate(drift=1.0)
    assert mean(numbers(drifted, "air_temperature")) - mean(
        numbers(plain, "air_temperature")
    ) == pytest.approx(4)
    assert mean(numbers(drifted, "tool_wear")) > mean(numbers(plain, "tool_wear")) + 10
    assert mean(numbers(drifted, "machine_failure")) > mean(numbers(plain, "machine_failure"))


def test_missing_values_only_blank() -> None:
    plain, blanked = generate(rows=2000), generate(rows=2000, missing=0.1)
    missing = sum(value is None for row in blanked for value in row.values())
    assert missing / (2000 * 5) == pytest.approx(0.1, abs=0.02)
    for before, after in zip(plain, blanked, strict=True):
        assert all(after[name] in (before[name], None) for name in COLUMNS)


def test_duplicates_repeat_rows() -> None:
    rows = generate(rows=2000, duplicates=0.05)
    assert len(rows) == pytest.approx(2100, abs=40)
    assert len({tuple(row.values()) for row in rows}) == 2000


def test_a_bias_hides_failures_of_one_group() -> None:
    rows, plain = generate(bias=1.0), generate()
    for before, after in zip(plain, rows, strict=True):
        assert after["operator_age_group"] in AGE_GROUPS
        hidden = after["operator_age_group"] == AGE_GROUPS[-1]
        assert after["machine_failure"] == (0 if hidden else before["machine_failure"])


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_files_hold_the_rows(tmp_path: Path, name: str) -> None:
    rows = generate(rows=50, missing=0.2)
    write(rows, tmp_path / name)
    if name.endswith(".csv"):
        with (tmp_path / name).open(newline="") as file:
            found: list[dict[str, Any]] = list(csv.DictReader(file))
        assert found == [
            {key: "" if value is None else str(value) for key, value in row.items()} for row in rows
        ]
    else:
        frame = pl.read_parquet(tmp_path / name)
        assert frame.columns == COLUMNS
        assert frame["torque"].to_list() == [row["torque"] for row in rows]
        assert frame.schema["recorded_at"] == pl.Datetime("us", "UTC")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"rows": 0}, "rows: 0 is not between 1", id="no rows"),
        pytest.param({"month": "January"}, "write it as 2026-01", id="no month"),
        pytest.param({"drift": 2}, "drift: 2 is not between 0 and 1", id="too much drift"),
        pytest.param({"missing": -0.1}, "missing: -0.1", id="a negative share"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SampleDataError, match=message):
        generate(**options)


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SampleDataError, match=r"write a \.csv or a \.parquet file"):
        write(generate(rows=1), tmp_path / "rows.json")
