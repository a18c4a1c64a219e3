"""Every read that a reconcile of a TrainingJob makes, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
from pydantic import ValidationError

from redstart.api.v1alpha1 import TrainingJobSpec
from redstart.api.v1alpha1.training_job import Progress, Run, TrainingJobStatus
from redstart.controllers import job_reads, pod_status, storage
from redstart.controllers.job_status import ending, failed_beside_others, judged
from redstart.controllers.pods import owner_label
from redstart.controllers.storage import Problem
from redstart.controllers.training_job.job import (
    CONTAINER,
    PROGRESS_PORT,
    number_of,
    run_digest,
    uses,
)
from redstart.controllers.training_job.outcome import TRAINED, Outcome, outcome, reported
from redstart.controllers.training_job.runs import needs_run, newest_run
from redstart.kube.cluster import Cluster
from redstart.kube.controller import Context
from redstart.kube.kinds import (
    CONFIG_MAP,
    JOB,
    MODEL_VERSION,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    TRAINING_JOB,
    Key,
)

Object = dict[str, Any]

_LONGEST_PROGRESS = 64 * 1024  # bytes


@dataclass(frozen=True)
class Observed:
    """What is known of a TrainingJob and of everything that it depends on."""

    resource: Object
    status: TrainingJobStatus
    now: float
    spec: TrainingJobSpec | None = None
    """None where no valid spec can be read: `invalid` says why."""
    invalid: str = ""
    digest: str = ""
    """What a run would be started for now."""
    run: Run | None = None
    """The newest run, from status or from a Job that was created right before the operator stopped."""
    jobs: list[Object] = field(default_factory=list)
    """Ours, by the run's number."""
    config_maps: list[Object] = field(default_factory=list)
    job: Object | None = None
    """The newest run's Job, None when it does not exist (the API server was asked)."""
    left: Object | None = None
    """A pod that others than its trainer, which failed, keep running."""
    pods: list[Object] = field(default_factory=list)
    """Of all its runs."""
    warning: Problem | None = None
    """What the newest event about a pod or Job that does not get on warns of."""
    outcome: Outcome | None = None
    progress: Progress | None = None
    older: str | None = None
    """An older TrainingJob of the namespace that trains the same model."""
    versions: list[Object] = field(default_factory=list)
    """All ModelVersions of the namespace."""
    version_gone: bool = False
    """Whether the version that the newest run ended with was deleted (the API server was asked)."""
    claims: Mapping[str, Object | None] = field(default_factory=dict)
    missing: Problem | None = None
    """A ConfigMap or key that the data comes from and that does not exist."""

    @property
    def name(self) -> str:
        """The TrainingJob's name."""
        return str(self.resource["metadata"]["name"])

    @property
    def generation(self) -> int:
        """The generation of the spec."""
        return int(self.resource["metadata"]["generation"])

    def pods_of(self, job: Object) -> list[Object]:
        """The pods of one Job."""
        uid = job["metadata"]["uid"]
        return [
            pod
            for pod in self.pods
            if any(owner["uid"] == uid for owner in pod["metadata"].get("ownerReferences", []))
        ]


async def observe(key: Key, context: Context) -> Observed | None:
    """Everything, or None when the TrainingJob is gone or going."""
    cluster = context.cluster
    resource = cluster.get(TRAINING_JOB, key.namespace, key.name)
    if resource is None or "deletionTimestamp" in resource["metadata"]:
        return None
    status = _status(resource)
    try:
        spec = TrainingJobSpec.model_validate(resource["spec"])
    except ValidationError as error:
        return Observed(resource, status, context.now(), invalid=_sentence(error), run=status.run)
    jobs = sorted(cluster.children(JOB, resource), key=number_of)
    run = newest_run(status, jobs)
    job = await _job(run, jobs, resource, cluster)
    pods = cluster.list(POD, key.namespace, {owner_label("TrainingJob"): key.name})
    now = context.now()
    versions = cluster.list(MODEL_VERSION, key.namespace)
    version_gone = await _version_gone(run, status, versions, key.namespace, cluster)
    observed = Observed(
        resource=resource,
        status=status,
        now=now,
        spec=spec,
        digest=run_digest(spec, resource["metadata"].get("annotations", {})),
        run=run,
        jobs=jobs,
        config_maps=cluster.children(CONFIG_MAP, resource),
        job=job,
        pods=pods,
        older=_older(resource, cluster),
        versions=versions,
        version_gone=version_gone,
        claims={
            claim: cluster.get(PERSISTENT_VOLUME_CLAIM, key.namespace, claim)
            for claim in storage.claims(uses(spec))
        },
    )
    if needs_run(
        run,
        status.history,
        digest=observed.digest,
        generation=observed.generation,
        version_gone=version_gone,
    ):
        return replace(observed, missing=await _missing(spec, key.namespace, cluster))
    if run is None or run.finished_at is not None or job is None:
        return observed
    mine = observed.pods_of(job)
    job = judged(job, mine, CONTAINER, now=now)
    observed = replace(observed, job=job, left=failed_beside_others(mine, CONTAINER, now=now))
    if ending(job) is not None:
        return replace(observed, outcome=await _outcome(job, mine, cluster, now))
    return replace(
        observed,
        warning=await job_reads.warning(job, mine, cluster, now=now),
        progress=await _progress(mine, context.http),
    )


