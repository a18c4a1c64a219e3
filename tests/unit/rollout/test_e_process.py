"""The properties that bound false decisions, by exact enumeration of small cases."""

import itertools
import math
from collections.abc import Iterator

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from redstart.rollout.e_process import (
    AFTER_DEADLINE,
    FIRST,
    RESTORED,
    UNTIL_DEADLINE,
    Block,
    Counts,
    grow,
    log_e_value,
    project,
    spent,
)

rates = st.floats(0.001, 0.999)
small = st.integers(1, 6)


def outcomes(n_canary: int, n_stable: int, canary: float, stable: float) -> Iterator[tuple[float, Block]]:
    """Every outcome of a block with its probability."""
    for e_canary, e_stable in itertools.product(range(n_canary + 1), range(n_stable + 1)):
        probability = (
            math.comb(n_canary, e_canary)
            * canary**e_canary
            * (1 - canary) ** (n_canary - e_canary)
            * math.comb(n_stable, e_stable)
            * stable**e_stable
            * (1 - stable) ** (n_stable - e_stable)
        )
        yield probability, Block(Counts(n_canary, e_canary), Counts(n_stable, e_stable))


@settings(max_examples=300)
@given(
    n_canary=small,
    n_stable=small,
    q_canary=rates,
    q_stable=rates,
    allowed=st.floats(0.001, 0.5),
    p_canary=st.floats(0, 1),
    p_stable=st.floats(0, 1),
)
def test_an_e_value_expects_at_most_1_anywhere_in_the_null(
    *,
    n_canary: int,
    n_stable: int,
    q_canary: float,
    q_stable: float,
    allowed: float,
    p_canary: float,
    p_stable: float,
) -> None:
    assume(q_stable < 1 - allowed - 1e-3)
    worse = q_canary > q_stable + allowed
    in_null = p_canary <= p_stable + allowed if worse else p_canary >= p_stable + allowed
    assume(in_null)
    expectation = sum(
        probability * math.exp(log_e_value(block, q_canary, q_stable, allowed))
        for probability, block in outcomes(n_canary, n_stable, p_canary, p_stable)
    )
    assert expectation <= 1 + 1e-9


@settings(max_examples=200)
@given(
    n_canary=st.integers(1, 100_000),
    n_stable=st.integers(1, 100_000),
    q_canary=rates,
    q_stable=rates,
    allowed=st.floats(0.0005, 0.5),
    other=st.floats(0, 1),
)
def test_no_point_of_the_line_is_nearer_than_the_projection(
    *, n_canary: int, n_stable: int, q_canary: float, q_stable: float, allowed: float, other: float
) -> None:
    assume(q_stable < 1 - allowed - 1e-3)

    def distance(at: float) -> float:
        def divergence(q: float, p: float) -> float:
            return q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p))

        return n_canary * divergence(q_canary, at + allowed) + n_stable * divergence(q_stable, at)

    other = (1e-9 + other * (1 - 2e-9)) * (1 - allowed)
    nearest = distance(project(n_canary, n_stable, q_canary, q_stable, allowed))
    assert nearest <= distance(other) * (1 + 1e-9) + 1e-12


@given(st.sampled_from([(0, 5), (5, 0), (0, 0)]))
def test_a_block_with_an_empty_arm_says_nothing(requests: tuple[int, int]) -> None:
    block = Block(Counts(requests[0], 0), Counts(requests[1], 0))
    assert log_e_value(block, 0.5, 0.01, 0.01) == 0


@given(times=st.lists(st.floats(0, 1e6), min_size=2), deadline=st.floats(1, 1e5))
def test_the_weight_given_to_looks_only_grows_and_stays_below_its_share(
    times: list[float], deadline: float
) -> None:
    given_out = [spent(time, deadline) for time in sorted(times)]
    assert given_out == sorted(given_out)
    assert given_out[-1] <= FIRST + UNTIL_DEADLINE + AFTER_DEADLINE


def test_all_weights_together_with_those_after_every_restart_are_1() -> None:
    assert pytest.approx(1) == (FIRST + UNTIL_DEADLINE + AFTER_DEADLINE) / (1 - RESTORED)


@given(
    values=st.lists(st.floats(-5, 5), min_size=1, max_size=8),
    weights=st.lists(st.floats(0, 0.2), min_size=8, max_size=8),
)
def test_one_sum_holds_every_start(values: list[float], weights: list[float]) -> None:
    sums: tuple[float, ...] = (0.0,)
    for weight, value in zip(weights, values, strict=False):
        sums = grow(sums, (value,), (1.0,), weight, 1e100)
    starts = [weights[start] * math.exp(sum(values[start:])) for start in range(len(values))]
    assert sums[0] == pytest.approx(sum(starts))


def test_a_sum_stops_at_its_ceiling_and_never_overflows() -> None:
    assert grow((1e99,), (1e6,), (1.0,), 0.1, 1e100) == (1e100,)


@pytest.mark.parametrize("counts", [(3, 4), (3, -1)], ids=["more errors than requests", "negative errors"])
def test_counts_that_cannot_be_are_refused(counts: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="errors must be between 0 and requests"):
        Counts(*counts)
