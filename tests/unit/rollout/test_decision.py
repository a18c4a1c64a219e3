from dataclasses import replace

import pytest

from redstart.rollout.decision import Action, Observation, decide
from redstart.rollout.e_process import Block, Counts
from redstart.rollout.error_rate import ErrorRateTest
from redstart.rollout.policy import OnInconclusive, RolloutPolicy, Step
from redstart.rollout.verdict import Outcome, Verdict

POLICY = RolloutPolicy(steps=(Step(5), Step(25, 120.0), Step(50)))
BLANK = ErrorRateTest.begin(POLICY)


def after(*looks: tuple[int, int, int, int]) -> ErrorRateTest:
    test = BLANK
    for canary, canary_errors, stable, stable_errors in looks:
        block = Block(Counts(canary, canary_errors), Counts(stable, stable_errors))
        test = test.observe(block, test.elapsed + 1)
    return test


PASSED = after(*[(50, 0, 50, 0)] * 60)
FAILED = after((50, 50, 50, 0))
UNDECIDED = after((200, 2, 800, 8))
ESTIMATE_OUTSIDE = after((200, 5, 800, 8))
FEW = after((100, 0, 400, 0))
LOOKS_WORSE = after(*[(20, 1, 380, 0)] * 2, *[(20, 0, 380, 0)] * 1)
NO_STABLE = after(*[(1, 1, 0, 0)] * 300)
BOTH_FAILING = after(*[(50, 10, 50, 10)] * 5)
CRASHING = Verdict(Outcome.FAIL, "CrashLoopBackOff", "container server of pod x crashed 2 times")

SEEN = Observation(
    step=0,
    weights=(5, 5),
    elapsed=30.0,
    step_elapsed=30.0,
    samples=200,
    stable_replicas=10,
    canary_ready=4,
    test=UNDECIDED,
)
LAST = replace(SEEN, step=2, weights=(50,), elapsed=240.0, canary_ready=10)
LATE = replace(SEEN, elapsed=1800.0)


def inconclusive(then: OnInconclusive) -> RolloutPolicy:
    return replace(POLICY, on_inconclusive=then)


