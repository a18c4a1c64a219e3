"""Columns of times: the form is recognised from a few values, and then holds for the whole column.

One form for a column is many times faster than a guess for each cell, and cannot read 3 February in one row and
2 March in the next.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import polars as pl

_SAMPLE = 20  # values that a form must fit before it is tried on all


class _Form(NamedTuple):
    """What a time looks like, and how polars reads it."""

    pattern: re.Pattern[str]
    format: str
    kind: type[pl.Date | pl.Datetime | pl.Time]


def _form(pattern: str, format: str, kind: type[pl.Date | pl.Datetime | pl.Time]) -> _Form:
    return _Form(re.compile(pattern), format, kind)


_ZONE = r"(?:Z|[+-]\d\d:?\d\d)"


def _forms() -> list[_Form]:
    found = []
    for day, day_format in (
        (r"\d{4}-\d{1,2}-\d{1,2}", "%Y-%m-%d"),
        (r"\d{4}/\d{1,2}/\d{1,2}", "%Y/%m/%d"),
        (r"\d{1,2}\.\d{1,2}\.\d{4}", "%d.%m.%Y"),
        (r"\d{1,2}-\d{1,2}-\d{4}", "%d-%m-%Y"),
        (r"\d{1,2}/\d{1,2}/\d{4}", "%d/%m/%Y"),
        (r"\d{1,2}/\d{1,2}/\d{4}", "%m/%d/%Y"),
    ):
        found.append(_form(day, day_format, pl.Date))
        for between in ("T", " "):
            for clock, clock_format in (
                (r"\d\d:\d\d", "%H:%M"),
                (r"\d\d:\d\d:\d\d", "%H:%M:%S"),
                (r"\d\d:\d\d:\d\d(?:\.\d{1,9})?", "%H:%M:%S%.f"),
            ):
                found += [
                    _form(f"{day}{between}{clock}", f"{day_format}{between}{clock_format}", pl.Datetime),
                    _form(
                        f"{day}{between}{clock} ?{_ZONE}",
                        f"{day_format}{between}{clock_format}%#z",
                        pl.Datetime,
                    ),
                ]
    found.append(_form(r"\d\d:\d\d:\d\d", "%H:%M:%S", pl.Time))
    return found


_FORMS = _forms()


def times(values: pl.Series) -> pl.Series | None:
    """Text as days, times (in UTC where they say their zone) or times of day; None where it is something else.

    A day and a month that could be either are read day first.
    """
    known = values.drop_nulls()
    sample = [text.strip() for text in known.head(_SAMPLE).to_list()]
    for form in _FORMS:
        if sample and all(form.pattern.fullmatch(text) for text in sample):
            read = _read(values, form)
            if read.null_count() == values.null_count():
                return read
    return None


def _read(values: pl.Series, form: _Form) -> pl.Series:
    if form.kind is pl.Datetime:
        zone = "UTC" if form.format.endswith("z") else None
        return values.str.to_datetime(form.format, time_unit="us", time_zone=zone, strict=False)
    return values.str.strptime(form.kind, form.format, strict=False)
