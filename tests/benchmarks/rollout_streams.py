"""Simulated rollouts: streams of requests, the decision over them, and fixed-window rules beside it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tests.benchmarks.error_rate_vectorised import Counted, ErrorRateTests, Floats

from redstart.rollout.policy import RolloutPolicy

NEVER = np.inf
# base(second, chance): stable's error rate for each rollout, whose chance is one uniform number.
Base = Callable[[int, Floats], Floats]


@dataclass(frozen=True)
class Stream:
    """Requests at random (Poisson), or evenly spaced when steady, each sent to an arm at random by weight.

    The canary fails gap more often than stable from onset on.
    """

    base: Base
    gap: float = 0.0
    onset: int = 0
    requests_per_second: float = 100.0
    steady: bool = False

    def draw(
        self, random: np.random.Generator, second: int, weights: Floats, chance: Floats
    ) -> tuple[Counted, Counted, Counted, Counted]:
        """New first attempts of one second: canary, its errors, stable, its errors."""
        base = self.base(second, chance)
        if self.steady:
            until, since = (np.floor(self.requests_per_second * end + chance) for end in (second, second - 1))
            arrived = (until - since).astype(np.int64)
            n_canary = random.binomial(arrived, weights / 100)
            n_stable = arrived - n_canary
        else:
            n_canary = random.poisson(self.requests_per_second * weights / 100)
            n_stable = random.poisson(self.requests_per_second * (1 - weights / 100))
        canary = np.minimum(1.0, base + (self.gap if second > self.onset else 0.0))
        return n_canary, random.binomial(n_canary, canary), n_stable, random.binomial(n_stable, base)


@dataclass(frozen=True)
class Rule:
    """Every interval seconds, the canary's success rate over the last window seconds; so many bad ones fail it."""

    name: str
    interval: int
    window: int
    minimum: float
    failures: int

    def fails_at(self, requests: Counted, errors: Counted) -> Floats:
        """Second of the rollback; requests and errors of the canary have shape (rollouts, seconds)."""
        requests = np.pad(np.cumsum(requests, axis=1), ((0, 0), (1, 0)))
        errors = np.pad(np.cumsum(errors, axis=1), ((0, 0), (1, 0)))
        failed = np.zeros(len(requests), dtype=int)
        at = np.full(len(requests), NEVER)
        for second in range(self.interval, requests.shape[1], self.interval):
            start = max(0, second - self.window)
            seen = requests[:, second] - requests[:, start]
            bad = errors[:, second] - errors[:, start]
            failed += (seen > 0) & (bad > (1 - self.minimum) * seen + 1e-9)
            at = np.where((failed >= self.failures) & np.isinf(at), second, at)
        return at


# https://argoproj.github.io/argo-rollouts/features/analysis/, "Background Analysis": irate over two scrapes
# (15 s apart), a measurement more than failureLimit: 3 fails; and the 60 s example there, failureLimit 0.
# https://docs.flagger.app/tutorials/istio-progressive-delivery: each 1m, success >= 99 % over 1m, threshold: 5.
RULES = (
    Rule("Argo Rollouts, 5m", interval=300, window=15, minimum=0.95, failures=4),
    Rule("Argo Rollouts, 60s", interval=60, window=15, minimum=0.95, failures=1),
    Rule("Flagger, 1m", interval=60, window=60, minimum=0.99, failures=5),
)


@dataclass(frozen=True)
class Outcomes:
    """Second of each event for each rollout, NEVER when it did not happen; proven: promoted by Pass."""

    failed_at: Floats
    promoted_at: Floats
    proven: NDArray[np.bool_]
    rules: dict[str, Floats]

    @property
    def rolled_back(self) -> NDArray[np.bool_]:
        """Fail came before promotion: what a user sees."""
        return self.failed_at < self.promoted_at


def rollouts(
    policy: RolloutPolicy, stream: Stream, number: int, *, seed: int = 1, restart_every: int = 0
) -> Outcomes:
    """Whole rollouts with a look each second, watched until the deadline even when promoted before.

    The steps are those of decision.decide (a unit test holds the two equal), with pods that are ready at
    once. restart_every seconds the operator restarts, with evidence saved up to 10 s before.
    """
    random = np.random.default_rng(seed)
    chance = random.random(number)
    seconds = round(policy.deadline)
    weights_of = np.array([step.weight for step in policy.steps], dtype=float)
    holds = np.array([step.hold for step in policy.steps])
    step, since, samples = np.zeros(number, dtype=int), np.zeros(number, dtype=int), np.zeros(number)
    failed_at, promoted_at = np.full(number, NEVER), np.full(number, NEVER)
    proven = np.zeros(number, dtype=bool)
    requests, errors = np.zeros((2, number, seconds), dtype=np.int64)
    tests = ErrorRateTests(policy, number)
    saved = tests.sums
    for second in range(1, seconds + 1):
        if restart_every and second % restart_every == 0:
            tests.restored(saved)
        counts = stream.draw(random, second, weights_of[step], chance)
        requests[:, second - 1], errors[:, second - 1] = counts[:2]
        tests.observe(counts, float(second))
        if second % 10 == 0:
            saved = tests.sums
        samples += counts[0]
        failed_at = np.where(tests.failed & np.isinf(failed_at), second, failed_at)
        calm = ~tests.failed & ~tests.baseline_unhealthy & np.isinf(promoted_at)
        finished = calm & (second - since >= holds[step]) & (samples >= policy.min_samples)
        last = step == len(policy.steps) - 1
        promoted = finished & last & tests.passed
        proven |= promoted
        if second == seconds:
            proven |= calm & tests.passed & np.isfinite(holds[step])
            promoted |= calm & (tests.passed | tests.acceptable) & np.isfinite(holds[step])
        promoted_at = np.where(promoted, second, promoted_at)
        rising = finished & ~last & ~tests.looks_worse
        tests.new_weight(rising)
        step, since, samples = step + rising, np.where(rising, second, since), np.where(rising, 0, samples)
    return Outcomes(
        failed_at, promoted_at, proven, {rule.name: rule.fails_at(requests, errors) for rule in RULES}
    )


def detection(policy: RolloutPolicy, stream: Stream, number: int, *, seed: int = 1) -> Floats:
    """Seconds from onset to Fail at the first step's weight; NEVER when not by the deadline."""
    random = np.random.default_rng(seed)
    chance = random.random(number)
    weight = float(policy.steps[0].weight)
    tests = ErrorRateTests(policy, number)
    found: list[float] = []
    for second in range(1, round(policy.deadline) + 1):
        left = len(tests.peak)
        if not left:
            break
        counts = stream.draw(random, second, np.full(left, weight), chance)
        tests.observe(counts, float(second))
        found += [float(second - stream.onset)] * int(tests.failed.sum())
        chance = chance[~tests.failed]
        tests.keep(~tests.failed)
    return np.array(found + [NEVER] * (number - len(found)))


def rule_detection(
    stream: Stream, weight: int, number: int, seconds: int, *, seed: int = 1
) -> dict[str, Floats]:
    """Seconds from onset to the rollback of each rule, begun at any second between two measurements."""
    random = np.random.default_rng(seed)
    chance = random.random(number)
    requests, errors = np.zeros((2, number, seconds), dtype=np.int64)
    for second in range(1, seconds + 1):
        requests[:, second - 1], errors[:, second - 1], _, _ = stream.draw(
            random, second, np.full(number, float(weight)), chance
        )
    return {rule.name: rule.fails_at(requests, errors) - stream.onset for rule in RULES}
