"""What to do next with a rollout: one pure function from the policy and what was observed."""

from dataclasses import dataclass
from enum import StrEnum

from redstart.api import durations
from redstart.rollout.e_process import Counts
from redstart.rollout.error_rate import ErrorRateTest
from redstart.rollout.policy import OnInconclusive, RolloutPolicy, canary_replicas
from redstart.rollout.verdict import Outcome, Verdict

# A pod of stable that was killed is back, or made anew on another node, within this time; and by then clients have
# been answered by the canary alone for long enough to see that it can.
ALONE_SECONDS = 60.0
NONE = Counts(0, 0)


class Action(StrEnum):
    """Wait passes by itself; Hold needs a person, or a fault elsewhere to end."""

    WAIT = "Wait"
    HOLD = "Hold"
    ADVANCE = "Advance"
    PROMOTE = "Promote"
    ROLLBACK = "Rollback"


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at a rollout.

    step is -1 before the first weight. weights are read back, one from each router; elapsed counts
    since the first weight and step_elapsed since the step's weight was in force at every router, both
    in active seconds: without paused and frozen time. samples are the canary's first attempts in this
    step. canary_ready counts Ready pods of the canary. uncompared says why it is not known yet that the
    canary takes what stable takes, and is empty where its pods only have to start; None when it is known.
    requested: a person asks for promotion. For alone_seconds no router has found a healthy host of
    stable's and each has found one of the canary's, whose first attempts since then are alone.
    """

    step: int
    weights: tuple[int, ...]
    elapsed: float
    step_elapsed: float
    samples: int
    stable_replicas: int
    canary_ready: int
    test: ErrorRateTest
    paused: bool = False
    metrics_available: bool = True
    structural: Verdict | None = None
    uncompared: str | None = None
    requested: bool = False
    alone_seconds: float = 0.0
    alone: Counts = NONE


@dataclass(frozen=True, slots=True)
class Decision:
    """The action, why, and what shall be in force after it: step, canary weight, Ready canary replicas."""

    action: Action
    reason: str
    message: str
    step: int
    weight: int
    replicas: int


def decide(policy: RolloutPolicy, seen: Observation) -> Decision:
    """Failures first, then what freezes the rollout, then the deadline, then the next step."""
    verdict = seen.test.verdict()
    for check in (
        _failed,
        _requested,
        _frozen,
        _not_in_force,
        _takes_over,
        _baseline_unhealthy,
        _deadline,
        _unfinished_step,
    ):
        if (decision := check(policy, seen, verdict)) is not None:
            return decision
    if seen.step + 1 < len(policy.steps):
        return _looks_worse(policy, seen, verdict) or _advance(policy, seen)
    return _promotion(policy, seen, verdict)


def _failed(policy: RolloutPolicy, seen: Observation, verdict: Verdict) -> Decision | None:
    """Also while paused or without metrics: a pause must not keep a failing canary in traffic."""
    cause = seen.structural or (verdict if verdict.outcome is Outcome.FAIL else None)
    return _rollback(seen, cause.reason, cause.message) if cause else None


def _requested(policy: RolloutPolicy, seen: Observation, verdict: Verdict) -> Decision | None:
    """Also while paused, undecided or unreadable: whoever asks has other reasons than we have. But nobody means that
    clients are refused or misread, so that is known first."""
    if seen.uncompared is not None:
        return None
    return _promote(seen, "Requested", f"a person asks for it; {verdict.message}") if seen.requested else None


def _frozen(policy: RolloutPolicy, seen: Observation, verdict: Verdict) -> Decision | None:
    if seen.paused:
        return _stay(policy, seen, Action.HOLD, "Paused", "spec.rollout.paused is true")
    if not seen.metrics_available:
        message = "the weight is frozen until the routers' counts can be read again"
        return _stay(policy, seen, Action.HOLD, "MetricsUnavailable", message)
    return None


def _not_in_force(policy: RolloutPolicy, seen: Observation, verdict: Verdict) -> Decision | None:
    wanted = _weight(policy, seen.step)
    if seen.step < 0 or (seen.weights and set(seen.weights) == {wanted}):
        return None
    found = ", ".join(f"{weight}%" for weight in seen.weights) or "none"
    message = f"weight {wanted}% is not yet in force at every router; read back: {found}"
    return _stay(policy, seen, Action.WAIT, "RouteNotInForce", message)


def _takes_over(policy: RolloutPolicy, seen: Observation, verdict: Verdict) -> Decision | None:
    """Without a pod of stable there is nothing to compare with, and nothing that is better than the canary."""
    few = seen.alone.requests < policy.min_samples or seen.alone_seconds < ALONE_SECONDS
    if few or seen.alone.errors > policy.max_increase * seen.alone.requests:
        return None
    answered = seen.alone.requests - seen.alone.errors
    message = (
        f"stable has had no healthy pod for {durations.text(seen.alone_seconds)}, and the canary answered {answered:,} "
        f"of {seen.alone.requests:,} requests"
    )
    return _promote(seen, "StableUnavailable", message)


def _baseline_unhealthy(policy: RolloutPolicy, seen: Observation, verdict: Verdict) -> Decision | None:
    unhealthy = seen.test.baseline_unhealthy()
    if unhealthy is None:
        return None
    return _stay(policy, seen, Action.HOLD, unhealthy.reason, unhealthy.message)


def _deadline(policy: RolloutPolicy, seen: Observation, verdict: Verdict) -> Decision | None:
    if seen.step < 0 or seen.elapsed < policy.deadline:
        return None
    final = seen.test.verdict(final=True)
    after = f"deadline of {durations.text(policy.deadline)} reached"
    if final.outcome is Outcome.PASS:
        return _promote(seen, "Passed", final.message)
    if final.outcome is Outcome.ACCEPTABLE:
        return _promote(seen, "Acceptable", f"{after}: {final.message}")
    message = f"{after}, onInconclusive is {policy.on_inconclusive}: {final.message}"
    match policy.on_inconclusive:
        case OnInconclusive.PROMOTE:
            return _promote(seen, "Inconclusive", message)
        case OnInconclusive.ROLLBACK:
            return _rollback(seen, "Inconclusive", message)
        case OnInconclusive.HOLD:
            return _stay(policy, seen, Action.HOLD, "Inconclusive", message)


def _unfinished_step(policy: RolloutPolicy, seen: Observation, verdict: Verdict) -> Decision | None:
    if seen.step < 0:
        return None
    hold = policy.steps[seen.step].hold
    if seen.step_elapsed < hold:
        message = f"{seen.step_elapsed:.0f}s of {durations.text(hold)} at {_weight(policy, seen.step)}%"
        return _stay(policy, seen, Action.WAIT, "HoldingStep", message)
    if seen.samples < policy.min_samples:
        message = f"{seen.samples} of {policy.min_samples} requests on the canary in this step"
        return _stay(policy, seen, Action.WAIT, "TooFewSamples", message)
    return None


def _looks_worse(policy: RolloutPolicy, seen: Observation, verdict: Verdict) -> Decision | None:
    if seen.step < 0 or not seen.test.looks_worse:
        return None
    message = f"no more traffic while the canary looks worse than allowed: {verdict.message}"
    return _stay(policy, seen, Action.WAIT, "LooksWorse", message)


def _advance(policy: RolloutPolicy, seen: Observation) -> Decision:
    """The canary's replicas are Ready before its weight rises, else its load alone would fail it."""
    step, weight = seen.step + 1, policy.steps[seen.step + 1].weight
    replicas = canary_replicas(seen.stable_replicas, weight)
    if seen.canary_ready < replicas:
        message = f"{seen.canary_ready} of {replicas} canary pods are ready for {weight}%"
        if seen.uncompared:
            message += f"; {seen.uncompared}"
        return Decision(
            Action.WAIT, "CanaryNotReady", message, seen.step, _weight(policy, seen.step), replicas
        )
    if seen.uncompared is not None:
        message = seen.uncompared or "what both versions take is being compared"
        return Decision(Action.WAIT, "NotCompared", message, seen.step, _weight(policy, seen.step), replicas)
    message = f"step {step + 1} of {len(policy.steps)}: {weight}%"
    return Decision(Action.ADVANCE, "StepFinished", message, step, weight, replicas)


def _promotion(policy: RolloutPolicy, seen: Observation, verdict: Verdict) -> Decision:
    if verdict.outcome is Outcome.PASS:
        return _promote(seen, "Passed", verdict.message)
    return _stay(policy, seen, Action.WAIT, verdict.reason, verdict.message)


def _promote(seen: Observation, reason: str, message: str) -> Decision:
    return Decision(Action.PROMOTE, reason, message, seen.step, 100, max(1, seen.stable_replicas))


def _rollback(seen: Observation, reason: str, message: str) -> Decision:
    return Decision(Action.ROLLBACK, reason, message, seen.step, 0, 0)


def _stay(policy: RolloutPolicy, seen: Observation, action: Action, reason: str, message: str) -> Decision:
    weight = _weight(policy, seen.step)
    replicas = canary_replicas(seen.stable_replicas, weight or policy.steps[0].weight)
    return Decision(action, reason, message, seen.step, weight, replicas)


def _weight(policy: RolloutPolicy, step: int) -> int:
    return policy.steps[step].weight if step >= 0 else 0
