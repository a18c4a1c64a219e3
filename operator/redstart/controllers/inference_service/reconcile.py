"""One reconcile of an InferenceService: observe, decide, apply, prune, report."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from redstart.api.v1alpha1.inference_service import AnalysisStatus, LastError
from redstart.controllers import pods as pod_builders
from redstart.controllers.inference_service import analysis as live
from redstart.controllers.inference_service import desired, serving, status, transitions
from redstart.controllers.inference_service.analysis import Analysis
from redstart.controllers.inference_service.comparison import Comparison, comparison
from redstart.controllers.inference_service.conditions import conditions
from redstart.controllers.inference_service.manifests import Reading
from redstart.controllers.inference_service.notices import changes, unknown_rollout
from redstart.controllers.inference_service.observe import InvalidSpecError, Observed, observe
from redstart.controllers.inference_service.record import Record
from redstart.controllers.inference_service.revision import Serving, Target, target
from redstart.controllers.inference_service.situation import Situation
from redstart.controllers.inference_service.transitions import Transition, next_transition
from redstart.controllers.pod_events import Asked
from redstart.kube import errors
from redstart.kube.controller import Context, Controller
from redstart.kube.kinds import INFERENCE_SERVICE, MODEL_VERSION, POD, Key
from redstart.rollout.e_process import Counts
from redstart.rollout.structural import CanaryFacts, structural_failure
from redstart.rollout.verdict import Verdict
from redstart.routing import pod as router

Object = dict[str, Any]

log = logging.getLogger(__name__)

EVIDENCE_SECONDS = 10.0
"""Evidence that only moves is written this often at most; a change of verdict or step at once."""
LOADED_SECONDS = 5.0
"""Until every pod has told what it loaded, it is asked again after this long."""
PLAN_SECONDS = 0.1
"""Until a new plan is in force, the routers are asked again after this long: what they count under it can only be
judged from the first look on that finds it there."""
PLAN_PATIENCE = 3.0
"""A plan that is not in force after this long waits for a kubelet; asking often would not bring it sooner."""
ROUTER_SECONDS = 1.0
"""Until the routers have found a serving pod, they are asked again after this long."""
STEADY_SECONDS = 60.0
"""Nobody tells when a router no longer finds the pods: it is asked."""
REFUSED_SECONDS = 30.0
"""What the API server refuses is tried again after this long: of a name that is taken, a quota or a webhook nobody
tells when it is no longer in the way."""


@dataclass(frozen=True)
class _Reported:
    """What of the evidence was written to status, and when."""

    rollout: str
    verdict: str
    step: int
    at: float


@dataclass(frozen=True)
class _Quiet:
    """Since when every router has been seen with weight 0 for what is on its way out."""

    rollout: str
    since: float


class InferenceServiceReconciler:
    """Reconciles one service at a time; holds the live evidence of the rollouts between two looks."""

    def __init__(self) -> None:
        self._asked = Asked()
        self._analyses: dict[Key, Analysis] = {}
        self._reported: dict[Key, _Reported] = {}
        self._quiet: dict[Key, _Quiet] = {}
        self._planned: dict[Key, float] = {}
        """When the newest plan was written, of those that this process wrote."""
        self._manifests: dict[Key, Mapping[str, Reading]] = {}
        """Of stable and a canary that has had no weight yet."""

    async def reconcile(self, key: Key, context: Context) -> float | None:
        """Brings the service a step nearer to its spec; returns seconds until the next look."""
        try:
            observed = await observe(key, context, self._asked, self._manifests.get(key, {}))
        except InvalidSpecError as error:
            await self._fail(key, context, "InvalidSpec", str(error))
            return None
        if observed is None:
            self._analyses.pop(key, None)
            self._reported.pop(key, None)
            self._quiet.pop(key, None)
            self._planned.pop(key, None)
            self._manifests.pop(key, None)
            return None
        self._remember(key, observed)
        now = context.now()
        wanted = _target(observed, context)
        analysis = self._look(key, observed, now)
        facts = _facts(observed, analysis, self._quiet_seconds(key, observed, now))
        transition = next_transition(observed.record, wanted, observed.spec, facts, now)
        refused = await _apply_route(observed, transition, context)
        if refused is not None:
            # What was not written is not so: status tells of the record that stands.
            transition = Transition(observed.record, {})
        else:
            if _number(transition.record) != _number(observed.record):
                self._planned[key] = now
            refused = await _apply_children(observed, transition, context)
        if refused is None:
            await _prune(observed, transition.record, context)
        situation = self._situation(key, observed, wanted, transition, analysis, refused, now)
        told = status.status(situation)
        if await context.cluster.patch_status(observed.service, told) is not None:
            ignored = unknown_rollout(observed.promote, observed.status)
            news = changes(conditions(situation), _conditions(observed.service))
            for notice in (*news, *((ignored,) if ignored else ())):
                await context.cluster.event(observed.service, notice.type, notice.reason, notice.message)
        if refused is not None and not _urgent(transition.record):
            return REFUSED_SECONDS
        fresh = now - self._planned.get(key, -math.inf) < PLAN_PATIENCE
        return _next_look(observed, transition.record, context, fresh_plan=fresh)

    def _remember(self, key: Key, observed: Observed) -> None:
        if observed.manifests:
            self._manifests[key] = observed.manifests
        else:
            self._manifests.pop(key, None)

    def _look(self, key: Key, observed: Observed, now: float) -> Analysis | None:
        record = observed.record
        if record is None or record.rollout is None or record.rollout.decision is not None:
            self._analyses.pop(key, None)
            return None
        analysis = self._analyses.get(key)
        if analysis is None or analysis.rollout != record.rollout.id:
            analysis = live.begin(record.rollout, observed.status.canary)
        analysis = live.look(
            analysis,
            record,
            observed.routers,
            paused=observed.spec.rollout.paused,
            now=now,
        )
        self._analyses[key] = analysis
        return analysis

    def _quiet_seconds(self, key: Key, observed: Observed, now: float) -> float:
        """How long every router has sent nothing more to the revision that is on its way out."""
        record = observed.record
        state = record.rollout if record else None
        if record is None or state is None or state.decision is None:
            self._quiet.pop(key, None)
            return 0.0
        readings = [report.reading for report in observed.routers]
        if any(reading is None or reading.plan != record.number for reading in readings):
            self._quiet.pop(key, None)
            return 0.0
        quiet = self._quiet.get(key)
        if quiet is None or quiet.rollout != state.id:
            quiet = self._quiet[key] = _Quiet(state.id, now)
        return now - quiet.since

    def _situation(
        self,
        key: Key,
        observed: Observed,
        wanted: Target,
        transition: Transition,
        analysis: Analysis | None,
        refused: errors.ApiError | None,
        now: float,
    ) -> Situation:
        evidence, state = self._evidence(key, observed, transition.record, analysis, now)
        return Situation(
            observed=observed,
            record=transition.record,
            target=wanted,
            decision=transition.decision,
            analysis=analysis,
            evidence=evidence,
            test_state=state,
            replicas=transition.replicas,
            weights=live.weights(observed.record, observed.routers) if observed.record else (),
            refused=_told(refused) if refused is not None else None,
            now=now,
        )

    def _evidence(
        self, key: Key, observed: Observed, record: Record | None, analysis: Analysis | None, now: float
    ) -> tuple[list[AnalysisStatus], str | None]:
        """The lines to show and the state to keep: what status has, unless it is old or the verdict changed."""
        if analysis is None or record is None or record.rollout is None:
            return [], None
        line = live.evidence(analysis.test)
        last = self._reported.get(key)
        fresh = _Reported(analysis.rollout, line.verdict, record.rollout.step, now)
        if (
            last is not None
            and (last.rollout, last.verdict, last.step) == (fresh.rollout, fresh.verdict, fresh.step)
            and now - last.at < EVIDENCE_SECONDS
        ):
            return observed.status.analysis, None
        self._reported[key] = fresh
        return [line], status.test_state(analysis)

    async def _fail(self, key: Key, context: Context, reason: str, message: str) -> None:
        service = context.cluster.get(INFERENCE_SERVICE, key.namespace, key.name)
        if service is None:
            return
        await context.cluster.event(service, "Warning", reason, message)
        await context.cluster.patch_status(
            service,
            status.failure(
                service.get("status") or {}, service["metadata"]["generation"], reason, message, context.now()
            ),
        )


async def _apply_route(
    observed: Observed, transition: Transition, context: Context
) -> errors.ApiError | None:
    """The route first: where a canary fails, nothing else may delay its weight 0."""
    record, cluster = transition.record, context.cluster
    if record is None:
        return None
    config_map = desired.config_map(observed, record, context)
    version = observed.config_map["metadata"]["resourceVersion"] if observed.config_map else None
    try:
        if observed.config_map is None:
            for child in (config_map, *desired.children(observed, transition, context)):
                await cluster.ensure_free(child, owner=observed.service)
        await cluster.apply(config_map, owner=observed.service, resource_version=version)
    except errors.REFUSED as error:
        return error
    for pod in observed.router_pods:
        if pod["metadata"].get("annotations", {}).get(router.SYNC_ANNOTATION) != str(record.number):
            await cluster.annotate(
                POD,
                observed.namespace,
                pod["metadata"]["name"],
                {router.SYNC_ANNOTATION: str(record.number)},
            )
    for notice in transition.notices:
        await cluster.event(observed.service, notice.type, notice.reason, notice.message)
    return None


async def _apply_children(
    observed: Observed, transition: Transition, context: Context
) -> errors.ApiError | None:
    """Everything but the route; the first of those that are refused keeps none of the others from being right."""
    if transition.record is None:
        return None
    refused = None
    for child in desired.children(observed, transition, context):
        try:
            await context.cluster.apply(child, owner=observed.service)
        except errors.REFUSED as error:
            refused = refused or error
        except (errors.Transient, errors.Conflict) as error:
            if transition.record.canary is None:
                raise
            # Tried again later and later, as the queue does, it would keep a failing canary in traffic.
            log.warning("%s %s: %s", child["kind"], child["metadata"]["name"], error)
            break
    return refused


def _told(refused: errors.ApiError) -> tuple[str, str]:
    """Reason and message for the user."""
    if isinstance(refused, errors.NotOurs):
        return refused.reason, refused.message
    return "Refused", f"the API server refuses what the spec asks for: {refused.message}"


def _conditions(service: Object) -> list[Object]:
    return (service.get("status") or {}).get("conditions") or []


def _target(observed: Observed, context: Context) -> Target:
    record = observed.record
    stable = record.stable if record and record.established else None
    canary = record.canary if record else None
    return target(
        observed.spec,
        observed.versions.values(),
        existing=[role.revision for role in (stable, canary) if role],
        serving=Serving(stable.version, stable.number) if stable else None,
        finishing=canary.revision if canary and observed.spec.rollout.on_new_version == "Finish" else None,
        quarantined=observed.status.quarantine,
        runtime_image=context.settings.images.runtime,
    )


def _facts(observed: Observed, analysis: Analysis | None, quiet_seconds: float) -> transitions.Facts:
    record = observed.record
    state = record.rollout if record else None
    ready = {name: facts.ready for name, facts in observed.revisions.items()}
    if record is not None and state is not None and state.decision is None:
        ready[state.other.revision] = min(ready.get(state.other.revision, 0), _hosts(observed, record))
    compared = comparison(observed, record) if record is not None else Comparison()
    return transitions.Facts(
        ready=ready,
        replicas={name: facts.replicas for name, facts in observed.revisions.items()},
        weights=live.weights(record, observed.routers) if record else (),
        metrics_available=analysis.metrics_available if analysis else True,
        elapsed=analysis.elapsed if analysis else 0.0,
        step_elapsed=analysis.step_elapsed if analysis else 0.0,
        samples=analysis.samples if analysis else 0,
        test=analysis.test if analysis else None,
        structural=_structural(observed, record, analysis, compared) if record and analysis else None,
        uncompared=compared.waits,
        changes=compared.changes,
        evidence=[live.evidence(analysis.test)] if analysis else [],
        last_error=_last_error(observed, record),
        recorded=state is not None and any(entry.id == state.id for entry in observed.status.rollouts),
        requested=state is not None and observed.promote == state.id,
        alone_seconds=analysis.alone.seconds if analysis and analysis.alone else 0.0,
        alone=analysis.alone.canary if analysis and analysis.alone else Counts(0, 0),
        quiet_seconds=quiet_seconds,
    )


def _last_error(observed: Observed, record: Record | None) -> LastError | None:
    canary = observed.revisions.get(record.canary.revision) if record and record.canary else None
    return canary.last_error if canary else None


def _hosts(observed: Observed, record: Record) -> int:
    """Healthy canary hosts that every router sees: more weight than they can take would overload them."""
    assert record.rollout is not None
    revision = record.rollout.other.revision
    return min(
        (
            report.reading.arms[revision].healthy
            if report.reading is not None
            and report.reading.plan == record.number
            and report.reading.can_take(revision)
            else 0
            for report in observed.routers
        ),
        default=0,
    )


def _structural(
    observed: Observed, record: Record, analysis: Analysis, compared: Comparison
) -> Verdict | None:
    canary = record.canary
    if canary is None or compared.verdict is not None:
        return compared.verdict
    facts = observed.revisions.get(canary.revision)
    if facts is None:
        return None
    return structural_failure(
        CanaryFacts(
            pods=facts.pods,
            artifact_digest=canary.digest,
            progress_deadline_exceeded=facts.progress_deadline_exceeded,
            weight=record.weight,
            seconds_without_host=analysis.without_host or 0.0,
        )
    )


async def _prune(observed: Observed, record: Record | None, context: Context) -> None:
    """Children of revisions that no role names any more."""
    if record is None:
        return
    wanted = {role.revision for role in record.revisions}
    for child in observed.children:
        revision = child["metadata"].get("labels", {}).get(serving.REVISION_LABEL)
        if revision is not None and revision not in wanted:
            await context.cluster.delete(child)


def _urgent(record: Record | None) -> bool:
    """Whether a canary has weight, or is being taken out."""
    return record is not None and record.rollout is not None and (record.weight > 0 or record.canary is None)


def _number(record: Record | None) -> int:
    return record.number if record else 0


def _next_look(
    observed: Observed, record: Record | None, context: Context, *, fresh_plan: bool
) -> float | None:
    if record is None:
        return None
    if record.rollout is not None:
        awaited = fresh_plan and any(
            report.reading is not None and report.reading.plan != record.number for report in observed.routers
        )
        interval = context.settings.rollout.scrape_interval
        return min(PLAN_SECONDS, interval) if awaited else interval
    facts = observed.revisions.get(record.stable.revision)
    if facts is not None and facts.ready > 0 and not observed.reaches(record.stable.revision):
        return ROUTER_SECONDS
    if observed.router_problem is not None or (facts is not None and facts.problem is not None):
        # Events tell of a volume that is there at last, and nobody tells us of events.
        return LOADED_SECONDS
    unknown = facts is not None and facts.ready > 0 and facts.loaded_digest is None
    # A server that is not ours tells no digest: asking it again would never end.
    own = serving.is_own(observed.spec.predictor.template)
    return LOADED_SECONDS if unknown and own else STEADY_SECONDS


def _services_of_version(version: Object, cluster: Any) -> Iterable[Key]:
    namespace, model = version["metadata"]["namespace"], version["spec"].get("model")
    for service in cluster.list(INFERENCE_SERVICE, namespace):
        if service["spec"].get("model", {}).get("name") == model:
            yield Key(INFERENCE_SERVICE, namespace, service["metadata"]["name"])


def _service_of_pod(pod: Object, cluster: Any) -> Iterable[Key]:
    """Pods belong to a ReplicaSet, which nobody watches: their label names the service."""
    name = pod["metadata"].get("labels", {}).get(pod_builders.owner_label("InferenceService"))
    if name:
        yield Key(INFERENCE_SERVICE, pod["metadata"]["namespace"], name)


CONTROLLER = Controller(
    INFERENCE_SERVICE,
    InferenceServiceReconciler().reconcile,
    {MODEL_VERSION: _services_of_version, POD: _service_of_pod},
)