def _status(resource: Object) -> TrainingJobStatus:
    """What status says; one that cannot be read counts as lost, and is built anew from what exists."""
    try:
        return TrainingJobStatus.model_validate(resource.get("status", {}))
    except ValidationError:
        return TrainingJobStatus()


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"spec.{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"


async def _job(run: Run | None, jobs: list[Object], resource: Object, cluster: Cluster) -> Object | None:
    """The run's Job. The cache may be behind a status that it shows already, so that absence is asked for."""
    if run is None:
        return None
    if (cached := next((job for job in jobs if job["metadata"]["name"] == run.job), None)) is not None:
        return cached
    if run.finished_at is not None:
        return None
    live = await cluster.read(JOB, resource["metadata"]["namespace"], run.job)
    owners = live["metadata"].get("ownerReferences", []) if live else []
    return live if any(owner["uid"] == resource["metadata"]["uid"] for owner in owners) else None


async def _version_gone(
    run: Run | None, status: TrainingJobStatus, versions: list[Object], namespace: str, cluster: Cluster
) -> bool:
    """Whether the newest run ended with a version that is no more. As above, absence is asked for."""
    name = status.latest_version
    if run is None or run.result not in TRAINED or name is None:
        return False
    if any(version["metadata"]["name"] == name for version in versions):
        return False
    return await cluster.read(MODEL_VERSION, namespace, name) is None


def _older(resource: Object, cluster: Cluster) -> str | None:
    """The oldest other TrainingJob of the same model that was there before this one."""
    metadata = resource["metadata"]
    rivals = [
        (other["metadata"]["creationTimestamp"], other["metadata"]["name"])
        for other in cluster.list(TRAINING_JOB, metadata["namespace"])
        if other["spec"].get("model") == resource["spec"].get("model")
        and "deletionTimestamp" not in other["metadata"]
    ]
    first = min(rivals, default=None)
    mine = (metadata["creationTimestamp"], metadata["name"])
    return first[1] if first is not None and first < mine else None


async def _missing(spec: TrainingJobSpec, namespace: str, cluster: Cluster) -> Problem | None:
    """The first ConfigMap or key that a source names and that does not exist; users' ConfigMaps are not cached."""
    for source in spec.data.sources:
        if (named := storage.config_map_of(source.uri)) is None:
            continue
        name, key = named
        found = await cluster.read(CONFIG_MAP, namespace, name)
        if found is None:
            return Problem(
                "ConfigMapNotFound",
                f'ConfigMap "{name}" of {source.uri} does not exist in this namespace: create it, or mend '
                "data.sources",
            )
        keys = [*found.get("data", {}), *found.get("binaryData", {})]
        if "*" not in key and key not in keys:
            return Problem(
                "ConfigMapKeyNotFound",
                f'ConfigMap "{name}" has no key "{key}", which {source.uri} names; its keys are: '
                f"{', '.join(sorted(keys)) or 'none'}",
            )
    return None


async def _outcome(job: Object, pods: list[Object], cluster: Cluster, now: float) -> Outcome | None:
    """What came of an ended Job; the log is read of the pod that trained."""
    ended, found = ending(job), reported(pods)
    if ended is None:
        return None
    log = (
        await job_reads.log(found[0], CONTAINER, ended, cluster, now=now)
        if ended.complete and found
        else None
    )
    return outcome(job, pods, log, now=now)


async def _progress(pods: list[Object], http: aiohttp.ClientSession) -> Progress | None:
    """What a running trainer says of itself; one that does not answer at once is asked again later."""
    pod = next((pod for pod in pods if pod_status.is_running(pod)), None)
    address = pod["status"].get("podIP") if pod else None
    if not address:
        return None
    host = f"[{address}]" if ":" in address else address
    try:
        async with http.get(
            f"http://{host}:{PROGRESS_PORT}/progress", timeout=aiohttp.ClientTimeout(total=1)
        ) as response:
            if response.status != 200:
                return None
            answer = b""
            async for chunk in response.content.iter_any():
                answer += chunk
                if len(answer) > _LONGEST_PROGRESS:
                    return None
            return Progress.model_validate_json(answer)
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return None