@pytest.mark.parametrize(
    ("policy", "seen", "want"),
    [
        pytest.param(
            POLICY,
            replace(
                SEEN,
                step=-1,
                weights=(0, 0),
                elapsed=0,
                step_elapsed=0,
                samples=0,
                test=BLANK,
                canary_ready=1,
            ),
            (Action.ADVANCE, "StepFinished", 0, 5, 1),
            id="the first weight follows as soon as the canary is ready",
        ),
        pytest.param(
            POLICY,
            replace(
                SEEN,
                step=-1,
                weights=(0, 0),
                elapsed=0,
                step_elapsed=0,
                samples=0,
                test=BLANK,
                canary_ready=0,
            ),
            (Action.WAIT, "CanaryNotReady", -1, 0, 1),
            id="no weight before a canary pod is ready",
        ),
        *(
            pytest.param(
                POLICY,
                replace(
                    SEEN,
                    step=-1,
                    weights=(0, 0),
                    elapsed=0,
                    step_elapsed=0,
                    samples=0,
                    test=BLANK,
                    canary_ready=ready,
                    uncompared=why,
                ),
                (Action.WAIT, reason, -1, 0, 1),
                id=f"no weight before it is known what it takes: {where}",
            )
            for ready, why, reason, where in (
                (1, "", "NotCompared", "a pod that is ready was not asked"),
                (1, "pod x: no route", "NotCompared", "a pod that is ready does not answer"),
                (0, "", "CanaryNotReady", "its pods have to start"),
            )
        ),
        pytest.param(
            POLICY, SEEN, (Action.ADVANCE, "StepFinished", 1, 25, 4), id="a finished step leads to the next"
        ),
        pytest.param(
            POLICY,
            replace(SEEN, canary_ready=3),
            (Action.WAIT, "CanaryNotReady", 0, 5, 4),
            id="the weight does not rise before its replicas are ready",
        ),
        pytest.param(
            POLICY,
            replace(SEEN, step_elapsed=29.9),
            (Action.WAIT, "HoldingStep", 0, 5, 1),
            id="hold not elapsed",
        ),
        pytest.param(
            POLICY,
            replace(SEEN, samples=199),
            (Action.WAIT, "TooFewSamples", 0, 5, 1),
            id="minSamples not reached",
        ),
        pytest.param(
            POLICY,
            replace(SEEN, weights=(5, 0)),
            (Action.WAIT, "RouteNotInForce", 0, 5, 1),
            id="one router has an older plan",
        ),
        pytest.param(
            POLICY,
            replace(SEEN, weights=()),
            (Action.WAIT, "RouteNotInForce", 0, 5, 1),
            id="no router answers",
        ),
        pytest.param(
            POLICY,
            replace(SEEN, test=LOOKS_WORSE),
            (Action.WAIT, "LooksWorse", 0, 5, 1),
            id="no more weight while the canary looks worse",
        ),
        pytest.param(
            POLICY,
            replace(LAST, test=LOOKS_WORSE),
            (Action.WAIT, "TooFewSamples", 2, 50, 10),
            id="at the last step proof alone decides",
        ),
        pytest.param(
            POLICY,
            replace(SEEN, paused=True, requested=True),
            (Action.PROMOTE, "Requested", 0, 100, 10),
            id="a person asks for promotion, while it is paused",
        ),
        pytest.param(
            POLICY,
            replace(SEEN, step=-1, weights=(0,), samples=0, test=BLANK, requested=True),
            (Action.PROMOTE, "Requested", -1, 100, 10),
            id="a person asks for promotion before the first weight",
        ),
        pytest.param(
            POLICY,
            replace(
                SEEN,
                step=-1,
                weights=(0,),
                samples=0,
                test=BLANK,
                canary_ready=1,
                requested=True,
                uncompared="",
            ),
            (Action.WAIT, "NotCompared", -1, 0, 1),
            id="nobody can ask for a canary before it is known what it takes",
        ),
        pytest.param(
            POLICY,
            replace(SEEN, test=FAILED, requested=True),
            (Action.ROLLBACK, "ErrorRate", 0, 0, 0),
            id="a canary that is proven to fail is not promoted by asking",
        ),
        pytest.param(
            POLICY,
            replace(SEEN, test=BLANK, alone_seconds=60.0, alone=Counts(2941, 0)),
            (Action.PROMOTE, "StableUnavailable", 0, 100, 10),
            id="a canary that answers everything takes over from a stable without pods",
        ),
        pytest.param(
            POLICY,
            replace(SEEN, test=BLANK, alone_seconds=59.0, alone=Counts(2941, 0), step_elapsed=1.0),
            (Action.WAIT, "HoldingStep", 0, 5, 1),
            id="not before stable has been away for a minute",
        ),
        pytest.param(
            POLICY,
            replace(SEEN, test=BLANK, alone_seconds=600.0, alone=Counts(199, 0), step_elapsed=1.0),
            (Action.WAIT, "HoldingStep", 0, 5, 1),
            id="not before minSamples requests have been answered alone",
        ),
        pytest.param(
            POLICY,
            replace(SEEN, test=BLANK, alone_seconds=600.0, alone=Counts(1000, 11), step_elapsed=1.0),
            (Action.WAIT, "HoldingStep", 0, 5, 1),
            id="not while the canary fails more than maxIncrease of them",
        ),
        pytest.param(
            POLICY,
            replace(SEEN, test=BLANK, alone_seconds=600.0, alone=Counts(1000, 0), paused=True),
            (Action.HOLD, "Paused", 0, 5, 1),
            id="not while paused",
        ),
        pytest.param(
            POLICY, replace(LAST, test=PASSED), (Action.PROMOTE, "Passed", 2, 100, 10), id="promotion"
        ),
        pytest.param(
            POLICY,
            replace(LAST, test=PASSED, step_elapsed=10.0),
            (Action.WAIT, "HoldingStep", 2, 50, 10),
            id="no promotion before the last step's hold",
        ),
        pytest.param(POLICY, LAST, (Action.WAIT, "NotProven", 2, 50, 10), id="no promotion without proof"),
        pytest.param(
            POLICY,
            replace(SEEN, test=FAILED, samples=1, step_elapsed=1.0),
            (Action.ROLLBACK, "ErrorRate", 0, 0, 0),
            id="a proven failure waits for neither hold nor minSamples",
        ),
        pytest.param(
            POLICY,
            replace(SEEN, test=FAILED, paused=True),
            (Action.ROLLBACK, "ErrorRate", 0, 0, 0),
            id="a proven failure is rolled back while paused",
        ),
        pytest.param(
            POLICY,
            replace(SEEN, structural=CRASHING, metrics_available=False),
            (Action.ROLLBACK, "CrashLoopBackOff", 0, 0, 0),
            id="structural signs act without metrics",
        ),
        pytest.param(
            POLICY,
            replace(SEEN, step=-1, weights=(0,), structural=CRASHING, test=BLANK),
            (Action.ROLLBACK, "CrashLoopBackOff", -1, 0, 0),
            id="structural signs act before the first weight",
        ),
        pytest.param(POLICY, replace(SEEN, paused=True), (Action.HOLD, "Paused", 0, 5, 1), id="paused"),
        pytest.param(
            POLICY,
            replace(LATE, paused=True),
            (Action.HOLD, "Paused", 0, 5, 1),
            id="nothing is concluded while paused",
        ),
        pytest.param(
            POLICY,
            replace(LAST, test=PASSED, metrics_available=False),
            (Action.HOLD, "MetricsUnavailable", 2, 50, 10),
            id="no promotion without metrics",
        ),
        pytest.param(
            POLICY,
            replace(SEEN, test=BOTH_FAILING),
            (Action.HOLD, "BaselineUnhealthy", 0, 5, 1),
            id="both arms failing alike neither advance nor roll back",
        ),
        pytest.param(
            inconclusive(OnInconclusive.ROLLBACK),
            replace(LATE, test=BOTH_FAILING),
            (Action.HOLD, "BaselineUnhealthy", 0, 5, 1),
            id="both arms failing alike at the deadline are not rolled back",
        ),
        pytest.param(
            POLICY,
            replace(LATE, test=PASSED),
            (Action.PROMOTE, "Passed", 0, 100, 10),
            id="passed at the deadline",
        ),
        pytest.param(
            POLICY, LATE, (Action.PROMOTE, "Acceptable", 0, 100, 10), id="acceptable at the deadline promotes"
        ),
        pytest.param(
            POLICY,
            replace(LATE, test=FEW),
            (Action.HOLD, "Inconclusive", 0, 5, 1),
            id="too few samples at the deadline hold by default",
        ),
        pytest.param(
            POLICY,
            replace(LATE, test=ESTIMATE_OUTSIDE),
            (Action.HOLD, "Inconclusive", 0, 5, 1),
            id="an estimate outside the allowance at the deadline holds by default",
        ),
        pytest.param(
            POLICY,
            replace(LATE, test=NO_STABLE),
            (Action.HOLD, "Inconclusive", 0, 5, 1),
            id="nothing to compare with at the deadline holds by default",
        ),
        pytest.param(
            inconclusive(OnInconclusive.PROMOTE),
            replace(LATE, test=FEW),
            (Action.PROMOTE, "Inconclusive", 0, 100, 10),
            id="onInconclusive Promote",
        ),
        pytest.param(
            inconclusive(OnInconclusive.ROLLBACK),
            replace(LATE, test=FEW),
            (Action.ROLLBACK, "Inconclusive", 0, 0, 0),
            id="onInconclusive Rollback",
        ),
    ],
)
def test_decide(policy: RolloutPolicy, seen: Observation, want: tuple[Action, str, int, int, int]) -> None:
    got = decide(policy, seen)
    assert (got.action, got.reason, got.step, got.weight, got.replicas) == want, got.message
    assert got.message
