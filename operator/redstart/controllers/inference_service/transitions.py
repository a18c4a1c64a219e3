"""What the traffic record becomes next: the state machine of a service. Pure.

first    no revision has ever been ready: the target takes stable's place directly
steady   stable alone
running  a canary beside stable, undecided
closing  decided; the other revision has weight 0 and goes once every router says so
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from redstart.api import durations
from redstart.api.v1alpha1 import InferenceServiceSpec
from redstart.api.v1alpha1.inference_service import AnalysisStatus, LastError, Rollout
from redstart.controllers.conditions import timestamp
from redstart.controllers.inference_service.record import Decision, Record, Role, RolloutState
from redstart.controllers.inference_service.revision import Revision, Target
from redstart.rollout import decision as rollout
from redstart.rollout.decision import Action
from redstart.rollout.e_process import Counts
from redstart.rollout.error_rate import ErrorRateTest
from redstart.rollout.policy import OnInconclusive, RolloutPolicy, Step
from redstart.rollout.verdict import Verdict


@dataclass(frozen=True)
class Facts:
    """What a transition depends on, beside the record and the target."""

    ready: dict[str, int]
    """Ready pods by revision."""
    replicas: dict[str, int]
    """Pods that the Deployments ask for, by revision."""
    weights: tuple[int, ...]
    """The weight in force at each router that can be read."""
    metrics_available: bool
    elapsed: float
    step_elapsed: float
    samples: int
    test: ErrorRateTest | None
    structural: Verdict | None
    uncompared: str | None
    """Why what the canary takes was not compared with stable yet; None when it was."""
    changes: str
    """What clients may notice of the canary, of one without weight."""
    evidence: list[AnalysisStatus]
    last_error: LastError | None
    """What the canary said last."""
    recorded: bool
    """Whether status already tells how this rollout ended."""
    requested: bool
    """Whether a person asks for this rollout's promotion."""
    alone_seconds: float
    alone: Counts
    """For how long the canary has had no stable beside it, and its first attempts since then."""
    quiet_seconds: float
    """How long every router has been seen to send nothing more to the revision beside stable."""


