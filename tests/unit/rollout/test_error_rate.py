import itertools
import json
import math
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redstart.rollout.e_process import RESTORED, Block, Counts, spent
from redstart.rollout.error_rate import PASS_CEILING, ErrorRateTest, fail_gaps
from redstart.rollout.policy import RolloutPolicy, Step
from redstart.rollout.verdict import Outcome

POLICY = RolloutPolicy(steps=(Step(20),))


def block(canary: tuple[int, int], stable: tuple[int, int]) -> Block:
    """(requests, errors) of each arm."""
    return Block(Counts(*canary), Counts(*stable))


def watched(
    *looks: Block, test: ErrorRateTest | None = None, policy: RolloutPolicy = POLICY
) -> ErrorRateTest:
    test = test or ErrorRateTest.begin(policy)
    for look in looks:
        test = test.observe(look, test.elapsed + 1)
    return test


HEALTHY = block((20, 0), (80, 0))
NO_CANARY, NO_STABLE = block((0, 0), (1, 0)), block((1, 0), (0, 0))


@pytest.mark.parametrize(
    ("looks", "outcome", "reason"),
    [
        pytest.param([], Outcome.UNDECIDED, "TooFewSamples", id="no look at all is undecided"),
        pytest.param(
            [block((0, 0), (0, 0))] * 50, Outcome.UNDECIDED, "TooFewSamples", id="no traffic at all"
        ),
        pytest.param(
            [block((0, 0), (80, 3))] * 50, Outcome.UNDECIDED, "TooFewSamples", id="no canary traffic"
        ),
        pytest.param(
            [block((20, 20), (80, 0))], Outcome.FAIL, "ErrorRate", id="a dead canary fails in one look"
        ),
        pytest.param(
            [HEALTHY] * 600 + [block((20, 20), (80, 0))],
            Outcome.FAIL,
            "ErrorRate",
            id="a canary that dies after ten healthy minutes fails in one look",
        ),
        pytest.param(
            [block((1, 1), (4, 0))], Outcome.UNDECIDED, "TooFewSamples", id="one error alone proves nothing"
        ),
        pytest.param(
            [HEALTHY] * 600 + [block((20, 4), (80, 0))] * 4,
            Outcome.FAIL,
            "ErrorRate",
            id="a fifth of errors fails in 4 s after ten healthy minutes",
        ),
        pytest.param([HEALTHY] * 40, Outcome.PASS, "ErrorRate", id="a canary without errors passes"),
        pytest.param(
            [HEALTHY] * 300 + [block((20, 1), (80, 0))] * 9,
            Outcome.UNDECIDED,
            "NotProven",
            id="a canary that worsens after it passed has to prove itself again",
        ),
        pytest.param(
            [block((20, 6), (80, 24))] * 60,
            Outcome.UNDECIDED,
            "NotProven",
            id="both arms failing alike is undecided",
        ),
        pytest.param(
            [block((20, 0), (80, 24))] * 10, Outcome.PASS, "ErrorRate", id="a canary that mends stable passes"
        ),
        pytest.param(
            [block((20, 20), (80, 80))] * 10, Outcome.UNDECIDED, "NotProven", id="both arms failing wholly"
        ),
        pytest.param(
            [NO_CANARY, block((1, 1), (0, 0))] * 8,
            Outcome.FAIL,
            "ErrorRate",
            id="a canary that fails all fails in 8 requests when no look has both arms",
        ),
        pytest.param(
            [*[NO_CANARY] * 19, block((1, 1), (0, 0))] * 4,
            Outcome.FAIL,
            "ErrorRate",
            id="a canary that fails all fails in 4 requests at 5 % of one request in each look",
        ),
        pytest.param(
            [NO_CANARY, NO_STABLE] * 2000,
            Outcome.PASS,
            "ErrorRate",
            id="a canary without errors passes when no look has both arms",
        ),
        pytest.param(
            [block((0, 0), (1, 1)), block((1, 1), (0, 0))] * 100,
            Outcome.UNDECIDED,
            "TooFewSamples",
            id="both arms failing wholly when no look has both",
        ),
        pytest.param(
            [block((1, 1), (0, 0))] * 300,
            Outcome.UNDECIDED,
            "NotProven",
            id="a canary that fails all without a request on stable is undecided",
        ),
    ],
)
def test_verdict(looks: Sequence[Block], outcome: Outcome, reason: str) -> None:
    verdict = watched(*looks).verdict()
    assert (verdict.outcome, verdict.reason) == (outcome, reason), verdict.message


