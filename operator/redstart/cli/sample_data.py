"""Sample rows for predictive maintenance, made after the published rules of the AI4I 2020 data set.

Source: S. Matzka, "Explainable Artificial Intelligence for Predictive Maintenance Applications", 2020 (AI4I 2020, UCI
Machine Learning Repository, id 601). Kept from it:

- product type L, M, H for 50, 30 and 20 % of the rows; each row wears the tool by 2, 3 or 5 minutes
- air temperature [K]: a random walk with mean 300 and standard deviation 2
- process temperature [K]: air temperature plus a random walk with mean 10 and standard deviation 1
- torque [Nm]: normal with mean 40 and standard deviation 10, never negative
- machine failure, when any of these is: the tool wears out (it is changed at a random wear from 200 to 240 min; before
  that comes 42.5 % of tools fail), heat (process less than 8.6 K above air, and speed below 1380 rpm), power (torque
  times speed below 3500 W or above 9000 W), overstrain (wear times torque above 11,000, 12,000 or 13,000 min Nm for
  L, M, H), or chance (0.1 %)

Rotational speed [rpm] falls with torque as in the published rows (mean 1539, standard deviation 179).

Each month is drawn from the seed and its name, so that it is the same whatever else is made. Temperatures take the
same values in every month, in the order of a random walk: without drift, months look alike.
"""

from __future__ import annotations

import csv
import math
from calendar import monthrange
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import NormalDist

Value = str | int | float | None
Row = dict[str, Value]

MACHINES = 5
MAX_ROWS = 10_000_000
AGE_GROUPS = ("18-34", "35-54", "55+")

_WEAR = {"L": 2, "M": 3, "H": 5}
_STRAIN = {"L": 11_000, "M": 12_000, "H": 13_000}
_FAILING_TOOLS = 51 / 120
_SENSORS = ("air_temperature", "process_temperature", "rotational_speed", "torque", "tool_wear")


class SampleDataError(ValueError):
    """An option is out of range, or a file cannot be written as asked; the text says which and how to mend it."""


def generate(
    *,
    seed: int = 7,
    rows: int = 10_000,
    month: str = "2026-01",
    drift: float = 0.0,
    missing: float = 0.0,
    duplicates: float = 0.0,
    bias: float | None = None,
) -> list[Row]:
    """Rows of one month, in the order of time.

    Args:
        drift: 0 for none to 1: tools are used up to 40 minutes longer, and the hall is up to 4 K warmer while the
            process is not.
        missing: Share of sensor values that are missing.
        duplicates: Share of rows that are repeated, in addition to `rows`.
        bias: Adds a column `operator_age_group`; this share of the failures under operators of 55 and older is
            recorded as none.

    Returns:
        Mappings with recorded_at (ISO 8601, UTC), machine_id, product_type, air_temperature and process_temperature
        [K], rotational_speed [rpm], torque [Nm], tool_wear [min] and machine_failure (0 or 1).

    Raises:
        SampleDataError: an argument is out of range.
    """
    start, length = _month(month)
    if not 1 <= rows <= MAX_ROWS:
        raise SampleDataError(f"rows: {rows} is not between 1 and {MAX_ROWS:,}")
    for name, share in (
        ("drift", drift),
        ("missing", missing),
        ("duplicates", duplicates),
        ("bias", bias or 0.0),
    ):
        if not 0 <= share <= 1:
            raise SampleDataError(f"{name}: {share} is not between 0 and 1")
    random = Random(f"{seed}/{month}")  # noqa: S311
    air = _walk(random, rows, 300 + 4 * drift, 2)
    above = _walk(random, rows, 10 - 4 * drift, 1)
    wear = [random.randrange(200) for _ in range(MACHINES)]
    life = [_life(random, drift) for _ in range(MACHINES)]
    made: list[Row] = []
    for number in range(rows):
        machine = number % MACHINES
        kind = random.choices(("L", "M", "H"), (50, 30, 20))[0]
        torque = round(max(1.0, random.gauss(40, 10)), 1)
        speed = round(1510 * (torque / 40) ** -0.31 * random.gauss(1, 0.03))
        worn_out = wear[machine] >= life[machine]
        failure = (
            (worn_out and random.random() < _FAILING_TOOLS)
            or (above[number] < 8.6 and speed < 1380)
            or not 3500 <= torque * speed * math.tau / 60 <= 9000
            or wear[machine] * torque > _STRAIN[kind]
            or random.random() < 0.001
        )
        row: Row = {
            "recorded_at": (start + length * (number / rows)).isoformat(timespec="seconds"),
            "machine_id": f"machine-{machine + 1}",
            "product_type": kind,
            "air_temperature": round(air[number], 1),
            "process_temperature": round(air[number] + above[number], 1),
            "rotational_speed": speed,
            "torque": torque,
            "tool_wear": wear[machine],
            "machine_failure": int(failure),
        }
        made.append(row)
        if worn_out:
            wear[machine], life[machine] = 0, _life(random, drift)
        else:
            wear[machine] += _WEAR[kind]
    # Drawn apart from the rows, so that one option does not change what another one makes.
    if bias is not None:
        _record_with_bias(made, Random(f"{seed}/{month}/bias"), bias)  # noqa: S311
    if missing:
        _blank(made, Random(f"{seed}/{month}/missing"), missing)  # noqa: S311
    return _repeated(made, Random(f"{seed}/{month}/duplicates"), duplicates)  # noqa: S311


