"""Can the steps prove a healthy canary by the deadline, at the traffic seen?"""

import math

from redstart.api import durations
from redstart.rollout.e_process import FIRST, project
from redstart.rollout.error_rate import PASS_SHARES, ErrorRateTest
from redstart.rollout.policy import RolloutPolicy


def pass_growth(requests_per_second: float, weight: int, rate: float, allowed: float) -> float:
    """Expected growth of log pass evidence per second, when both arms fail at the same rate."""
    canary = requests_per_second * weight / 100
    stable = requests_per_second - canary
    null = project(canary, stable, rate, rate, allowed)
    return canary * _divergence(rate, null + allowed) + stable * _divergence(rate, null)


def too_slow(
    policy: RolloutPolicy,
    test: ErrorRateTest,
    *,
    step: int,
    step_elapsed: float,
    elapsed: float,
    requests_per_second: float,
) -> str | None:
    """A warning for status when even a canary as good as stable will probably not Pass in time.

    requests_per_second is the service's, both arms together; step is the present one, from 0.
    """
    if requests_per_second <= 0:
        return "no requests: nothing can be proven about the canary"
    have = test.pass_evidence if test.samples else FIRST * PASS_SHARES[0]
    missing = math.log(test.pass_needed / max(have, 1e-3))
    left = policy.deadline - elapsed
    if missing <= 0 or left <= 0:
        return None
    growth = 0.0
    for index in range(step, len(policy.steps)):
        weight, hold = policy.steps[index].weight, policy.steps[index].hold
        growth = pass_growth(requests_per_second, weight, test.baseline, policy.max_increase)
        lasts = left
        if index + 1 < len(policy.steps):
            sampled = policy.min_samples / (requests_per_second * weight / 100)
            lasts = min(left, max(0.0, max(hold, sampled) - (step_elapsed if index == step else 0.0)))
        missing -= growth * lasts
        left -= lasts
        if missing <= 0:
            return None
        if left <= 0:
            break
    longer = durations.text(60 * math.ceil(missing / growth / 60))
    return (
        f"at {requests_per_second:.3g} requests/s and {100 * test.baseline:.2g}% errors on stable, even a canary as "
        f"good as stable is probably not proven within {durations.text(policy.deadline)}: about {longer} more at "
        f"{weight}% would be needed; raise the steps' weights, deadline or maxIncrease, or lower minSamples"
    )


def _divergence(rate: float, null: float) -> float:
    """Kullback-Leibler divergence between two Bernoulli rates, in nats."""
    return rate * math.log(rate / null) + (1 - rate) * math.log((1 - rate) / (1 - null))
