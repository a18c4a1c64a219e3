"""redstart.rollout.error_rate for many rollouts at once, in numpy; a unit test holds the two equal."""

import numpy as np
from numpy.typing import NDArray

from redstart.rollout import error_rate as reference
from redstart.rollout.e_process import RESTORED, spent
from redstart.rollout.policy import RolloutPolicy

Floats = NDArray[np.float64]
Counted = NDArray[np.int64]
# The attributes of ErrorRateTests with one row for each rollout.
STATE = (
    "sums",
    "peak",
    "baseline_requests",
    "baseline_errors",
    "recent",
    "difference_sum",
    "difference_weight",
    "samples",
    "pending",
)


def project(n_canary: Floats, n_stable: Floats, canary: Floats, stable: Floats, allowed: float) -> Floats:
    """e_process.project elementwise; n_* of shape (rollouts, 1), rates of shape (rollouts, gaps)."""
    low = np.maximum(np.minimum(stable, canary - allowed), 0.0)
    high = np.maximum(stable, canary - allowed)
    at = np.clip((n_canary * (canary - allowed) + n_stable * stable) / (n_canary + n_stable), low, high)
    for _ in range(60):
        shifted_at = at + allowed
        variance, shifted = at * (1 - at), shifted_at * (1 - shifted_at)
        pull, push = n_canary * (shifted_at - canary), n_stable * (at - stable)
        value = pull * variance + push * shifted
        slope = n_canary * variance + pull * (1 - 2 * at) + n_stable * shifted + push * (1 - 2 * shifted_at)
        above = value > 0
        high = np.where(above, at, high)
        low = np.where(above, low, at)
        ahead = at - value / slope
        inside = (slope > 0) & (low <= ahead) & (ahead <= high)
        ahead = np.where(inside, ahead, (low + high) / 2)
        done = np.all(np.abs(ahead - at) <= 1e-9 * at)
        at = ahead
        if done:
            break
    return at


