"""Every read that a reconcile of a ModelVersion makes, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from redstart.api.v1alpha1 import ModelVersionSpec
from redstart.api.v1alpha1.common import PodTemplate
from redstart.api.v1alpha1.model_version import ModelVersionStatus, QuarantinedBy, Serving
from redstart.controllers import job_reads, storage
from redstart.controllers.job_status import ending, failed_beside_others, judged
from redstart.controllers.model_version.job import VERIFY, job_name, use
from redstart.controllers.model_version.outcome import Outcome, outcome, verifier
from redstart.controllers.storage import Problem
from redstart.kube.cluster import Cluster
from redstart.kube.controller import Context
from redstart.kube.kinds import (
    INFERENCE_SERVICE,
    JOB,
    MODEL_VERSION,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    TRAINING_JOB,
    Key,
)

Object = dict[str, Any]


@dataclass(frozen=True)
class Observed:
    """What is known of a ModelVersion and of everything that it depends on."""

    resource: Object
    status: ModelVersionStatus
    now: float
    spec: ModelVersionSpec | None = None
    """None where no valid spec can be read: `invalid` says why."""
    invalid: str = ""
    job: Object | None = None
    """The Job that verifies it; ours, and perhaps for an earlier secretRef."""
    pods: list[Object] = field(default_factory=list)
    left: Object | None = None
    """A pod that others than its verifier, which failed, keep running."""
    warning: Problem | None = None
    """What the newest event about a pod or Job that does not get on warns of."""
    outcome: Outcome | None = None
    claims: Mapping[str, Object | None] = field(default_factory=dict)
    trained: PodTemplate | None = None
    """The template of the TrainingJob that made it, where there is one still."""
    serving: list[Serving] = field(default_factory=list)
    quarantine: list[QuarantinedBy] = field(default_factory=list)

    @property
    def generation(self) -> int:
        """The generation of the spec."""
        return int(self.resource["metadata"]["generation"])


async def observe(key: Key, context: Context) -> Observed | None:
    """Everything, or None when the ModelVersion is gone or going."""
    cluster, now = context.cluster, context.now()
    resource = cluster.get(MODEL_VERSION, key.namespace, key.name)
    if resource is None or "deletionTimestamp" in resource["metadata"]:
        return None
    status = _status(resource)
    try:
        spec = ModelVersionSpec.model_validate(resource["spec"])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return Observed(resource, status, now, invalid=f"spec.{where}: {first['msg']}")
    name = job_name(key.name)
    job = next((j for j in cluster.children(JOB, resource) if j["metadata"]["name"] == name), None)
    pods = cluster.children(POD, job) if job else []
    job = judged(job, pods, VERIFY, now=now) if job else None
    observed = Observed(
        resource=resource,
        status=status,
        now=now,
        spec=spec,
        job=job,
        pods=pods,
        left=failed_beside_others(pods, VERIFY, now=now),
        claims={
            claim: cluster.get(PERSISTENT_VOLUME_CLAIM, key.namespace, claim)
            for claim in storage.claims([use(spec)])
        },
        trained=_trained(spec, key, cluster),
        serving=_serving(key, cluster),
        quarantine=_quarantine(key, cluster),
    )
    if job is None or status.verified_digest == spec.artifact.digest:
        return observed
    if (ended := ending(job)) is None:
        return replace(observed, warning=await job_reads.warning(job, pods, cluster, now=now))
    pod = verifier(pods) if ended.complete else None
    log = await job_reads.log(pod, VERIFY, ended, cluster, now=now) if pod else None
    return replace(observed, outcome=outcome(job, pods, log, now=now))


def _status(resource: Object) -> ModelVersionStatus:
    """What status says; one that cannot be read counts as lost, and the version is verified again."""
    try:
        return ModelVersionStatus.model_validate(resource.get("status", {}))
    except ValidationError:
        return ModelVersionStatus()


def _trained(spec: ModelVersionSpec, key: Key, cluster: Cluster) -> PodTemplate | None:
    """What the TrainingJob of the version says of pods; one that cannot be read says nothing."""
    name = spec.lineage.training_job if spec.lineage else None
    found = cluster.get(TRAINING_JOB, key.namespace, name) if name else None
    try:
        return PodTemplate.model_validate(found["spec"].get("template", {})) if found else None
    except ValidationError:
        return None


def _serving(key: Key, cluster: Cluster) -> list[Serving]:
    """The services that serve the version, by name."""
    return [
        Serving(inference_service=service["metadata"]["name"], role=role)
        for service in _services(key, cluster)
        for role, arm in (("Stable", "stable"), ("Canary", "canary"))
        if service.get("status", {}).get(arm, {}).get("version") == key.name
    ]


def _quarantine(key: Key, cluster: Cluster) -> list[QuarantinedBy]:
    """The services that rolled the version back, by name; the newest time where one did so more than once."""
    return [
        QuarantinedBy(inference_service=service["metadata"]["name"], reason=newest["reason"], at=newest["at"])
        for service in _services(key, cluster)
        if (
            newest := max(
                (
                    entry
                    for entry in service.get("status", {}).get("quarantine", [])
                    if entry["version"] == key.name
                ),
                key=lambda entry: str(entry["at"]),
                default=None,
            )
        )
    ]


def _services(key: Key, cluster: Cluster) -> list[Object]:
    services = cluster.list(INFERENCE_SERVICE, key.namespace)
    return sorted(services, key=lambda service: str(service["metadata"]["name"]))