def _month(text: str) -> tuple[datetime, timedelta]:
    try:
        start = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        raise SampleDataError(f"month: {text!r} is no month; write it as 2026-01") from None
    return start, timedelta(days=monthrange(start.year, start.month)[1])


def _walk(random: Random, rows: int, mean: float, deviation: float) -> list[float]:
    """Quantiles of a normal distribution, in the order of a random walk."""
    position, walk = 0.0, []
    for _ in range(rows):
        position += random.gauss(0, 1)
        walk.append(position)
    order = sorted(range(rows), key=walk.__getitem__)
    normal, values = NormalDist(mean, deviation), [0.0] * rows
    for rank, at in enumerate(order):
        values[at] = normal.inv_cdf((rank + 0.5) / rows)
    return values


def _life(random: Random, drift: float) -> float:
    return random.uniform(200, 240) + 40 * drift


def _record_with_bias(rows: Sequence[Row], random: Random, bias: float) -> None:
    for row in rows:
        row["operator_age_group"] = random.choice(AGE_GROUPS)
        unnoticed = random.random() < bias
        if row["operator_age_group"] == AGE_GROUPS[-1] and unnoticed:
            row["machine_failure"] = 0


def _blank(rows: Sequence[Row], random: Random, share: float) -> None:
    for row in rows:
        for name in _SENSORS:
            if random.random() < share:
                row[name] = None


def _repeated(rows: Sequence[Row], random: Random, share: float) -> list[Row]:
    return [copy for row in rows for copy in ((row, dict(row)) if random.random() < share else (row,))]


def write(rows: Sequence[Mapping[str, Value]], path: Path) -> None:
    """Write rows as CSV or Parquet, by the path's ending.

    Raises:
        SampleDataError: another ending, or Parquet without polars.
    """
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".parquet":
        try:
            import polars as pl  # noqa: PLC0415
        except ImportError:
            raise SampleDataError(
                "Parquet needs polars: pip install 'redstart[cli,trainer]', or write a .csv file"
            ) from None
        frame = pl.DataFrame(list(rows), infer_schema_length=None)
        frame.with_columns(pl.col("recorded_at").str.to_datetime(time_zone="UTC")).write_parquet(path)
    else:
        raise SampleDataError(f"{path.name}: write a .csv or a .parquet file")
