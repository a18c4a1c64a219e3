"""The simulation's numpy mirror is the code that decides."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from tests.benchmarks.error_rate_vectorised import ErrorRateTests
from tests.benchmarks.rollout_streams import Stream, rollouts

from redstart.rollout.decision import Action, Observation, decide
from redstart.rollout.e_process import Block, Counts
from redstart.rollout.error_rate import ErrorRateTest
from redstart.rollout.policy import RolloutPolicy, Step
from redstart.rollout.verdict import Outcome


@pytest.mark.parametrize(
    "traffic", [(4.0, 30.0), (0.3, 0.6)], ids=["both arms in each look", "looks with one arm or none"]
)
@pytest.mark.parametrize("max_increase", [0.001, 0.01, 0.2])
@pytest.mark.parametrize(("canary_rate", "stable_rate"), [(0.01, 0.01), (0.1, 0.01), (0.0, 0.3), (1.0, 1.0)])
def test_the_mirror_equals_the_test(
    max_increase: float, canary_rate: float, stable_rate: float, traffic: tuple[float, float]
) -> None:
    policy = RolloutPolicy(steps=(Step(20),), max_increase=max_increase, min_samples=15, deadline=40.0)
    random = np.random.default_rng(3)
    number = 4
    mirror = ErrorRateTests(policy, number)
    tests = [ErrorRateTest.begin(policy) for _ in range(number)]
    for second in range(1, 61):
        if second == 30:
            mirror.restored(mirror.sums)
            tests = [ErrorRateTest.from_state(policy, test.to_state(), test.elapsed) for test in tests]
        if second == 45:
            mirror.new_weight(np.arange(number) < 2)
            tests = [*(test.new_weight() for test in tests[:2]), *tests[2:]]
        n_canary, n_stable = (random.poisson(mean, number) for mean in traffic)
        e_canary, e_stable = random.binomial(n_canary, canary_rate), random.binomial(n_stable, stable_rate)
        mirror.observe((n_canary, e_canary, n_stable, e_stable), float(second))
        tests = [
            test.observe(
                Block(Counts(int(n_c), int(e_c)), Counts(int(n_s), int(e_s))),
                float(second),
            )
            for test, n_c, e_c, n_s, e_s in zip(tests, n_canary, e_canary, n_stable, e_stable, strict=True)
        ]
        sums = np.array([test.sums + test.pass_sums for test in tests])
        np.testing.assert_allclose(mirror.sums, sums, rtol=1e-4, atol=1e-11)
    final = [test.verdict(final=True).outcome for test in tests]
    assert list(mirror.failed) == [outcome is Outcome.FAIL for outcome in final]
    mirrored = ["Pass" if passed else "Acceptable" if fine else "Undecided"
                for passed, fine in zip(mirror.passed, mirror.acceptable, strict=True)]  # fmt: skip
    assert [m for m, f in zip(mirrored, mirror.failed, strict=True) if not f] == [
        str(outcome) for outcome in final if outcome is not Outcome.FAIL
    ]


@dataclass(frozen=True)
class Replay:
    """Draws the same counts for the mirror as for decide()."""

    stream: Stream
    drawn: list[tuple[np.ndarray, ...]] = field(default_factory=list)

    def draw(self, *args: object) -> tuple[np.ndarray, ...]:
        self.drawn.append(self.stream.draw(*args))
        return self.drawn[-1]


def decided(policy: RolloutPolicy, counts: list[tuple[np.ndarray, ...]], rollout: int) -> tuple[str, float]:
    """decide() over the counts of one rollout: its last action and when."""
    test, step, since, samples = ErrorRateTest.begin(policy), 0, 0, 0
    for second, look in enumerate(counts, start=1):
        n_c, e_c, n_s, e_s = (int(arm[rollout]) for arm in look)
        test = test.observe(Block(Counts(n_c, e_c), Counts(n_s, e_s)), float(second))
        samples += n_c
        seen = Observation(
            step=step,
            weights=(policy.steps[step].weight,),
            elapsed=float(second),
            step_elapsed=float(second - since),
            samples=samples,
            stable_replicas=1,
            canary_ready=99,
            test=test,
        )
        decision = decide(policy, seen)
        if decision.action is Action.ADVANCE:
            step, since, samples, test = decision.step, second, 0, test.new_weight()
        elif decision.action in (Action.PROMOTE, Action.ROLLBACK):
            return str(decision.action), float(second)
    return str(decision.action), np.inf


@pytest.mark.parametrize(
    "stream",
    [
        Stream(lambda second, chance: np.full(len(chance), 0.01)),
        Stream(lambda second, chance: np.full(len(chance), 0.001), gap=0.02),
        Stream(lambda second, chance: np.full(len(chance), 0.05), gap=0.01, requests_per_second=20),
        Stream(lambda second, chance: np.where((second > 20) & (second < 30), 0.5, 0.001) + 0 * chance),
        Stream(lambda second, chance: np.full(len(chance), 0.001), requests_per_second=0.7, steady=True),
        Stream(lambda second, chance: np.full(len(chance), 0.001), gap=1.0, requests_per_second=0.7),
    ],
    ids=[
        "healthy",
        "failing",
        "at the allowance with little traffic",
        "a shared incident",
        "healthy, with a request in some looks",
        "failing all, with a request in some looks",
    ],
)
def test_a_simulated_rollout_goes_as_decide_says(stream: Stream) -> None:
    few = stream.requests_per_second < 1
    policy = RolloutPolicy(
        steps=(Step(10, 10.0), Step(50, 10.0)), min_samples=2 if few else 100, deadline=120.0
    )
    replay = Replay(stream)
    number = 8
    got = rollouts(policy, replay, number)
    for rollout in range(number):
        action, second = decided(policy, replay.drawn, rollout)
        want = {"Promote": got.promoted_at, "Rollback": got.failed_at}.get(action)
        if want is None:
            assert got.promoted_at[rollout] == got.failed_at[rollout] == np.inf
        else:
            assert want[rollout] == second
            assert got.rolled_back[rollout] == (action == "Rollback")
