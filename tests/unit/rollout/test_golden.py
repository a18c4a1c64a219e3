"""Whole rollouts on fake time, one line for each change of the decision; see golden/."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from redstart.rollout.decision import Action, Decision, Observation, decide
from redstart.rollout.e_process import Block, Counts
from redstart.rollout.error_rate import ErrorRateTest
from redstart.rollout.policy import OnInconclusive, RolloutPolicy, Step
from redstart.rollout.structural import CanaryFacts, ContainerFacts, PodFacts, structural_failure

POLICY = RolloutPolicy(steps=(Step(5), Step(25, 120.0), Step(50)))
Rates = Callable[[int], tuple[float, float]]


@dataclass(frozen=True)
class Story:
    """rates(second) gives the canary's and stable's true error rates; sets hold seconds."""

    rates: Rates
    policy: RolloutPolicy = POLICY
    requests_per_second: int = 100
    seconds: int = 2400
    paused: frozenset[int] = frozenset()
    blind: frozenset[int] = frozenset()
    restarts: frozenset[int] = frozenset()
    crash: int | None = None


class Rollout:
    """The world around decide(): a router that obeys a second later, pods that take 3 s to be ready."""

    def __init__(self, story: Story, seed: int = 7) -> None:
        self.story = story
        self.random = random.Random(seed)
        self.step, self.weight, self.elapsed, self.step_elapsed, self.samples = -1, 0, 0.0, 0.0, 0
        self.ready, self.wanted, self.since_wanted = 0, 1, 0
        self.test = ErrorRateTest.begin(story.policy)
        self.saved = self.test.to_state()

    def count(self, requests: int, rate: float) -> Counts:
        return Counts(requests, sum(self.random.random() < rate for _ in range(requests)))

    def look(self, second: int) -> Decision:
        story = self.story
        paused, blind = second in story.paused, second in story.blind
        if second in story.restarts:
            self.test = ErrorRateTest.from_state(story.policy, self.saved, self.elapsed)
        if self.weight and not blind:
            self.elapsed += not paused
            self.step_elapsed += not paused
            canary = sum(self.random.random() < self.weight / 100 for _ in range(story.requests_per_second))
            rates = story.rates(second)
            block = Block(
                self.count(canary, rates[0]), self.count(story.requests_per_second - canary, rates[1])
            )
            self.test = self.test.observe(block, self.elapsed)
            self.samples += canary
        if second % 10 == 0:
            self.saved = self.test.to_state()
        self.since_wanted += 1
        if self.since_wanted >= 3:
            self.ready = self.wanted
        decision = decide(story.policy, self.observation(second, paused=paused, blind=blind))
        if decision.replicas != self.wanted:
            self.wanted, self.since_wanted = decision.replicas, 0
        if decision.action is Action.ADVANCE:
            self.step, self.weight = decision.step, decision.weight
            self.step_elapsed, self.samples = 0.0, 0
            self.test = self.test.new_weight()
        return decision

    def observation(self, second: int, *, paused: bool, blind: bool) -> Observation:
        waiting = "CrashLoopBackOff" if second == self.story.crash else ""
        pod = PodFacts("canary-1", (ContainerFacts("server", waiting=waiting, exit_code=1, restarts=2),))
        return Observation(
            step=self.step,
            weights=(self.weight, self.weight),
            elapsed=self.elapsed,
            step_elapsed=self.step_elapsed,
            samples=self.samples,
            stable_replicas=3,
            canary_ready=self.ready,
            test=self.test,
            paused=paused,
            metrics_available=not blind,
            structural=structural_failure(CanaryFacts((pod,), "sha256:aaaa", weight=self.weight)),
        )


def told(story: Story) -> str:
    """The sequence of what happened, without the seconds in which nothing changed."""
    rollout, lines, last = Rollout(story), [], None
    for second in range(story.seconds):
        decision = rollout.look(second)
        what = (decision.action, decision.reason, decision.weight, decision.replicas)
        if what != last:
            lines.append(
                f"{second:>5}s  {decision.action:<8} {decision.reason:<17} weight {decision.weight:>3}  "
                f"replicas {decision.replicas}  {decision.message}"
            )
        last = what
        if decision.action in (Action.PROMOTE, Action.ROLLBACK):
            break
    return "\n".join([*lines, ""])


def constant(canary: float, stable: float) -> Rates:
    return lambda second: (canary, stable)


def late(canary: float, *, at: int) -> Rates:
    return lambda second: (canary if second >= at else 0.001, 0.001)


def incident(start: int, end: int) -> Rates:
    return lambda second: (0.4, 0.4) if start <= second < end else (0.001, 0.001)


SLOW = RolloutPolicy(steps=(Step(5, 300.0), Step(25, 300.0), Step(50, 300.0)))
QUICK = RolloutPolicy(steps=(Step(5, 20.0), Step(50, 30.0)), min_samples=20)
STORIES = {
    "canary that fails a tenth gets no more weight before it is rolled back": Story(
        constant(0.1, 0.001), policy=QUICK, requests_per_second=20
    ),
    "healthy canary that failed once by chance goes on after a while": Story(
        lambda second: (1.0 if second == 12 else 0.0, 0.001), policy=QUICK, requests_per_second=20
    ),
    "healthy canary is promoted": Story(constant(0.001, 0.001)),
    "canary that fails all is rolled back": Story(constant(1.0, 0.001)),
    "canary that fails a fifth is rolled back": Story(constant(0.2, 0.001)),
    "canary that fails all at a request each second is rolled back": Story(
        constant(1.0, 0.001), policy=RolloutPolicy(steps=(Step(50),)), requests_per_second=1
    ),
    "fault after 10 minutes is rolled back": Story(late(0.2, at=600), policy=SLOW),
    "incident shared by both arms delays and does not roll back": Story(incident(60, 120)),
    "poison rows that fail on both arms do not roll back": Story(constant(0.05, 0.05)),
    "pause freezes the rollout": Story(constant(0.001, 0.001), paused=frozenset(range(20, 200))),
    "missing metrics freeze the rollout": Story(constant(0.001, 0.001), blind=frozenset(range(20, 200))),
    "crash loop is rolled back at once": Story(constant(0.001, 0.001), crash=50),
    "operator restarts each minute, healthy canary is promoted": Story(
        constant(0.001, 0.001), restarts=frozenset(range(5, 2400, 60))
    ),
    "operator restarts each minute, failing canary is rolled back": Story(
        late(0.2, at=100), policy=SLOW, restarts=frozenset(range(5, 2400, 60))
    ),
    "canary at the edge of the allowance holds at the deadline": Story(
        constant(0.0125, 0.001), requests_per_second=20
    ),
    "too little traffic rolls back at the deadline when asked to": Story(
        constant(0.0, 0.0),
        policy=RolloutPolicy(steps=(Step(5), Step(50)), on_inconclusive=OnInconclusive.ROLLBACK),
        requests_per_second=1,
    ),
}


@pytest.mark.parametrize("story", STORIES)
def test_rollout(story: str, golden: Callable[[str, str], None]) -> None:
    golden(f"{story.replace(' ', '-').replace(',', '')}.txt", told(STORIES[story]))


def test_a_canary_that_fails_only_while_paused_is_rolled_back_too() -> None:
    story = Story(late(1.0, at=100), paused=frozenset(range(20, 2400)))
    assert "Rollback" in told(replace(story, seconds=110))