@dataclass(frozen=True)
class Notice:
    """An event for the user."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True)
class Transition:
    """The next record, the pods that each revision should have, and why."""

    record: Record | None
    replicas: dict[str, int]
    notices: tuple[Notice, ...] = ()
    decision: rollout.Decision | None = None
    """What the rollout waits for or does, where there is one."""


def role_of(revision: Revision) -> Role:
    """The role entry of a revision."""
    version = revision.version
    return Role(
        revision=revision.name, version=version.name, number=version.number, digest=version.artifact.digest
    )


def next_transition(
    record: Record | None, target: Target, spec: InferenceServiceSpec, facts: Facts, now: float
) -> Transition:
    """One step of the state machine; `now` in seconds since the epoch."""
    transition = _next(record, target, spec, facts, now)
    after = transition.record
    if after is None or after.traffic == spec.traffic:
        return transition
    # The routers' files change with it, so they get another number.
    number = max(after.number, record.number + 1) if record else after.number
    return replace(transition, record=after.model_copy(update={"number": number, "traffic": spec.traffic}))


def _next(
    record: Record | None, target: Target, spec: InferenceServiceSpec, facts: Facts, now: float
) -> Transition:
    if record is None or not record.established or (spec.predictor.replicas == 0 and record.rollout is None):
        return _first(record, target, spec, facts)
    if record.rollout is None:
        return _steady(record, target, spec, facts, now)
    if record.rollout.decision is None:
        return _running(record, record.rollout, target, spec, facts, now)
    return _closing(record, record.rollout, spec, facts)


def _first(record: Record | None, target: Target, spec: InferenceServiceSpec, facts: Facts) -> Transition:
    wanted = spec.predictor.replicas
    if target.revision is not None and (record is None or record.stable.revision != target.revision.name):
        number = record.number + 1 if record else 1
        record = Record(number=number, stable=role_of(target.revision))
        notice = Notice("Normal", "Deploying", f"deploying {record.stable.version}")
        return Transition(record, {record.stable.revision: wanted}, (notice,))
    if record is None:
        return Transition(None, {})
    if not record.established and facts.ready.get(record.stable.revision, 0) > 0:
        record = record.model_copy(update={"established": True})
        notice = Notice("Normal", "Serving", f"{record.stable.version} is ready and serves")
        return Transition(record, {record.stable.revision: wanted}, (notice,))
    return Transition(record, {record.stable.revision: wanted})


def _steady(
    record: Record, target: Target, spec: InferenceServiceSpec, facts: Facts, now: float
) -> Transition:
    replicas = {record.stable.revision: spec.predictor.replicas}
    if target.revision is None or target.revision.name == record.stable.revision:
        return Transition(record, replicas)
    number = record.number + 1
    state = RolloutState(
        id=f"{target.revision.name}-{number}",
        other=role_of(target.revision),
        policy=spec.rollout,
        started_at=timestamp(now),
        since=timestamp(now),
    )
    notice = Notice(
        "Normal",
        "RolloutStarted",
        f"canary {_named(state.other)} beside {_named(record.stable)}",
    )
    started = record.model_copy(update={"number": number, "rollout": state})
    return Transition(started, _beside(started, spec, facts, canary=1), (notice,))


def _running(
    record: Record,
    state: RolloutState,
    target: Target,
    spec: InferenceServiceSpec,
    facts: Facts,
    now: float,
) -> Transition:
    canary = state.other
    if why := _superseded(canary, target, spec):
        return _closed(record, state, spec, facts, "Superseded", "Superseded", why, now)
    policy = policy_of(state.policy)
    seen = rollout.Observation(
        step=state.step,
        weights=facts.weights,
        elapsed=facts.elapsed,
        step_elapsed=facts.step_elapsed,
        samples=facts.samples,
        stable_replicas=spec.predictor.replicas,
        canary_ready=facts.ready.get(canary.revision, 0),
        test=facts.test or ErrorRateTest.begin(policy),
        paused=spec.rollout.paused,
        metrics_available=facts.metrics_available,
        structural=facts.structural,
        uncompared=facts.uncompared,
        requested=facts.requested,
        alone_seconds=facts.alone_seconds,
        alone=facts.alone,
    )
    decision = rollout.decide(policy, seen)
    if decision.action is Action.ROLLBACK:
        return replace(
            _closed(record, state, spec, facts, "RolledBack", decision.reason, decision.message, now),
            decision=decision,
        )
    if decision.action is Action.PROMOTE and state.promoting is None:
        state = state.model_copy(
            update={
                "promoting": Decision(
                    result="Promoted",
                    reason=decision.reason,
                    message=_with_changes(decision.message, state.changes or facts.changes),
                    evidence=tuple(facts.evidence),
                    at=timestamp(now),
                )
            }
        )
        record = record.model_copy(update={"rollout": state})
    held = decision.action is Action.HOLD and decision.reason != "Inconclusive"
    if state.promoting is not None and not held:
        return _promoting(record, state, spec, facts, decision, now)
    if decision.action is Action.ADVANCE:
        return _advanced(record, state, spec, facts, decision, now)
    return Transition(record, _beside(record, spec, facts, canary=decision.replicas), decision=decision)


def _superseded(canary: Role, target: Target, spec: InferenceServiceSpec) -> str:
    """Why the canary is no longer wanted, or nothing. A target that is not known yet changes nothing."""
    if spec.predictor.replicas == 0:
        return "spec.predictor.replicas is 0"
    if target.revision is not None and target.revision.name != canary.revision:
        return f"{target.revision.version.name} (revision {target.revision.name}) is to serve now"
    return target.message if target.revision is None and target.blocked else ""


def _advanced(
    record: Record,
    state: RolloutState,
    spec: InferenceServiceSpec,
    facts: Facts,
    decision: rollout.Decision,
    now: float,
) -> Transition:
    state = state.model_copy(
        update={
            "weight": decision.weight,
            "step": decision.step,
            "since": timestamp(now),
            "first_weight_at": state.first_weight_at or timestamp(now),
            "changes": facts.changes if state.first_weight_at is None else state.changes,
        }
    )
    record = record.model_copy(update={"number": record.number + 1, "rollout": state})
    notices = [Notice("Normal", "StepStarted", f"canary {_named(state.other)}: {decision.message}")]
    if facts.changes and state.step == 0:
        notices.append(Notice("Warning", "InputsChanged", state.changes))
    return Transition(
        record, _beside(record, spec, facts, canary=decision.replicas), tuple(notices), decision
    )


def _promoting(
    record: Record,
    state: RolloutState,
    spec: InferenceServiceSpec,
    facts: Facts,
    decision: rollout.Decision,
    now: float,
) -> Transition:
    """The canary is scaled to full first; then one write swaps the roles. Pods are neither moved nor restarted."""
    assert state.promoting is not None
    wanted = spec.predictor.replicas
    ready = facts.ready.get(state.other.revision, 0)
    if ready < wanted:
        message = f"{ready} of {wanted} pods of {state.other.version} are ready to take all traffic"
        waiting = rollout.Decision(
            Action.WAIT, "ScalingForPromotion", message, state.step, state.weight, wanted
        )
        return Transition(record, _beside(record, spec, facts, canary=wanted), decision=waiting)
    promoted = record.model_copy(
        update={
            "number": record.number + 1,
            "stable": state.other,
            "rollout": state.model_copy(
                update={
                    "other": record.stable,
                    "weight": 0,
                    "decision": state.promoting.model_copy(update={"at": timestamp(now)}),
                }
            ),
        }
    )
    return Transition(promoted, _closing_replicas(promoted, spec, facts), _ended(promoted), decision)


def _closed(
    record: Record,
    state: RolloutState,
    spec: InferenceServiceSpec,
    facts: Facts,
    result: Literal["RolledBack", "Superseded"],
    reason: str,
    message: str,
    now: float,
) -> Transition:
    decision = Decision(
        result=result,
        reason=reason,
        message=_with_changes(message, state.changes),
        evidence=tuple(facts.evidence),
        last_error=facts.last_error if result == "RolledBack" else None,
        at=timestamp(now),
    )
    closed = record.model_copy(
        update={
            "number": record.number + 1,
            "rollout": state.model_copy(update={"weight": 0, "promoting": None, "decision": decision}),
        }
    )
    return Transition(closed, _closing_replicas(closed, spec, facts), _ended(closed))


def _with_changes(message: str, changes: str) -> str:
    """Refusals are easier to understand beside what was changed."""
    return f"{message}. {changes}" if changes else message


def _ended(record: Record) -> tuple[Notice, ...]:
    """How the rollout ended, for the user."""
    state = record.rollout
    assert state is not None
    assert state.decision is not None
    decision, stable = state.decision, _named(record.stable)
    if decision.result == "Promoted":
        return (Notice("Normal", "Promoted", f"{stable} serves all traffic: {decision.message}"),)
    type_: Literal["Normal", "Warning"] = "Warning" if decision.result == "RolledBack" else "Normal"
    message = (
        f"canary {_named(state.other)}: {decision.reason}: {decision.message}; {stable} serves all traffic"
    )
    return (Notice(type_, decision.result, message),)


def _closing(record: Record, state: RolloutState, spec: InferenceServiceSpec, facts: Facts) -> Transition:
    """The other revision goes once status tells why, and the last request that it got is over.

    A request that waits for a hanging canary still needs its cluster in the router, to be sent on to stable."""
    if facts.recorded and facts.quiet_seconds > durations.seconds(record.traffic.timeout):
        record = record.model_copy(update={"number": record.number + 1, "rollout": None})
        return Transition(record, {record.stable.revision: spec.predictor.replicas})
    # A process that ended right after the decision has not told it; one that has says nothing twice.
    notices = () if facts.recorded else _ended(record)
    return Transition(record, _closing_replicas(record, spec, facts), notices)


def _named(role: Role) -> str:
    return f"{role.version} (revision {role.revision})"


def _beside(record: Record, spec: InferenceServiceSpec, facts: Facts, *, canary: int) -> dict[str, int]:
    """Pods while a canary is beside stable: neither shrinks before the rollout is over."""
    assert record.rollout is not None
    stable, other = record.stable.revision, record.rollout.other.revision
    return {
        stable: max(spec.predictor.replicas, facts.replicas.get(stable, 0)),
        other: max(canary, facts.replicas.get(other, 0)),
    }


def _closing_replicas(record: Record, spec: InferenceServiceSpec, facts: Facts) -> dict[str, int]:
    return _beside(record, spec, facts, canary=0)


def policy_of(policy: Rollout) -> RolloutPolicy:
    """The API's policy as the decision takes it."""
    return RolloutPolicy(
        steps=tuple(Step(step.weight, durations.seconds(step.hold)) for step in policy.steps),
        max_increase=policy.analysis.error_rate.max_increase,
        confidence=policy.confidence,
        promotion_confidence=policy.promotion_confidence,
        min_samples=policy.min_samples,
        deadline=durations.seconds(policy.deadline),
        on_inconclusive=OnInconclusive(policy.on_inconclusive),
    )
