"""Text that is recognised as times, by one form for the whole column."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

import polars as pl
import pytest

from redstart.trainer.times import times


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        pytest.param(["2026-01-31", None], [date(2026, 1, 31), None], id="days"),
        pytest.param(["2026-1-3"], [date(2026, 1, 3)], id="days without zeros in front"),
        pytest.param(["2026/01/31"], [date(2026, 1, 31)], id="days with slashes"),
        pytest.param(["31.01.2026"], [date(2026, 1, 31)], id="days with points"),
        pytest.param(["03/02/2026", "31/01/2026"], [date(2026, 2, 3), date(2026, 1, 31)], id="the day first"),
        pytest.param(["03/02/2026", "01/31/2026"], [date(2026, 3, 2), date(2026, 1, 31)], id="the month first"),
        pytest.param(["2026-01-31T10:00:00"], [datetime(2026, 1, 31, 10)], id="times with a T"),
        pytest.param(["2026-01-31 10:00"], [datetime(2026, 1, 31, 10)], id="times without seconds"),
        pytest.param(["2026-01-31 10:00:00", "2026-01-31 10:00:00.25"],
                     [datetime(2026, 1, 31, 10), datetime(2026, 1, 31, 10, 0, 0, 250000)], id="some with fractions"),
        pytest.param(["2026-01-31T10:00:00Z"], [datetime(2026, 1, 31, 10, tzinfo=UTC)], id="UTC"),
        pytest.param(["2026-01-31T10:00:00+01:00", "2026-07-31T10:00:00+02:00"],
                     [datetime(2026, 1, 31, 9, tzinfo=UTC), datetime(2026, 7, 31, 8, tzinfo=UTC)], id="offsets"),
        pytest.param(["2026-01-31", "2026-01-31 10:00", "2026-01-31T10:00:01"],
                     [datetime(2026, 1, 31), datetime(2026, 1, 31, 10), datetime(2026, 1, 31, 10, 0, 1)],
                     id="days among times"),
        pytest.param(["10:00:00"], [time(10)], id="times of day"),
        pytest.param(["10:30"], [time(10, 30)], id="times of day without seconds"),
    ],
)  # fmt: skip
def test_what_is_read_as_times(cells: list[str | None], expected: list[object]) -> None:
    found = times(pl.Series("at", cells))
    assert found is not None
    assert found.to_list() == expected


@pytest.mark.parametrize(
    "cells",
    [
        pytest.param([None], id="nothing"),
        pytest.param(["L", "M"], id="words"),
        pytest.param(["1.2.3"], id="a version"),
        pytest.param(["2026-01-31", "soon"], id="a word among days"),
        pytest.param(["2026-01-31"] * 30 + ["2026-02-30"], id="a day that is in no calendar"),
        pytest.param(["2026-01-31 10:00", "2026-01-31 10:00Z"], id="times with and without a zone"),
        pytest.param(["31/01/2026", "01/31/2026"], id="days first and months first"),
    ],
)
def test_what_stays_text(cells: list[str | None]) -> None:
    assert times(pl.Series("at", cells, dtype=pl.String)) is None