def test_a_failure_tells_the_counts_since_it_began_and_not_the_healthy_time_before() -> None:
    test = watched(*[HEALTHY] * 600, *[block((20, 10), (80, 1))] * 2)
    assert test.verdict().message.startswith(
        "canary 50% (20 of 40), stable 1.25% (2 of 160), from 10m after the first weight; "
        "above stable by more than maxIncrease 0.01: evidence "
    )


def test_a_failure_stays_one_when_the_canary_recovers() -> None:
    assert watched(block((20, 20), (80, 0)), *[HEALTHY] * 500).verdict().outcome is Outcome.FAIL


def test_a_failure_counts_from_the_first_look_of_its_block() -> None:
    looks = [NO_CANARY, NO_STABLE] * 10 + [block((0, 0), (0, 0)), *[NO_CANARY, block((1, 1), (0, 0))] * 9]
    assert (
        watched(*looks)
        .verdict()
        .message.startswith("canary 100% (9 of 9), stable 0% (0 of 9), from 21s after the first weight; ")
    )


def test_looks_with_one_arm_are_compared_as_if_they_were_one_look() -> None:
    apart, at_once = ErrorRateTest.begin(POLICY), ErrorRateTest.begin(POLICY)
    for n in range(1, 20):
        canary, stable = Counts(n, n // 3), Counts(2 * n, n // 5)
        for part in (Block(Counts(0, 0), stable), Block(Counts(0, 0), stable), Block(canary, Counts(0, 0))):
            apart = apart.observe(part, apart.elapsed + 1)
        at_once = at_once.observe(Block(canary, stable + stable), at_once.elapsed + 3)
        assert apart.totals == at_once.totals
        assert apart.sums == pytest.approx(at_once.sums)
        assert apart.pass_sums == pytest.approx(at_once.pass_sums)
        assert apart.difference == pytest.approx(at_once.difference)
        assert apart.learned == at_once.learned


def test_no_block_holds_requests_of_two_weights() -> None:
    before = watched(HEALTHY, NO_STABLE, NO_STABLE)
    after = before.new_weight()
    assert watched(NO_CANARY, test=before).difference_weight > before.difference_weight
    opened = watched(NO_CANARY, test=after)
    assert opened.difference_weight == before.difference_weight
    assert opened.totals.canary.requests == 22
    closed = watched(block((3, 3), (0, 0)), test=opened)
    assert closed.difference_weight == before.difference_weight + 3 / 4
    assert watched(*[block((20, 20), (80, 0))] * 3).new_weight().verdict().outcome is Outcome.FAIL


def test_the_estimate_of_both_arms_failing_alike_is_0_when_no_look_has_both() -> None:
    assert watched(*[block((0, 0), (1, 1)), block((1, 1), (0, 0))] * 300).difference == 0


def test_without_a_request_on_stable_there_is_no_estimate_and_nothing_is_acceptable() -> None:
    test = watched(*[NO_STABLE] * 300)
    assert test.difference is None
    verdict = test.verdict(final=True)
    assert (verdict.outcome, verdict.reason) == (Outcome.UNDECIDED, "NotProven")
    assert "stable had no request" in verdict.message


@pytest.mark.parametrize(
    ("errors", "samples", "want"),
    [
        pytest.param(10, 200, Outcome.ACCEPTABLE, id="an estimate within the allowance, with minSamples"),
        pytest.param(12, 200, Outcome.UNDECIDED, id="an estimate outside, without proof"),
        pytest.param(9, 199, Outcome.UNDECIDED, id="one sample too few"),
    ],
)
def test_at_the_deadline(errors: int, samples: int, want: Outcome) -> None:
    policy = RolloutPolicy(steps=(Step(20),), max_increase=0.03)
    test = watched(block((samples, errors), (800, 16)), policy=policy)
    assert test.verdict(final=True).outcome is want
    assert test.verdict().outcome is Outcome.UNDECIDED


def test_an_incident_shared_by_both_arms_at_a_higher_weight_does_not_bias_the_estimate() -> None:
    test = watched(*[block((5, 0), (95, 0))] * 30, *[block((50, 10), (50, 10))] * 30)
    totals = test.totals
    assert totals.canary.rate - totals.stable.rate > 0.1
    assert test.difference == pytest.approx(0)
    assert test.verdict().outcome is not Outcome.FAIL


def test_both_arms_failing_lately_is_told_and_a_mended_one_is_not() -> None:
    assert watched(*[block((20, 6), (80, 24))] * 10).baseline_unhealthy() is not None
    assert watched(*[block((20, 0), (80, 24))] * 10).baseline_unhealthy() is None
    assert watched(*[block((20, 20), (80, 0))] * 10).baseline_unhealthy() is None
    assert watched(*[block((20, 6), (80, 24))] * 10, *[HEALTHY] * 120).baseline_unhealthy() is None


def test_both_arms_failing_is_told_once_the_block_is_closed() -> None:
    opened = watched(*[block((20, 10), (80, 0))] * 3, block((0, 0), (200, 200)))
    assert opened.baseline_unhealthy() is None
    assert watched(block((1, 1), (0, 0)), test=opened).baseline_unhealthy() is not None


def expectation(
    value: Callable[[ErrorRateTest], float],
    looks: Callable[[ErrorRateTest], tuple[int, int]],
    *,
    test: ErrorRateTest,
    canary: float,
    stable: float,
    depth: int,
) -> float:
    """Exact expectation of value after depth looks whose sizes may depend on all that was seen."""
    if depth == 0:
        return value(test)
    n_canary, n_stable = looks(test)
    total = 0.0
    for e_canary, e_stable in itertools.product(range(n_canary + 1), range(n_stable + 1)):
        probability = (
            math.comb(n_canary, e_canary)
            * canary**e_canary
            * (1 - canary) ** (n_canary - e_canary)
            * math.comb(n_stable, e_stable)
            * stable**e_stable
            * (1 - stable) ** (n_stable - e_stable)
        )
        after = test.observe(block((n_canary, e_canary), (n_stable, e_stable)), test.elapsed + 60)
        total += probability * expectation(
            value, looks, test=after, canary=canary, stable=stable, depth=depth - 1
        )
    return total


BATCHINGS = [
    pytest.param(lambda test: (1, 3), 3, id="small"),
    pytest.param(lambda test: (4, 1), 3, id="more canary"),
    pytest.param(lambda test: (3, 3) if test.totals.canary.errors else (1, 1), 3, id="larger after an error"),
    pytest.param(lambda test: (1, 4) if test.evidence > 1 else (3, 2), 3, id="by evidence"),
    pytest.param(
        lambda test: (1, 0) if test.pending.stable.requests else (0, 3), 5, id="one arm in each look"
    ),
]


@pytest.mark.parametrize(("looks", "depth"), BATCHINGS)
@settings(max_examples=12, deadline=None)
@given(
    stable=st.floats(0, 0.99),
    under=st.floats(0, 1),
    max_increase=st.sampled_from([0.01, 0.1]),
    start=st.booleans(),
)
def test_evidence_expects_no_more_than_the_weight_spent_under_any_batching(
    *,
    looks: Callable[[ErrorRateTest], tuple[int, int]],
    depth: int,
    stable: float,
    under: float,
    max_increase: float,
    start: bool,
) -> None:
    policy = RolloutPolicy(steps=(Step(20),), max_increase=max_increase)
    begin = ErrorRateTest.begin(policy) if start else ErrorRateTest.resumed(policy, 600)
    canary = under * min(1, stable + max_increase)
    got = expectation(
        lambda test: test.evidence, looks, test=begin, canary=canary, stable=stable, depth=depth
    )
    budget = spent(begin.elapsed + 60 * depth, policy.deadline) - begin.weight_spent
    assert got <= budget * (1 + 1e-9)


@pytest.mark.parametrize(("looks", "depth"), BATCHINGS)
@settings(max_examples=12, deadline=None)
@given(stable=st.floats(0, 0.9), over=st.floats(0, 1))
def test_pass_evidence_expects_no_more_than_the_weight_spent_for_a_canary_outside_the_allowance(
    *, looks: Callable[[ErrorRateTest], tuple[int, int]], depth: int, stable: float, over: float
) -> None:
    canary = stable + POLICY.max_increase + over * (1 - stable - POLICY.max_increase)
    begin = ErrorRateTest.begin(POLICY)
    got = expectation(
        lambda test: test.pass_evidence, looks, test=begin, canary=canary, stable=stable, depth=depth
    )
    assert got <= spent(60 * depth, POLICY.deadline) * (1 + 1e-9)


looks_seen = st.lists(
    st.tuples(st.integers(0, 30), st.floats(0, 1), st.integers(0, 90), st.floats(0, 1)).map(
        lambda seen: block((seen[0], int(seen[0] * seen[1])), (seen[2], int(seen[2] * seen[3])))
    ),
    min_size=1,
    max_size=20,
)


@settings(max_examples=60)
@given(looks_seen, st.integers(0, 19))
def test_one_more_error_on_the_canary_never_acquits_it(looks: list[Block], at: int) -> None:
    at = min(at, len(looks) - 1)
    seen = looks[at]
    if seen.canary.errors == seen.canary.requests:
        return
    worse = Block(Counts(seen.canary.requests, seen.canary.errors + 1), seen.stable)
    before, after = watched(*looks), watched(*looks[:at], worse, *looks[at + 1 :])
    assert after.evidence >= before.evidence * (1 - 1e-9)
    assert after.pass_evidence <= before.pass_evidence * (1 + 1e-9)


@settings(max_examples=60)
@given(looks_seen, looks_seen)
def test_a_test_begun_anew_never_has_more_evidence_than_one_that_saw_everything_from_there(
    before: list[Block], after: list[Block]
) -> None:
    whole = watched(*before)
    resumed = ErrorRateTest.resumed(POLICY, whole.elapsed)
    blank = ErrorRateTest.begin(POLICY)
    resumed, blank = watched(*after, test=resumed), watched(*after, test=blank)
    assert resumed.evidence <= blank.evidence * (1 + 1e-9)
    assert resumed.pass_evidence <= blank.pass_evidence * (1 + 1e-9)


@settings(max_examples=60)
@given(looks_seen)
def test_a_saved_test_comes_back_with_a_tenth_of_its_evidence_and_never_more(looks: list[Block]) -> None:
    test = watched(*looks)
    state = json.loads(json.dumps(test.to_state()))
    back = ErrorRateTest.from_state(POLICY, state, test.elapsed)
    assert back.evidence <= RESTORED * test.evidence
    assert back.evidence == pytest.approx(RESTORED * test.evidence, rel=1e-4, abs=1e-11)
    assert back.pass_evidence <= RESTORED * test.pass_evidence
    assert back.totals == test.totals
    assert back.difference == pytest.approx(test.difference, abs=1e-2)
    assert back.weight_spent == test.weight_spent
    assert (back.verdict().outcome is Outcome.FAIL) == (test.verdict().outcome is Outcome.FAIL)


def test_the_weight_of_looks_lost_in_a_restart_is_not_given_again() -> None:
    test = watched(*[HEALTHY] * 10)
    back = ErrorRateTest.from_state(POLICY, test.to_state(), 25.0)
    assert back.weight_spent == spent(25.0, POLICY.deadline)


def test_a_saved_test_is_small() -> None:
    test = watched(*[block((200, 3), (80_000, 700))] * 200)
    assert len(json.dumps(test.to_state())) < 500


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"fail": None}, id="a part is missing"),
        pytest.param({"fail": [0.1]}, id="it compares other gaps"),
        pytest.param({"pass": [float("nan"), 0.0]}, id="a number is not finite"),
        pytest.param({"pass": [-1.0, 0.0]}, id="a number is negative"),
        pytest.param({"totals": [1, 2, 3]}, id="an arm has no errors"),
        pytest.param({"totals": [1, 2, 3, 0]}, id="more errors than requests"),
        pytest.param({"elapsed": "soon"}, id="a word instead of a number"),
    ],
)
def test_what_is_no_saved_test_is_refused(change: dict[str, object]) -> None:
    state = {**watched(HEALTHY).to_state(), **change}
    with pytest.raises(ValueError, match="not a saved error rate test"):
        ErrorRateTest.from_state(POLICY, state, 1.0)


def test_time_that_stands_still_or_goes_back_gives_no_weight_away() -> None:
    test = watched(*[HEALTHY] * 10)
    assert test.observe(HEALTHY, 10.0).weight_spent == test.weight_spent
    assert test.observe(HEALTHY, 3.0).elapsed == 10.0


def test_pass_evidence_stops_at_its_ceiling() -> None:
    assert watched(*[HEALTHY] * 500).pass_evidence <= 2 * PASS_CEILING / (1 - POLICY.promotion_confidence)


@pytest.mark.parametrize("max_increase", [0.0001, 0.01, 0.3, 0.9])
def test_gaps_rise_above_the_allowance_up_to_a_canary_that_fails_all(max_increase: float) -> None:
    gaps = fail_gaps(max_increase)
    assert list(gaps) == sorted(set(gaps))
    assert gaps[0] > max_increase
    assert gaps[-1] == 1