class ErrorRateTests:
    """One ErrorRateTest for each of so many rollouts."""

    def __init__(self, policy: RolloutPolicy, rollouts: int) -> None:
        self.policy = policy
        self.fail_gaps = np.array(reference.fail_gaps(policy.max_increase))
        self.pass_gaps = np.array(reference.PASS_GAPS) * policy.max_increase
        fails, passes = len(self.fail_gaps), len(self.pass_gaps)
        self.shares = np.concatenate([np.full(fails, 1 / fails), np.array(reference.PASS_SHARES)])
        pass_ceiling = reference.PASS_CEILING / (1 - policy.promotion_confidence)
        self.ceilings = np.concatenate(
            [np.full(fails, reference.FAIL_CEILING), np.full(passes, pass_ceiling)]
        )
        self.weight_spent = 0.0
        self.sums = np.zeros((rollouts, fails + passes))
        self.peak = np.zeros(rollouts)
        self.baseline_requests = np.zeros(rollouts)
        self.baseline_errors = np.zeros(rollouts)
        self.elapsed = 0.0
        self.recent = np.zeros((rollouts, 4))
        self.difference_sum = np.zeros(rollouts)
        self.difference_weight = np.zeros(rollouts)
        self.samples = np.zeros(rollouts)
        self.pending = np.zeros((rollouts, 4), dtype=np.int64)

    def observe(self, counts: tuple[Counted, Counted, Counted, Counted], elapsed: float) -> None:
        """One look of every rollout: canary, its errors, stable, its errors, of shape (rollouts,) each."""
        self.samples += counts[0]
        self.pending += np.column_stack(counts)
        closed = (self.pending[:, 0] > 0) & (self.pending[:, 2] > 0)
        block = np.where(closed[:, None], self.pending, 0)
        self.pending -= block
        n_canary, canary_errors, n_stable, stable_errors = block.T
        weight_spent = spent(elapsed, self.policy.deadline)
        weight, self.weight_spent = weight_spent - self.weight_spent, weight_spent
        log_e = np.zeros(self.sums.shape)
        log_e[closed] = self._log_e_values(block[closed], self.baseline[closed])
        self.sums = np.minimum(self.ceilings, (self.sums + self.shares * weight) * np.exp(log_e))
        self.peak = np.maximum(self.peak, self.evidence)
        kept = np.exp(-n_stable / reference.MEMORY)
        self.baseline_requests = kept * self.baseline_requests + n_stable
        self.baseline_errors = kept * self.baseline_errors + stable_errors
        kept = np.exp((self.elapsed - elapsed) / reference.RECENT_SECONDS)
        self.recent = kept * self.recent + block
        self.elapsed = elapsed
        both = np.maximum(n_canary + n_stable, 1)
        self.difference_sum += (canary_errors * n_stable - stable_errors * n_canary) / both
        self.difference_weight += n_canary * n_stable / both

    def _log_e_values(self, block: Counted, baseline: Floats) -> Floats:
        """Of blocks with requests on both arms, for each gap; shape (blocks, gaps)."""
        n_canary, canary_errors, n_stable, stable_errors = (column[:, None] for column in block.T)
        allowed, stable = self.policy.max_increase, baseline[:, None]
        failing = np.minimum(reference.HIGHEST_RATE, stable + self.fail_gaps)
        canary = np.concatenate([failing, stable + self.pass_gaps], axis=1)
        null = project(n_canary, n_stable, canary, stable, allowed)
        log_e = (
            canary_errors * np.log(canary / (null + allowed))
            + (n_canary - canary_errors) * np.log((1 - canary) / (1 - null - allowed))
            + stable_errors * np.log(stable / null)
            + (n_stable - stable_errors) * np.log((1 - stable) / (1 - null))
        )
        log_e[:, : len(self.fail_gaps)][failing <= stable + allowed] = 0
        return np.minimum(log_e, 500.0)

    def new_weight(self, rollouts: NDArray[np.bool_]) -> None:
        """These rollouts are at another weight from the next look on."""
        self.pending[rollouts] = 0

    def restored(self, sums: Floats) -> None:
        """A restart of the operator, which had saved these sums; what else it forgets decides nothing here."""
        self.sums = RESTORED * sums
        self.pending[:] = 0

    @property
    def baseline(self) -> Floats:
        rate = (self.baseline_errors + reference.PRIOR_ERRORS) / (
            self.baseline_requests + reference.PRIOR_REQUESTS
        )
        return np.minimum(rate, (1 - self.policy.max_increase) * 0.999)

    @property
    def evidence(self) -> Floats:
        evidence: Floats = self.sums[:, : len(self.fail_gaps)].sum(axis=1)
        return evidence

    @property
    def failed(self) -> NDArray[np.bool_]:
        return self.peak >= 1 / (1 - self.policy.confidence)

    @property
    def passed(self) -> NDArray[np.bool_]:
        evidence: Floats = self.sums[:, len(self.fail_gaps) :].sum(axis=1)
        return evidence >= 1 / (1 - self.policy.promotion_confidence)

    @property
    def baseline_unhealthy(self) -> NDArray[np.bool_]:
        requests, errors = self.recent[:, ::2], self.recent[:, 1::2]
        failing = (requests >= reference.UNHEALTHY_REQUESTS) & (errors >= reference.UNHEALTHY_RATE * requests)
        return np.asarray(failing.all(axis=1))

    @property
    def looks_worse(self) -> NDArray[np.bool_]:
        above = self.difference_sum > self.policy.max_increase * self.difference_weight
        return above & (self.evidence >= reference.SUSPICIOUS)

    @property
    def acceptable(self) -> NDArray[np.bool_]:
        known = self.difference_weight > 0
        difference = self.difference_sum / np.where(known, self.difference_weight, 1)
        return known & (self.samples >= self.policy.min_samples) & (difference <= self.policy.max_increase)

    def keep(self, rollouts: NDArray[np.bool_]) -> None:
        """Drop the other rollouts."""
        for name in STATE:
            setattr(self, name, getattr(self, name)[rollouts])
