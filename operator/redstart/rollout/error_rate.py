"""Is the canary's error rate above stable's by more than the user allows?

Two tests over the same blocks. Fail rejects "canary <= stable + maxIncrease" and bounds false
rollbacks by 1 - confidence; Pass rejects "canary >= stable + maxIncrease" and bounds false
promotions by 1 - promotionConfidence. Both are the e-processes of e_process.py. Their alternatives
are predictable: stable's rate is estimated from earlier blocks, the canary's lies a fixed gap above.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from redstart.api import durations
from redstart.rollout.e_process import RESTORED, Block, Counts, grow, log_e_value, spent
from redstart.rollout.policy import RolloutPolicy
from redstart.rollout.verdict import Outcome, Verdict

# Alternatives of Fail lie maxIncrease x this^k above the allowance: between two of them little
# evidence is lost, and each one more costs all of them some.
INCREASE_FACTOR = 2.5
HIGHEST_RATE = 0.98
# Alternatives of Pass, in parts of maxIncrease above stable, with their shares: a canary as good as
# stable decides nearly all rollouts.
PASS_GAPS, PASS_SHARES = (0.0, 0.5), (0.8, 0.2)
# Stable's rate is estimated over about this many requests, so that it forgets an incident soon;
# before the first one it is PRIOR_ERRORS / PRIOR_REQUESTS.
MEMORY = 2_000
PRIOR_ERRORS, PRIOR_REQUESTS = 0.5, 100.0
# Each sum stops at its ceiling. That of Fail only keeps numbers finite; that of Pass, in multiples of
# what is needed, makes a canary that worsens late prove itself again within seconds.
FAIL_CEILING, PASS_CEILING = 1e100, 100.0
# Both arms fail alike when both have failed this share of the requests of about the last 30 s.
UNHEALTHY_RATE, UNHEALTHY_REQUESTS, RECENT_SECONDS = 0.1, 20, 30.0
# A canary looks worse than allowed from this part of the stake on, which is 1 in all and 0.45 at the first look: it
# gets no more traffic until it looks better. Of canaries that fail a tenth, 9 in 10 stay at their step so.
SUSPICIOUS = 0.2
NOTHING = Block(Counts(0, 0), Counts(0, 0))


def fail_gaps(max_increase: float) -> tuple[float, ...]:
    """Gaps between canary and stable that Fail looks for, rising; the last is a canary that fails all."""
    gaps = []
    increase = max_increase
    while max_increase + increase < HIGHEST_RATE:
        gaps.append(max_increase + increase)
        increase *= INCREASE_FACTOR
    return (*gaps, 1.0)


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Counts since the evidence for one gap last began to rise (Page's cumulative sum).

    Only for people, to see the fault and not the healthy time before it; the test does not use it.
    """

    log_evidence: float = 0.0
    since: float = 0.0
    block: Block = NOTHING

    def after(self, block: Block, log_e: float, elapsed: float) -> "Suspicion":
        if self.log_evidence <= 0:
            return Suspicion(log_e, elapsed, block)
        return Suspicion(self.log_evidence + log_e, self.since, self.block + block)


@dataclass(frozen=True, slots=True)
class Recent:
    """Requests and errors of one arm, forgotten exponentially."""

    requests: float = 0.0
    errors: float = 0.0

    def after(self, counts: Counts, kept: float) -> "Recent":
        return Recent(kept * self.requests + counts.requests, kept * self.errors + counts.errors)


