import pytest

from redstart.api import durations


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("90s", 90, id="seconds alone"),
        pytest.param("2h", 7200, id="hours alone"),
        pytest.param("1h30m", 5400, id="hours and minutes"),
        pytest.param("1h30m30s500ms", 5430.5, id="all four units"),
        pytest.param("250ms", 0.25, id="milliseconds are not minutes"),
        pytest.param("00060m", 3600, id="leading zeros are decimal"),
        pytest.param("0s", 0, id="nothing at all"),
    ],
)
def test_seconds(text: str, want: float) -> None:
    assert durations.seconds(text) == pytest.approx(want)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="an empty string"),
        pytest.param("90", id="a number without a unit"),
        pytest.param("1d", id="days, which the Gateway API does not have"),
        pytest.param("1.5h", id="a fraction"),
        pytest.param("-5s", id="a negative duration"),
        pytest.param("1h 30m", id="a blank between the parts"),
        pytest.param("100000s", id="more than five digits"),
        pytest.param("1h1m1s1ms1h", id="more than four parts"),
        pytest.param("90s\n", id="a trailing newline"),
    ],
)
def test_what_is_no_duration_is_refused_with_the_mend(text: str) -> None:
    with pytest.raises(ValueError, match=r"write whole numbers with the units h, m, s or ms"):
        durations.seconds(text)


@pytest.mark.parametrize(
    ("duration", "want"),
    [
        pytest.param(0.4, "0s", id="less than half a second is none"),
        pytest.param(59.6, "1m", id="seconds are rounded"),
        pytest.param(5400, "1h30m", id="units without a number are left out"),
        pytest.param(3661, "1h1m1s", id="all units"),
    ],
)
def test_text(duration: float, want: str) -> None:
    assert durations.text(duration) == want
