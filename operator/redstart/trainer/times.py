"""Columns of times: the form is recognised from a value, and then read over the whole column.

One form for a column is many times faster than a guess for each cell, and cannot read 3 February in one row and
2 March in the next.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import polars as pl

_DAYS = (
    (r"\d{4}-\d{1,2}-\d{1,2}", "%Y-%m-%d"),
    (r"\d{4}/\d{1,2}/\d{1,2}", "%Y/%m/%d"),
    (r"\d{1,2}\.\d{1,2}\.\d{4}", "%d.%m.%Y"),
    (r"\d{1,2}-\d{1,2}-\d{4}", "%d-%m-%Y"),
    (r"\d{1,2}/\d{1,2}/\d{4}", "%d/%m/%Y"),
    (r"\d{1,2}/\d{1,2}/\d{4}", "%m/%d/%Y"),
)
_CLOCKS = (
    (r"\d\d:\d\d", "%H:%M"),
    (r"\d\d:\d\d:\d\d", "%H:%M:%S"),
    (r"\d\d:\d\d:\d\d\.\d{1,9}", "%H:%M:%S%.f"),
)
_ZONES = (("", ""), (r" ?(?:Z|[+-]\d\d:?\d\d)", "%#z"))


class _Form(NamedTuple):
    """What a time looks like, and how polars reads it."""

    pattern: re.Pattern[str]
    format: str
    kind: type[pl.Date | pl.Datetime | pl.Time]
    zoned: bool = False

    def read(self, values: pl.Series) -> pl.Series:
        """The times, null where a value is none of this form."""
        if self.kind is pl.Datetime:
            zone = "UTC" if self.zoned else None
            return values.str.to_datetime(self.format, time_unit="us", time_zone=zone, strict=False)
        return values.str.strptime(self.kind, self.format, strict=False)


_OF_DAYS = [
    [
        _Form(re.compile(day), day_format, pl.Date),
        *(
            _Form(
                re.compile(f"{day}{between}{clock}{zone}"),
                f"{day_format}{between}{clock_format}{zone_format}",
                pl.Datetime,
                bool(zone),
            )
            for between in ("T", " ")
            for clock, clock_format in _CLOCKS
            for zone, zone_format in _ZONES
        ),
    ]
    for day, day_format in _DAYS
]
_TIMES_OF_DAY = [[_Form(re.compile(clock), form, pl.Time)] for clock, form in _CLOCKS]


_ANY = re.compile("|".join(form.pattern.pattern for forms in (*_OF_DAYS, *_TIMES_OF_DAY) for form in forms))
_SAMPLE = 100


def looks_like_times(values: pl.Series) -> bool:
    """Whether one of the first values is a day, a time or a time of day."""
    return any(map(_ANY.fullmatch, values.head(_SAMPLE).drop_nulls().to_list()))


def times(values: pl.Series) -> pl.Series | None:
    """Text as days, times (in UTC where they say their zone) or times of day; None where a value is something else.

    The order of day, month and year is one for the whole column, where both fit the day comes first; within it some
    values may lack seconds, fractions or the time.
    """
    for forms in (*_OF_DAYS, *_TIMES_OF_DAY):
        if (read := _read(values, forms)) is not None:
            return read
    return None


def could_have_the_month_first(values: pl.Series) -> bool:
    """Whether times that were read with the day first could be others: neither number is above twelve anywhere. Where
    points are between them, the day is first everywhere."""
    known = values.drop_nulls()
    numbers = known.str.extract_groups(r"^(\d{1,2})[-/](\d{1,2})[-/]\d{4}").struct
    first, second = (numbers.field(name).cast(pl.Int64) for name in ("1", "2"))
    return not first.null_count() and len(known) > 0 and bool(((first <= 12) & (second <= 12)).all())


def _read(values: pl.Series, forms: list[_Form]) -> pl.Series | None:
    found: pl.Series | None = None
    for _ in forms:  # each turn reads one form at least, or ends
        left = values if found is None else values.set(found.is_not_null(), None)
        at = left.is_not_null().arg_max()
        if at is None or left[at] is None:
            break
        form = next((form for form in forms if form.pattern.fullmatch(left[at])), None)
        read = None if form is None else form.read(left)
        if read is None or read[at] is None:
            return None
        if found is not None and read.dtype != found.dtype:
            if pl.Date not in (read.dtype, found.dtype) or "UTC" in str((read.dtype, found.dtype)):
                return None
            read, found = read.cast(pl.Datetime("us")), found.cast(pl.Datetime("us"))
        found = read if found is None else found.zip_with(found.is_not_null(), read)
    return found if found is not None and found.null_count() == values.null_count() else None
