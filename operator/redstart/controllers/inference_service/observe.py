"""Everything that a reconcile of an InferenceService reads."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from redstart.api import durations
from redstart.api.v1alpha1 import InferenceServiceSpec, ModelVersionSpec
from redstart.api.v1alpha1.common import GROUP, condition_of
from redstart.api.v1alpha1.inference_service import InferenceServiceStatus, LastError
from redstart.controllers import pod_status, reports, storage
from redstart.controllers import pods as pod_builders
from redstart.controllers.inference_service import manifests, scrape, serving
from redstart.controllers.inference_service.manifests import Reading
from redstart.controllers.inference_service.record import ANNOTATION, Record, parsed, restored
from redstart.controllers.inference_service.revision import Version
from redstart.controllers.inference_service.scrape import PodAddress, RouterReport, Snapshot
from redstart.controllers.inference_service.transitions import policy_of
from redstart.controllers.pod_events import Asked
from redstart.controllers.storage import Problem
from redstart.kube.cluster import Cluster
from redstart.kube.controller import Context
from redstart.kube.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    INFERENCE_SERVICE,
    MODEL_VERSION,
    NETWORK_POLICY,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    POD_DISRUPTION_BUDGET,
    SERVICE,
    Key,
)
from redstart.kube.ownership import applied_fields, is_ours, owns
from redstart.rollout.structural import ContainerFacts, PodFacts, ReferenceRows
from redstart.routing.pod import SYNC_ANNOTATION, router_name

Object = dict[str, Any]
PROMOTE_ANNOTATION = f"{GROUP}/promote"
"""Names the rollout that is to be promoted now (status.canary.rollout): a value that is left over names none."""
CHILD_KINDS = (DEPLOYMENT, SERVICE, CONFIG_MAP, POD_DISRUPTION_BUDGET, NETWORK_POLICY)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RevisionFacts:
    """What one revision's Deployment and pods are doing."""

    deployment: Object | None
    pods: tuple[PodFacts, ...]
    replicas: int
    ready: int
    overdue: bool
    """Whether its pods did not become ready in time, whatever the cause."""
    progress_deadline_exceeded: bool
    """Whether that is so although they run."""
    loaded_digest: str | None
    """The digest that every ready pod reports; None while one does not, or they differ."""
    last_error: LastError | None
    """What a pod of it said last of a request that it did not answer, or left when a container ended."""
    problem: Problem | None
    """Why pods that are not ready do not become so; None when nothing is known to be wrong."""


