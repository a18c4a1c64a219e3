"""The live evidence of a rollout: readings of the routers become blocks, blocks feed the test. Pure.

The state lives in the operator's memory between two looks. What must survive the operator is in status (the
test's state, active seconds); the rest begins anew, which costs evidence and never validity.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from redstart.api.v1alpha1.inference_service import AnalysisStatus, CanaryStatus
from redstart.controllers.inference_service.record import Record, Role, RolloutState
from redstart.controllers.inference_service.scrape import RouterReport
from redstart.controllers.inference_service.transitions import policy_of
from redstart.rollout.e_process import Block, Counts
from redstart.rollout.error_rate import ErrorRateTest
from redstart.rollout.verdict import Outcome
from redstart.routing import counters
from redstart.routing.counters import Reading, Tally

NOTHING = Block(Counts(0, 0), Counts(0, 0))
LONGEST_LOOK = 30.0
"""Seconds; a machine that slept, or a clock that was set, is no time in which the canary was watched."""


@dataclass(frozen=True)
class Alone:
    """For how many seconds the canary has been without a stable beside it, and its first attempts since then."""

    seconds: float
    canary: Counts


@dataclass(frozen=True)
class Analysis:
    """The evidence of one rollout so far. Durations are in seconds."""

    rollout: str
    test: ErrorRateTest
    step: int
    elapsed: float
    plan: int = 0
    step_elapsed: float = 0.0
    samples: int = 0
    tallies: dict[str, Tally] = field(default_factory=dict)
    """The counts of each router under the plan in force, by pod uid."""
    looked_at: float | None = None
    without_host: float | None = None
    """Seconds since the first of the looks in a row at which no router found a healthy canary host; None when the
    last one did."""
    alone: Alone | None = None
    """Of the looks in a row at which routers found healthy hosts of the canary's and none of stable's."""
    metrics_available: bool = True


def begin(state: RolloutState, canary: CanaryStatus | None) -> Analysis:
    """Evidence at the start of a rollout, or after a restart of the operator from what status holds."""
    policy = policy_of(state.policy)
    if canary is None or canary.rollout != state.id or state.first_weight_at is None:
        return Analysis(state.id, ErrorRateTest.begin(policy), state.step, 0.0)
    elapsed = canary.active_seconds
    try:
        test = ErrorRateTest.from_state(policy, json.loads(canary.test or "null"), elapsed)
    except (ValueError, TypeError):
        test = ErrorRateTest.resumed(policy, elapsed)
    return Analysis(state.id, test, state.step, max(elapsed, test.elapsed))


def look(
    analysis: Analysis,
    record: Record,
    routers: Sequence[RouterReport],
    *,
    paused: bool,
    now: float,
) -> Analysis:
    """The evidence after one look at the routers; `now` in seconds on any clock that goes on."""
    state = record.rollout
    assert state is not None
    readable = bool(routers) and all(router.reading is not None for router in routers)
    analysis = replace(analysis, metrics_available=readable)
    if analysis.step != state.step:
        test = analysis.test.new_weight()
        analysis = replace(analysis, test=test, step=state.step, step_elapsed=0.0, samples=0)
    if analysis.plan != record.number:
        analysis = replace(analysis, plan=record.number, tallies={}, looked_at=None)
    current = {
        router.pod.uid: router.reading
        for router in routers
        if router.reading is not None and router.reading.plan == record.number
    }
    if state.weight == 0 or not current:
        return replace(analysis, tallies={}, looked_at=None, without_host=None, alone=None)
    block, tallies = NOTHING, dict(analysis.tallies)
    for uid, reading in current.items():
        # A router that could not be read before tells the missing seconds now, of both arms.
        tallies[uid], added = tallies.get(uid, Tally()).after(
            reading, second_opinion=state.other.revision if record.traffic.retry_on_stable else None
        )
        block += _block(added, record, state)
    seconds = 0.0 if analysis.looked_at is None else min(max(0.0, now - analysis.looked_at), LONGEST_LOOK)
    active = seconds if len(current) == len(routers) and not paused else 0.0
    elapsed = analysis.elapsed + active
    return replace(
        analysis,
        test=analysis.test.observe(block, elapsed) if block != NOTHING else analysis.test,
        elapsed=elapsed,
        step_elapsed=analysis.step_elapsed + active,
        samples=analysis.samples + block.canary.requests,
        tallies=tallies,
        looked_at=now,
        without_host=_without_host(analysis, seconds)
        if _only(current.values(), record.stable, state.other)
        else None,
        alone=_alone(analysis, seconds, block.canary)
        if _only(current.values(), state.other, record.stable)
        else None,
    )


def _without_host(before: Analysis, seconds: float) -> float:
    return 0.0 if before.without_host is None else before.without_host + seconds


def _alone(before: Analysis, seconds: float, canary: Counts) -> Alone:
    if before.alone is None:
        return Alone(0.0, Counts(0, 0))
    return Alone(before.alone.seconds + seconds, before.alone.canary + canary)


def _block(added: Mapping[str, counters.Counts], record: Record, state: RolloutState) -> Block:
    return Block(*(_counts(added, role.revision) for role in (state.other, record.stable)))


def _counts(added: Mapping[str, counters.Counts], revision: str) -> Counts:
    found = added.get(revision, counters.Counts())
    return Counts(found.requests, found.errors, found.refused)


def _only(readings: Iterable[Reading], there: Role, away: Role) -> bool:
    """Every router finds a healthy host of the one, and none of the other."""
    return all(
        reading.can_take(there.revision) and not reading.can_take(away.revision) for reading in readings
    )


def weights(record: Record, routers: Sequence[RouterReport]) -> tuple[int, ...]:
    """The weight of the revision beside stable, in force at each router that could be read.

    A router that is behind has the plan before: the step before this one's weight, or, once there is a decision,
    the last step's."""
    state = record.rollout
    before = 0
    if state is not None:
        earlier = state.step - 1 if state.decision is None else state.step
        before = state.policy.steps[earlier].weight if earlier >= 0 else 0
    return tuple(
        record.weight if router.reading.plan == record.number else before
        for router in routers
        if router.reading is not None
    )


def evidence(test: ErrorRateTest) -> AnalysisStatus:
    """The error rate's line in status, over the whole rollout; the message tells where a fault began."""
    verdict = test.verdict()
    failed = verdict.outcome is Outcome.FAIL
    block = test.totals
    return AnalysisStatus(
        metric="ErrorRate",
        canary=round(block.canary.rate, 5) if block.canary.requests else None,
        stable=round(block.stable.rate, 5) if block.stable.requests else None,
        allowed=test.policy.max_increase,
        evidence=_rounded(test.peak if failed else test.evidence),
        needed=_rounded(test.needed),
        pass_evidence=_rounded(test.pass_evidence),
        pass_needed=_rounded(test.pass_needed),
        samples=test.samples,
        verdict=verdict.outcome.value,
        message=verdict.message,
    )


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
