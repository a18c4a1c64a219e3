"""E-processes that compare two streams of yes/no outcomes against an allowed difference.

The null hypothesis is one side of the line p_canary = p_stable + allowed. A block holds the new
outcomes of both arms over the same seconds. Its e-value for the alternative (q_canary, q_stable)
is the likelihood ratio against the alternative's Kullback-Leibler projection onto the line:
whatever pair of rates of the null is true, its expectation is at most 1 (Turner and Grünwald 2023,
"Exact anytime-valid confidence intervals for contingency tables and beyond"). Why: for one request
the expected ratio is linear in the true rate, so the logarithm of the block's expectation is
concave in the two rates; at the projection it is 0 and its gradient points out of the null. The
same concavity lets rates vary inside a block: only their means have to lie in the null.

The product over blocks is then a non-negative supermartingale, and so is a weighted sum of such
products that begin at different looks, with different alternatives, as long as each alternative and
each weight is fixed before the block is seen. By Ville's inequality the sum ever reaches 1/alpha
with probability at most alpha times the sum of the weights, at any look and under any batching.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Shares of the weight: on the first look; spread evenly until the deadline, so that a fault that
# begins late is found nearly as fast; and spread over all time after it, for a canary that is held.
FIRST, UNTIL_DEADLINE, AFTER_DEADLINE = 0.45, 0.40, 0.05
# After a restart of the operator the saved sums count a tenth, because looks between the save and
# the end of the old process may have been acted on. All weights together:
# (FIRST + UNTIL_DEADLINE + AFTER_DEADLINE) x (1 + 0.1 + 0.01 + ...) = 1.
RESTORED = 0.1


@dataclass(frozen=True, slots=True)
class Counts:
    """Outcomes of first attempts on one arm; refused are those of the errors that may be the client's."""

    requests: int
    errors: int
    refused: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.refused <= self.errors <= self.requests:
            raise ValueError(
                f"errors must be between 0 and requests, and refused among them; "
                f"got {self.errors} of {self.requests}, {self.refused} refused"
            )

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.requests + other.requests, self.errors + other.errors, self.refused + other.refused
        )

    @property
    def rate(self) -> float:
        """Errors per request; 0 without requests."""
        return self.errors / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class Block:
    """The outcomes of one look or of some in a row: both arms over the same seconds, at one weight."""

    canary: Counts
    stable: Counts

    def __add__(self, other: "Block") -> "Block":
        return Block(self.canary + other.canary, self.stable + other.stable)


def spent(elapsed: float, deadline: float) -> float:
    """Weight given to all looks up to elapsed seconds after the first weight; at most 0.9."""
    if elapsed <= deadline:
        return FIRST + UNTIL_DEADLINE * elapsed / deadline
    return FIRST + UNTIL_DEADLINE + AFTER_DEADLINE * (1 - deadline / elapsed)


def project(
    canary_requests: float, stable_requests: float, canary: float, stable: float, allowed: float
) -> float:
    """Stable's rate s at the point (s + allowed, s) nearest to the alternative (canary, stable).

    Nearest minimises requests x KL(alternative, point), summed over the arms; s is the root, between
    stable and canary - allowed, of the derivative cleared of its denominators, a cubic. All rates
    must lie inside (0, 1), and stable below 1 - allowed.
    """
    low, high = sorted((stable, canary - allowed))
    low = max(low, 0.0)
    at = (canary_requests * (canary - allowed) + stable_requests * stable) / (
        canary_requests + stable_requests
    )
    at = min(max(at, low), high)
    for _ in range(100):
        variance, shifted = at * (1 - at), (at + allowed) * (1 - at - allowed)
        pull, push = canary_requests * (at + allowed - canary), stable_requests * (at - stable)
        value = pull * variance + push * shifted
        slope = (
            canary_requests * variance
            + pull * (1 - 2 * at)
            + stable_requests * shifted
            + push * (1 - 2 * at - 2 * allowed)
        )
        if value > 0:
            high = at
        else:
            low = at
        ahead = at - value / slope if slope > 0 else -1.0
        if not low <= ahead <= high:
            ahead = (low + high) / 2
        converged = abs(ahead - at) <= 1e-12 * at
        at = ahead
        if converged:
            break
    return at


def log_e_value(block: Block, canary: float, stable: float, allowed: float) -> float:
    """Natural logarithm of the block's e-value for the alternative rates (canary, stable).

    0 without requests on either arm: one arm alone says nothing about the difference.
    """
    n_canary, n_stable = block.canary.requests, block.stable.requests
    if not n_canary or not n_stable:
        return 0.0
    null = project(n_canary, n_stable, canary, stable, allowed)
    return (
        block.canary.errors * math.log(canary / (null + allowed))
        + (n_canary - block.canary.errors) * math.log((1 - canary) / (1 - null - allowed))
        + block.stable.errors * math.log(stable / null)
        + (n_stable - block.stable.errors) * math.log((1 - stable) / (1 - null))
    )


def grow(
    sums: Sequence[float],
    log_e_values: Sequence[float],
    shares: Sequence[float],
    weight: float,
    ceiling: float,
) -> tuple[float, ...]:
    """One look: a fresh start of so much weight joins each alternative's sum, then all are multiplied.

    Because the alternative of a look is the same for all starts, one number for each alternative
    holds every start since the first. A sum stops at the ceiling: less evidence is always valid.
    """
    return tuple(
        min(ceiling, (total + share * weight) * math.exp(min(log_e, 500.0)))
        for total, share, log_e in zip(sums, shares, log_e_values, strict=True)
    )
