"""Durations as the Gateway API writes them (GEP-2257): "90s", "2h", "1h30m", "1500ms"."""

import re

_DURATION = re.compile(r"([0-9]{1,5}(h|m|s|ms)){1,4}")
_PART = re.compile(r"([0-9]{1,5})(ms|h|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def seconds(text: str) -> float:
    """The seconds in a duration string; ValueError, saying how to mend it, when it is none."""
    if not _DURATION.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a duration: write whole numbers with the units h, m, s or ms, "
            'largest first, such as "90s", "2h" or "1h30m"'
        )
    return sum(int(number) * _SECONDS[unit] for number, unit in _PART.findall(text))


def text(duration: float) -> str:
    """The duration of so many seconds, rounded to whole ones: 5400 is "1h30m"."""
    left = round(duration)
    parts = []
    for unit, size in (("h", 3600), ("m", 60), ("s", 1)):
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"
