import pytest

from redstart.rollout.e_process import Block, Counts
from redstart.rollout.error_rate import ErrorRateTest
from redstart.rollout.forecast import pass_growth, too_slow
from redstart.rollout.policy import RolloutPolicy, Step

POLICY = RolloutPolicy(steps=(Step(5), Step(25, 120.0), Step(50)))


def seen(*, requests: int = 10_000, errors: int = 10) -> ErrorRateTest:
    return ErrorRateTest.begin(POLICY).observe(Block(Counts(1, 0), Counts(requests, errors)), 1.0)


def warning(
    policy: RolloutPolicy, test: ErrorRateTest, rate: float, *, step: int = 0, elapsed: float = 0
) -> str | None:
    return too_slow(policy, test, step=step, step_elapsed=0.0, elapsed=elapsed, requests_per_second=rate)


@pytest.mark.parametrize(
    ("policy", "test", "rate", "step", "elapsed", "warns"),
    [
        pytest.param(POLICY, seen(), 100.0, 0, 0.0, False, id="plenty of traffic"),
        pytest.param(POLICY, seen(), 0.2, 0, 0.0, True, id="a request each 5 s"),
        pytest.param(POLICY, seen(), 0.0, 0, 0.0, True, id="no traffic"),
        pytest.param(POLICY, seen(), 100.0, 2, 1795.0, True, id="too late"),
        pytest.param(POLICY, seen(errors=1000), 5.0, 0, 0.0, True, id="a stable that fails a tenth"),
        pytest.param(
            POLICY, seen(errors=0), 5.0, 0, 0.0, False, id="the same traffic beside a faultless stable"
        ),
        pytest.param(
            RolloutPolicy(steps=(Step(1),)),
            seen(),
            10.0,
            0,
            0.0,
            True,
            id="one per cent of little traffic",
        ),
    ],
)
def test_warning(
    *, policy: RolloutPolicy, test: ErrorRateTest, rate: float, step: int, elapsed: float, warns: bool
) -> None:
    assert (warning(policy, test, rate, step=step, elapsed=elapsed) is not None) == warns


def test_the_warning_says_what_is_missing() -> None:
    assert warning(POLICY, seen(errors=100), 1.0) == (
        "at 1 requests/s and 1% errors on stable, even a canary as good as stable is probably not proven within 30m: "
        "about 6h22m more at 5% would be needed; raise the steps' weights, deadline or maxIncrease, or lower minSamples"
    )


def test_no_warning_once_it_passed() -> None:
    test = seen()
    for look in range(100):
        test = test.observe(Block(Counts(50, 0), Counts(50, 0)), 2.0 + look)
    assert warning(POLICY, test, 0.001, elapsed=102.0) is None


def test_growth_rises_with_weight_and_traffic() -> None:
    growth = [
        pass_growth(rate, weight, 0.001, 0.01) for rate, weight in ((10, 5), (10, 25), (10, 50), (20, 50))
    ]
    assert growth == sorted(growth)