@dataclass(frozen=True, slots=True)
class ErrorRateTest:
    """The state of both tests after some looks; immutable and of fixed size.

    evidence and pass_evidence decide at needed and pass_needed. totals are all counts seen; pending
    are those since pending_since seconds that still lack a request of one arm, in no evidence yet.
    """

    policy: RolloutPolicy
    elapsed: float
    weight_spent: float
    sums: tuple[float, ...]
    pass_sums: tuple[float, ...]
    suspicions: tuple[Suspicion, ...]
    peak: float = 0.0
    learned: Recent = Recent()
    recent_canary: Recent = Recent()
    recent_stable: Recent = Recent()
    totals: Block = NOTHING
    pending: Block = NOTHING
    pending_since: float = 0.0
    difference_sum: float = 0.0
    difference_weight: float = 0.0

    @classmethod
    def begin(cls, policy: RolloutPolicy) -> "ErrorRateTest":
        """A test before the first look of a rollout."""
        gaps = len(fail_gaps(policy.max_increase))
        return cls(policy, 0.0, 0.0, (0.0,) * gaps, (0.0,) * len(PASS_GAPS), (Suspicion(),) * gaps)

    @classmethod
    def resumed(cls, policy: RolloutPolicy, elapsed: float) -> "ErrorRateTest":
        """A test begun anew, elapsed seconds after the first weight, when no state was saved.

        It uses only the weight of later looks, so both bounds hold for the whole rollout, and takes
        longer to decide than from a saved state.
        """
        return replace(cls.begin(policy), elapsed=elapsed, weight_spent=spent(elapsed, policy.deadline))

    @classmethod
    def from_state(cls, policy: RolloutPolicy, state: Mapping[str, Any], elapsed: float) -> "ErrorRateTest":
        """The test of to_state(), after a restart of the operator; ValueError when it is not one.

        elapsed is the time of the restart. Looks between the save and then are lost, and the old
        process may have acted on them: so that both bounds hold however often and whenever the
        operator restarts, the sums count a tenth (see RESTORED), and the weight of those looks is
        not given again. Call it once for each restart, never to copy a live test.
        """
        test = cls.begin(policy)
        try:
            sums, pass_sums = _numbers(state["fail"]), _numbers(state["pass"])
            saved, peak = _numbers((state["elapsed"], state["peak"]))
            requests, errors = _numbers(state["baseline"])
            canary, canary_errors, stable, stable_errors = (int(count) for count in state["totals"])
            difference_sum, difference_weight = (float(part) for part in state["difference"])
            _numbers((abs(difference_sum), difference_weight))
            totals = Block(Counts(canary, canary_errors), Counts(stable, stable_errors))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a saved error rate test: {error!r}") from error
        if (len(sums), len(pass_sums)) != (len(test.sums), len(test.pass_sums)):
            raise ValueError("not a saved error rate test of this policy: it compares other gaps")
        elapsed = max(saved, elapsed)
        return replace(
            test,
            elapsed=elapsed,
            weight_spent=spent(elapsed, policy.deadline),
            sums=tuple(RESTORED * value for value in sums),
            pass_sums=tuple(RESTORED * value for value in pass_sums),
            peak=peak,
            learned=Recent(requests, errors),
            totals=totals,
            difference_sum=difference_sum,
            difference_weight=difference_weight,
        )

    def to_state(self) -> dict[str, Any]:
        """The test as JSON of about 400 bytes. Rounding is downwards, which keeps both bounds.

        What is pending is left out: losing it costs evidence and never validity.
        """
        canary, stable = self.totals.canary, self.totals.stable
        return {
            "elapsed": self.elapsed,
            "fail": [_rounded_down(value) for value in self.sums],
            "pass": [_rounded_down(value) for value in self.pass_sums],
            "peak": self.peak,
            "baseline": [round(self.learned.requests, 3), round(self.learned.errors, 6)],
            "totals": [canary.requests, canary.errors, stable.requests, stable.errors],
            "difference": [round(self.difference_sum, 3), round(self.difference_weight, 3)],
        }

    def observe(self, block: Block, elapsed: float) -> "ErrorRateTest":
        """The test after one look: block's new counts, elapsed active seconds after the first weight.

        Looks are gathered until both arms have a request, and compared as one block: with less than
        a request or so in each look, no look alone ever has both. The requests decide when a block
        closes, never their outcomes, and nothing else here depends on those of an open block, so the
        block's e-value expects no more than that of one look. Costs about 0.2 ms.
        """
        elapsed = max(elapsed, self.elapsed)
        since = self.elapsed if self.pending == NOTHING else self.pending_since
        pending = self.pending + block
        closed = pending if pending.canary.requests and pending.stable.requests else NOTHING
        allowed = self.policy.max_increase
        weight_spent = spent(elapsed, self.policy.deadline)
        weight = weight_spent - self.weight_spent
        stable = self.baseline
        log_e = tuple(
            log_e_value(closed, canary, stable, allowed) if canary > stable + allowed else 0.0
            for canary in (min(HIGHEST_RATE, stable + gap) for gap in fail_gaps(allowed))
        )
        pass_log_e = tuple(
            log_e_value(closed, stable + part * allowed, stable, allowed) for part in PASS_GAPS
        )
        sums = grow(self.sums, log_e, (1 / len(log_e),) * len(log_e), weight, FAIL_CEILING)
        ceiling = PASS_CEILING * self.pass_needed
        n_canary, n_stable = closed.canary.requests, closed.stable.requests
        kept = math.exp((self.elapsed - elapsed) / RECENT_SECONDS)
        both = n_canary + n_stable or 1
        return replace(
            self,
            elapsed=elapsed,
            weight_spent=weight_spent,
            sums=sums,
            pass_sums=grow(self.pass_sums, pass_log_e, PASS_SHARES, weight, ceiling),
            suspicions=tuple(
                suspicion.after(closed, value, since)
                for suspicion, value in zip(self.suspicions, log_e, strict=True)
            ),
            peak=max(self.peak, sum(sums)),
            learned=self.learned.after(closed.stable, math.exp(-n_stable / MEMORY)),
            # Also of closed blocks only: they may keep a step from ending, and with it an open block.
            recent_canary=self.recent_canary.after(_own_faults(closed.canary), kept),
            recent_stable=self.recent_stable.after(_own_faults(closed.stable), kept),
            totals=self.totals + block,
            pending=NOTHING if closed != NOTHING else pending,
            pending_since=since,
            difference_sum=self.difference_sum
            + (closed.canary.errors * n_stable - closed.stable.errors * n_canary) / both,
            difference_weight=self.difference_weight + n_canary * n_stable / both,
        )

    def new_weight(self) -> "ErrorRateTest":
        """The test before the first look at another weight: no block holds requests of two weights.

        With a rate that changes at the same time, pooled counts of two weights differ although the
        arms do not. What is pending is dropped: one arm alone says nothing.
        """
        return replace(self, pending=NOTHING)

    @property
    def baseline(self) -> float:
        """Stable's estimated rate before the next look, kept inside (0, 1 - maxIncrease)."""
        rate = (self.learned.errors + PRIOR_ERRORS) / (self.learned.requests + PRIOR_REQUESTS)
        return min(rate, (1 - self.policy.max_increase) * 0.999)

    @property
    def evidence(self) -> float:
        """Against the canary, as it stands."""
        return sum(self.sums)

    @property
    def needed(self) -> float:
        return 1 / (1 - self.policy.confidence)

    @property
    def pass_evidence(self) -> float:
        """For the canary, as it stands."""
        return sum(self.pass_sums)

    @property
    def pass_needed(self) -> float:
        return 1 / (1 - self.policy.promotion_confidence)

    @property
    def samples(self) -> int:
        """First attempts on the canary."""
        return self.totals.canary.requests

    @property
    def difference(self) -> float | None:
        """Estimated canary rate minus stable's, over the blocks (Mantel-Haenszel risk difference).

        Taken within each block before it is averaged, so that neither a shared incident nor a
        change of weight biases it (Greenland and Robins 1985). None before the first block closed.
        """
        return self.difference_sum / self.difference_weight if self.difference_weight else None

    @property
    def looks_worse(self) -> bool:
        """Whether the canary is estimated above the allowance, with some evidence for it: no time to raise it.

        It decides nothing but when a step ends, so that it changes neither test's bound.
        """
        difference = self.difference
        above = difference is not None and difference > self.policy.max_increase
        return above and self.evidence >= SUSPICIOUS

    def baseline_unhealthy(self) -> Verdict | None:
        """Both arms fail alike, lately: not the canary's fault, and no time to judge or raise it."""
        arms = (self.recent_canary, self.recent_stable)
        if any(
            arm.requests < UNHEALTHY_REQUESTS or arm.errors < UNHEALTHY_RATE * arm.requests for arm in arms
        ):
            return None
        canary, stable = (_percent(arm.errors / arm.requests) for arm in arms)
        return Verdict(
            Outcome.UNDECIDED,
            "BaselineUnhealthy",
            f"both arms fail: canary {canary}, stable {stable} of recent requests; "
            "the canary is not to blame, and its weight stays",
        )

    def verdict(self, *, final: bool = False) -> Verdict:
        """Fail once the evidence was ever enough; Pass while it is; Acceptable only when final.

        Pass is taken as it stands, so that a canary that worsens late has to prove itself again.
        """
        arms = _arms(self.totals)
        allowed = f"maxIncrease {self.policy.max_increase:g}"
        if self.peak >= self.needed:
            return Verdict(
                Outcome.FAIL,
                "ErrorRate",
                f"{self._accused()}; above stable by more than {allowed}: "
                f"evidence {_number(self.peak)}, needed {_number(self.needed)}",
            )
        proof = f"evidence {_number(self.pass_evidence)}, needed {_number(self.pass_needed)}"
        if self.pass_evidence >= self.pass_needed:
            return Verdict(Outcome.PASS, "ErrorRate", f"{arms}; above stable by less than {allowed}: {proof}")
        if self.samples < self.policy.min_samples:
            return Verdict(
                Outcome.UNDECIDED,
                "TooFewSamples",
                f"{arms}; at least {self.policy.min_samples} requests on the canary are needed",
            )
        difference = self.difference
        if difference is None:
            return Verdict(
                Outcome.UNDECIDED,
                "NotProven",
                f"{arms}; no estimate of the difference: stable had no request beside the canary's",
            )
        estimate = f"estimated difference {difference:+.4f}, {allowed}"
        if final and difference <= self.policy.max_increase:
            return Verdict(Outcome.ACCEPTABLE, "WithinAllowance", f"{arms}; {estimate}, not proven: {proof}")
        return Verdict(Outcome.UNDECIDED, "NotProven", f"{arms}; {estimate}, not proven: {proof}")

    def _accused(self) -> str:
        """The counts that the evidence against the canary comes from, as far back as they are known."""
        _, suspicion = max(zip(self.sums, self.suspicions, strict=True), key=lambda pair: pair[0])
        if suspicion.block == NOTHING:
            return _arms(self.totals)
        return f"{_arms(suspicion.block)}, from {durations.text(suspicion.since)} after the first weight"


def _own_faults(counts: Counts) -> Counts:
    """Without refusals: clients that are wrong make no arm unhealthy."""
    return Counts(counts.requests, counts.errors - counts.refused)


def _arms(block: Block) -> str:
    return f"canary {_counts(block.canary)}, stable {_counts(block.stable)}"


def _counts(counts: Counts) -> str:
    refused = f", {counts.refused} refused" if counts.refused else ""
    return f"{_percent(counts.rate)} ({counts.errors} of {counts.requests}{refused})"


def _percent(rate: float) -> str:
    return f"{100 * rate:.3g}%"


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 1e6 else f"{value:.1e}"


def _numbers(values: Sequence[Any]) -> tuple[float, ...]:
    numbers = tuple(float(value) for value in values)
    if not all(math.isfinite(number) and number >= 0 for number in numbers):
        raise ValueError(f"numbers must be finite and not negative; got {numbers}")
    return numbers


def _rounded_down(value: float) -> float:
    """Six significant digits or fewer, never above value."""
    if value < 1e-12:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 5)
    rounded = float(f"{math.floor(value / unit) * unit:.6g}")
    return rounded if rounded <= value else float(f"{rounded - unit:.6g}")