@dataclass(frozen=True)
class Observed:
    """One look at the cluster."""

    service: Object
    spec: InferenceServiceSpec
    status: InferenceServiceStatus
    versions: dict[str, Version]
    version_specs: dict[str, ModelVersionSpec]
    record: Record | None
    config_map: Object | None
    revisions: dict[str, RevisionFacts]
    routers: tuple[RouterReport, ...]
    router_pods: tuple[Object, ...]
    ready_routers: frozenset[str]
    router_problem: Problem | None
    """Why a router pod that is not ready does not become so."""
    claims: dict[str, Object | None]
    children: tuple[Object, ...]
    manifests: Mapping[str, Reading]
    """What the manifests of stable and of a canary without weight say, by revision, where a pod could be asked."""

    @property
    def name(self) -> str:
        """The service's name."""
        return str(self.service["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """The service's namespace."""
        return str(self.service["metadata"]["namespace"])

    @property
    def generation(self) -> int:
        """The spec's generation."""
        return int(self.service["metadata"]["generation"])

    @property
    def promote(self) -> str:
        """The rollout that a person asks to promote, or nothing."""
        return str((self.service["metadata"].get("annotations") or {}).get(PROMOTE_ANNOTATION, ""))

    def reaches(self, revision: str) -> bool:
        """Whether no ready router is known to look for a pod of this revision in vain.

        DNS tells the routers of a pod some seconds after its kubelet does, or never, when it is broken."""
        return all(
            revision in report.reading.answering
            for report in self.routers
            if report.reading is not None and report.pod.name in self.ready_routers
        )


class InvalidSpecError(Exception):
    """The spec breaks a rule that the API server does not know."""


async def observe(
    key: Key, context: Context, asked: Asked, known: Mapping[str, Reading] = MappingProxyType({})
) -> Observed | None:
    """Reads the cache, the routers and the serving pods; None when the service is gone.

    `known`: the manifests of the look before; what was read is not read again."""
    cluster, now = context.cluster, context.now()
    service = cluster.get(INFERENCE_SERVICE, key.namespace, key.name)
    if service is None or service["metadata"].get("deletionTimestamp"):
        return None
    spec = _spec(service)
    status = InferenceServiceStatus.model_validate(service.get("status") or {}, extra="ignore")
    children = tuple(child for kind in CHILD_KINDS for child in cluster.children(kind, service))
    config_map = next(
        (
            child
            for child in children
            if child["kind"] == "ConfigMap" and child["metadata"]["name"] == router_name(key.name)
        ),
        None,
    )
    if config_map is None and status.stable is not None:
        # Without our label it would not be in the cache, and what it says of a rollout must not be lost.
        found = await cluster.read(CONFIG_MAP, key.namespace, router_name(key.name))
        config_map = found if found is not None and is_ours(found, service) else None
    specs = _version_specs(cluster, key.namespace, spec.model.name)
    versions = {name: _version(obj, found) for name, (obj, found) in specs.items()}
    live = _live_pods(cluster, key)
    router_pods = tuple(pod for pod in live if _component(pod) == "router")
    serving_pods = [pod for pod in live if _component(pod) == serving.COMPONENT]
    record = _record(config_map) or restored(status, versions, _plans(router_pods))
    rolling_out = record is not None and record.rollout is not None
    reports, snapshots, read = await asyncio.gather(
        scrape.routers(context.http, _addresses(router_pods)),
        scrape.snapshots(
            context.http,
            _addresses(serving_pods) if rolling_out or not _loaded(status, serving_pods) else [],
        ),
        manifests.of_rollout(
            context.http,
            record,
            lambda revision: _addresses(pod for pod in serving_pods if _revision(pod) == revision),
            known,
        ),
    )
    told = await _told_of(live, cluster, asked, now)
    routers = _deployment(children, router_name(key.name))
    return Observed(
        service=service,
        spec=spec,
        status=status,
        versions=versions,
        version_specs={name: found for name, (_, found) in specs.items()},
        record=record,
        config_map=config_map,
        revisions=_revisions(children, serving_pods, snapshots, status, told, now),
        routers=tuple(reports),
        router_pods=router_pods,
        ready_routers=frozenset(pod["metadata"]["name"] for pod in router_pods if _is_ready(pod)),
        router_problem=_problem(routers, router_pods, (), told),
        claims={
            claim: cluster.get(PERSISTENT_VOLUME_CLAIM, key.namespace, claim)
            for claim in storage.claims(storage.Use(found.artifact.uri) for _, found in specs.values())
        },
        children=children,
        manifests=read,
    )


def _spec(service: Object) -> InferenceServiceSpec:
    """The spec, with the rules of the CRD looked at once more: that may be of an older operator."""
    try:
        spec = InferenceServiceSpec.model_validate(service["spec"])
    except ValidationError as error:
        raise InvalidSpecError(_sentences(error)) from error
    try:
        policy_of(spec.rollout)
    except ValueError as error:
        raise InvalidSpecError(f"spec.rollout.{error}") from error
    if not durations.seconds(spec.traffic.timeout) > 0:
        raise InvalidSpecError("spec.traffic.timeout: must be longer than 0s")
    return spec


def _sentences(error: ValidationError) -> str:
    return "; ".join(
        f"spec.{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()
    )


def _record(config_map: Object | None) -> Record | None:
    """What the ConfigMap carries, unless somebody else wrote it."""
    text = config_map["metadata"].get("annotations", {}).get(ANNOTATION) if config_map else None
    if config_map is None or text is None:
        return None
    fields = applied_fields(config_map)
    if not fields or not owns(fields, {"metadata": {"annotations": {ANNOTATION: text}}}):
        log.warning("the traffic record was written by somebody else, and is made anew from status")
        return None
    try:
        return parsed(text)
    except ValidationError as error:
        log.warning("the traffic record of another operator is made anew from status: %s", error)
        return None


def _plans(router_pods: Iterable[Object]) -> Iterable[int]:
    """The numbers of the plans that the router's pods were told of."""
    for pod in router_pods:
        number = pod["metadata"].get("annotations", {}).get(SYNC_ANNOTATION, "")
        if number.isdecimal():
            yield int(number)


def _version_specs(
    cluster: Cluster, namespace: str, model: str
) -> dict[str, tuple[Object, ModelVersionSpec]]:
    found = {}
    for obj in cluster.list(MODEL_VERSION, namespace):
        if obj["spec"].get("model") != model or obj["metadata"].get("deletionTimestamp"):
            continue
        try:
            found[obj["metadata"]["name"]] = (obj, ModelVersionSpec.model_validate(obj["spec"]))
        except ValidationError as error:
            log.warning("ModelVersion %s is left out: %s", obj["metadata"]["name"], _sentences(error))
    return found


def _version(obj: Object, spec: ModelVersionSpec) -> Version:
    status = obj.get("status") or {}
    ready = condition_of(status, "Ready") or {}
    current = status.get("observedGeneration") == obj["metadata"]["generation"]
    if ready.get("status") == "True":
        state = "Ready"
    elif status.get("phase") == "Rejected" and current:
        state = "Rejected"
    else:
        state = "Waiting"
    message = ready.get("message") or "it has not been verified yet"
    return Version(obj["metadata"]["name"], spec.number, spec.artifact, state, message)  # type: ignore[arg-type]


def _live_pods(cluster: Cluster, key: Key) -> list[Object]:
    """Pods that are not on their way out: one that is being deleted or was evicted is nobody's fault."""
    labels = {pod_builders.owner_label("InferenceService"): key.name}
    return [
        pod
        for pod in cluster.list(POD, key.namespace, labels)
        if not pod["metadata"].get("deletionTimestamp") and pod.get("status", {}).get("reason") != "Evicted"
    ]


def _component(pod: Object) -> str:
    return str(pod["metadata"].get("labels", {}).get("app.kubernetes.io/component", ""))


def _revision(obj: Object) -> str:
    return str(obj["metadata"].get("labels", {}).get(serving.REVISION_LABEL, ""))


def _addresses(pods: Iterable[Object]) -> list[PodAddress]:
    return [
        PodAddress(pod["metadata"]["name"], pod["metadata"]["uid"], pod["status"]["podIP"])
        for pod in pods
        if pod.get("status", {}).get("podIP") and pod["status"].get("phase") == "Running"
    ]


def _is_ready(pod: Object) -> bool:
    return (condition_of(pod.get("status") or {}, "Ready") or {}).get("status") == "True"


def _loaded(status: InferenceServiceStatus, pods: Iterable[Object]) -> bool:
    """Whether status already tells what the pods have loaded; then nobody has to ask them again."""
    stable = status.stable
    if stable is None or stable.loaded_digest is None:
        return False
    ready = sum(_is_ready(pod) for pod in pods if _revision(pod) == stable.revision)
    return ready == stable.ready_replicas


async def _told_of(pods: Iterable[Object], cluster: Cluster, asked: Asked, now: float) -> dict[str, Problem]:
    """What events tell of pods that wait for their volumes, by the pod's name."""
    found = {
        pod["metadata"]["name"]: await asked.about(pod, cluster, now) for pod in pods if not _is_ready(pod)
    }
    return {name: problem for name, problem in found.items() if problem is not None}


def _deployment(children: Iterable[Object], name: str) -> Object | None:
    named = (child for child in children if child["kind"] == "Deployment")
    return next((child for child in named if child["metadata"]["name"] == name), None)


def _revisions(
    children: Iterable[Object],
    pods: list[Object],
    snapshots: Mapping[str, Snapshot],
    status: InferenceServiceStatus,
    told: Mapping[str, Problem],
    now: float,
) -> dict[str, RevisionFacts]:
    deployments = {
        _revision(child): child for child in children if child["kind"] == "Deployment" and _revision(child)
    }
    names = {*deployments, *(_revision(pod) for pod in pods)} - {""}
    return {
        name: _facts(
            deployments.get(name),
            [pod for pod in pods if _revision(pod) == name],
            snapshots,
            name,
            status,
            told,
            now,
        )
        for name in names
    }


def _facts(
    deployment: Object | None,
    pods: list[Object],
    snapshots: Mapping[str, Snapshot],
    revision: str,
    status: InferenceServiceStatus,
    told: Mapping[str, Problem],
    now: float,
) -> RevisionFacts:
    ready = [pod["metadata"]["name"] for pod in pods if _is_ready(pod)]
    digests = {snapshots[name].loaded_digest if name in snapshots else None for name in ready}
    loaded = next(iter(digests)) if len(digests) == 1 else None
    if not snapshots and status.stable is not None and status.stable.revision == revision:
        loaded = status.stable.loaded_digest if ready else None
    progressing = condition_of((deployment or {}).get("status") or {}, "Progressing") or {}
    overdue = progressing.get("reason") == "ProgressDeadlineExceeded"
    deadline = float((deployment or {}).get("spec", {}).get("progressDeadlineSeconds", 0))
    facts = tuple(_pod_facts(pod, snapshots.get(pod["metadata"]["name"]), now) for pod in pods)
    return RevisionFacts(
        deployment=deployment,
        pods=facts,
        replicas=int((deployment or {}).get("spec", {}).get("replicas", 0)),
        ready=len(ready),
        overdue=overdue,
        progress_deadline_exceeded=overdue
        and any(not _is_ready(pod) and pod_status.seconds_running(pod, now) >= deadline for pod in pods),
        loaded_digest=loaded,
        last_error=_last_error(facts, snapshots),
        problem=_problem(deployment, pods, facts, told),
    )


def _pod_facts(pod: Object, snapshot: Snapshot | None, now: float) -> PodFacts:
    status = pod.get("status") or {}
    statuses = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return PodFacts(
        name=pod["metadata"]["name"],
        containers=tuple(
            _container_facts(entry) for entry in statuses if entry["name"] in serving.CONTAINERS
        ),
        seconds_still=pod_status.seconds_still(pod, now),
        loaded_digest=snapshot.loaded_digest if snapshot else None,
        reference=ReferenceRows(
            snapshot.reference_rows, snapshot.reference_mismatched, snapshot.first_mismatch
        )
        if snapshot and snapshot.reference_rows
        else None,
    )


def _container_facts(entry: Object) -> ContainerFacts:
    state, last = entry.get("state") or {}, entry.get("lastState") or {}
    waiting, terminated = state.get("waiting") or {}, state.get("terminated") or {}
    ended = terminated or last.get("terminated") or {}
    return ContainerFacts(
        name=entry["name"],
        waiting=waiting.get("reason", ""),
        terminated=terminated.get("reason", ""),
        last_terminated=(last.get("terminated") or {}).get("reason", ""),
        exit_code=ended.get("exitCode"),
        restarts=int(entry.get("restartCount", 0)),
        message=_said(ended) or waiting.get("message", ""),
    )


def _said(terminated: Object) -> str:
    """What a container left behind: our own report, or the end of its log."""
    if (report := reports.report(terminated)) is not None:
        return f"{report.reason}: {report.message}"
    text = str(terminated.get("message") or "").strip()
    return text.splitlines()[-1][:300] if text else ""


def _last_error(facts: Iterable[PodFacts], snapshots: Mapping[str, Snapshot]) -> LastError | None:
    """Of the pods, the one with the gravest last words: a failure, then a container that ended, then a refusal."""
    found = []
    for pod in facts:
        said = snapshots[pod.name].last_error if pod.name in snapshots else {}
        ended = [c.message for c in pod.containers if c.exit_code and c.message]
        if said or ended:
            try:
                error = LastError.model_validate(
                    {"pod": pod.name, "log": ended[-1] if ended else None, **said}
                )
            except ValidationError:  # of a sidecar of another release
                continue
            found.append(error)
    return max(found, key=lambda error: ((error.status or 0) >= 500, error.log is not None), default=None)


def _problem(
    deployment: Object | None,
    pods: Iterable[Object],
    facts: Iterable[PodFacts],
    told: Mapping[str, Problem],
) -> Problem | None:
    """What keeps a Deployment's pods from being made or from becoming ready; the first that is known."""
    for known in facts:
        if known.reference is not None and known.reference.mismatched:
            return Problem(
                "ReferenceRowsMismatch",
                f"pod {known.name} answers {known.reference.mismatched} of {known.reference.rows} "
                f"reference rows otherwise than at training time: {known.reference.first}",
            )
    pods = list(pods)
    lacking = deployment is not None and sum(map(_is_ready, pods)) < deployment["spec"].get("replicas", 1)
    # The Deployment goes on telling of a former ReplicaSet whose pods were refused.
    if deployment is not None and lacking and (refused := pod_status.refused(deployment)) is not None:
        return refused
    for pod in pods:
        name = pod["metadata"]["name"]
        problem = (
            None if _is_ready(pod) else pod_status.blocked(pod) or told.get(name) or pod_status.failure(pod)
        )
        if problem is not None:
            return Problem(problem.reason, f"pod {name}: {problem.message}")
    return None
