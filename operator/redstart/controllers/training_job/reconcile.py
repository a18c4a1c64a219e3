"""One reconcile of a TrainingJob: observe, then do what is planned, then tell."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from redstart.controllers.training_job.desired import Plan, State, desired
from redstart.controllers.training_job.job import DIGEST_ANNOTATION, Runtime
from redstart.controllers.training_job.observe import Observed, observe
from redstart.controllers.training_job.status import hindrances, status
from redstart.controllers.training_job.version import Registration
from redstart.kube import errors
from redstart.kube.cluster import Cluster
from redstart.kube.controller import Context, Controller
from redstart.kube.kinds import (
    MODEL_VERSION,
    PERSISTENT_VOLUME_CLAIM,
    TRAINING_JOB,
    Key,
    Kind,
    key_of,
    kind_of,
)
from redstart.kube.ownership import is_ours, not_ours
from redstart.settings import Settings

Object = dict[str, Any]

REFUSED_AGAIN = 60.0  # seconds until what the API server refused is tried again


async def reconcile(key: Key, context: Context) -> float | None:
    """Make one TrainingJob so. Returns the seconds until the next look, or None."""
    observed = await observe(key, context)
    if observed is None:
        return None
    plan = desired(observed, _runtime(context.settings))
    try:
        await _write(observed, plan, context.cluster)
    except errors.REFUSED as error:
        plan = Plan(_refused(error), observed.run, requeue=REFUSED_AGAIN)
    written = await context.cluster.patch_status(observed.resource, status(observed, plan))
    if written is not None:
        for event in (*plan.events, *hindrances(observed, plan)):
            await context.cluster.event(observed.resource, event.type, event.reason, event.message)
    return plan.requeue


async def _write(observed: Observed, plan: Plan, cluster: Cluster) -> None:
    for job in plan.stop:
        await cluster.delete(job)
    if plan.end is not None:
        await cluster.end(plan.end)
    if plan.start is not None:
        await _start(observed, plan.start, cluster)
    if plan.suspend is not None:
        await cluster.apply(plan.suspend, owner=observed.resource)
    if plan.register is not None:
        await _register(observed, plan.register, cluster)
    for child in plan.prune:
        await cluster.delete(child)


async def _start(observed: Observed, children: tuple[Object, Object], cluster: Cluster) -> None:
    config_map, job = children
    await _create(config_map, observed.resource, cluster)
    if await _create(job, observed.resource, cluster):
        name = job["metadata"]["name"]
        await cluster.event(observed.resource, "Normal", "RunStarted", f"Job {name} was created")


async def _create(child: Object, owner: Object, cluster: Cluster) -> bool:
    """Create a child, or find it created before the operator was stopped. Returns whether it is new.

    Raises:
        errors.NotOurs: the name is taken.
        errors.Conflict: what was found was made for another spec; it is gone, and the next look starts anew.
    """
    try:
        await cluster.create(child, owner=owner)
    except errors.AlreadyExists:
        metadata = child["metadata"]
        kind = kind_of(child)
        found = await cluster.read(kind, metadata["namespace"], metadata["name"])
        if found is not None and not is_ours(found, owner):
            raise not_ours(kind, found) from None
        digest = metadata["annotations"][DIGEST_ANNOTATION]
        if found is not None and found["metadata"].get("annotations", {}).get(DIGEST_ANNOTATION) == digest:
            return False
        if found is not None:
            await cluster.delete(found)
        raise errors.Conflict(
            409, "Outdated", f"{kind} {metadata['name']} was made for another spec"
        ) from None
    return True


async def _register(observed: Observed, register: Registration, cluster: Cluster) -> None:
    if register.update is not None:
        await cluster.apply(register.update)
    if register.create is None:
        return
    try:
        await cluster.create(register.create)
    except errors.AlreadyExists as error:
        metadata = register.create["metadata"]
        await cluster.read(MODEL_VERSION, metadata["namespace"], metadata["name"])
        raise errors.Conflict(error.status, error.reason, error.message) from error
    told = f"ModelVersion {register.name} was created"
    await cluster.event(observed.resource, "Normal", "VersionRegistered", told)


def _refused(error: errors.ApiError) -> State:
    if isinstance(error, errors.NotOurs):
        return State("Pending", "Stalled", "NameConflict", error.message)
    if isinstance(error, errors.Forbidden):
        return State(
            "Pending", "Reconciling", "Forbidden", f"the API server does not allow it: {error.message}"
        )
    return State(
        "Pending", "Stalled", "Refused", f"the API server refuses what the spec asks for: {error.message}"
    )


def _runtime(settings: Settings) -> Runtime:
    return Runtime(
        settings.images.runtime, settings.image_pull_policy, settings.allowed_formats, settings.pods
    )


def _same_model(changed: Object, cluster: Cluster) -> Iterable[Key]:
    """The TrainingJobs of the changed object's model: whose name was free, or taken, may be so no more."""
    for other in cluster.list(TRAINING_JOB, changed["metadata"]["namespace"]):
        if other["spec"].get("model") == changed["spec"].get("model"):
            yield key_of(other)


def _waiting_for_claim(claim: Object, cluster: Cluster) -> Iterable[Key]:
    """The TrainingJobs that name the claim."""
    start = f"pvc://{claim['metadata']['name']}"
    for other in cluster.list(TRAINING_JOB, claim["metadata"]["namespace"]):
        spec = other["spec"]
        uris = [spec["output"]["uri"], *(source["uri"] for source in spec["data"]["sources"])]
        if any(uri == start or uri.startswith(f"{start}/") for uri in uris):
            yield key_of(other)


_RELATED: dict[Kind, Any] = {
    TRAINING_JOB: _same_model,
    MODEL_VERSION: _same_model,
    PERSISTENT_VOLUME_CLAIM: _waiting_for_claim,
}

CONTROLLER = Controller(TRAINING_JOB, reconcile, _RELATED)
