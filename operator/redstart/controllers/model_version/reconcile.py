"""One reconcile of a ModelVersion: observe, then do what is planned, then tell."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from redstart.controllers.conditions import unknown
from redstart.controllers.model_version.desired import Plan, Verification, desired
from redstart.controllers.model_version.job import Runtime
from redstart.controllers.model_version.observe import observe
from redstart.controllers.model_version.status import hindrance, status
from redstart.controllers.storage import claim_of
from redstart.kube import errors
from redstart.kube.cluster import Cluster
from redstart.kube.controller import Context, Controller
from redstart.kube.kinds import (
    INFERENCE_SERVICE,
    JOB,
    MODEL_VERSION,
    PERSISTENT_VOLUME_CLAIM,
    Key,
    Kind,
    key_of,
)
from redstart.kube.ownership import is_ours, not_ours
from redstart.settings import Settings

Object = dict[str, Any]

REFUSED_AGAIN = 60.0  # seconds until what the API server refused is tried again


async def reconcile(key: Key, context: Context) -> float | None:
    """Make one ModelVersion so. Returns the seconds until the next look, or None."""
    observed = await observe(key, context)
    if observed is None:
        return None
    plan = desired(observed, _runtime(context.settings))
    try:
        await _write(observed.resource, plan, context.cluster)
    except errors.REFUSED as error:
        plan = Plan(_refused(error), requeue=REFUSED_AGAIN)
    written = await context.cluster.patch_status(observed.resource, status(observed, plan))
    if written is not None and (told := hindrance(observed, plan)) is not None:
        await context.cluster.event(observed.resource, "Warning", told.reason, told.message)
    if written is not None and plan.outcome is not None:
        if plan.outcome.result == "Verified":
            await context.cluster.event(observed.resource, "Normal", "Verified", plan.outcome.message)
        if plan.outcome.result == "Failed":
            await context.cluster.event(
                observed.resource, "Warning", "VerificationFailed", plan.outcome.message
            )
    return plan.requeue


async def _write(owner: Object, plan: Plan, cluster: Cluster) -> None:
    if plan.delete is not None:
        await cluster.delete(plan.delete)
    if plan.end is not None:
        await cluster.end(plan.end)
    if plan.create is not None:
        await _create(plan.create, owner, cluster)


async def _create(job: Object, owner: Object, cluster: Cluster) -> None:
    """Create the Job, unless the name is taken: by ours, the next look takes it as it is."""
    try:
        await cluster.create(job, owner=owner)
    except errors.AlreadyExists as error:
        metadata = job["metadata"]
        found = await cluster.read(JOB, metadata["namespace"], metadata["name"])
        if found is None or is_ours(found, owner):
            raise errors.Conflict(error.status, error.reason, error.message) from error
        raise not_ours(JOB, found) from error


def _refused(error: errors.ApiError) -> Verification:
    if isinstance(error, errors.NotOurs):
        return Verification(unknown("Verified", "NameConflict", error.message), "Stalled")
    if isinstance(error, errors.Forbidden):
        told = f"the API server does not allow it: {error.message}"
        return Verification(unknown("Verified", "Forbidden", told), "Waiting")
    told = f"the API server refuses the verifying Job: {error.message}"
    return Verification(unknown("Verified", "Refused", told), "Stalled")


def _runtime(settings: Settings) -> Runtime:
    return Runtime(
        settings.images.runtime, settings.image_pull_policy, settings.allowed_formats, settings.pods
    )


def _served(service: Object, cluster: Cluster) -> Iterable[Key]:
    """The versions that a service names in its status, and those that still mirror the service in theirs."""
    status, name = service.get("status", {}), service["metadata"]["name"]
    namespace = service["metadata"]["namespace"]
    named = {status.get(arm, {}).get("version") for arm in ("stable", "canary")}
    named |= {entry.get("version") for entry in status.get("quarantine", [])}
    for version in cluster.list(MODEL_VERSION, namespace):
        told = version.get("status", {})
        mirrored = [*told.get("serving", []), *told.get("quarantine", [])]
        if version["metadata"]["name"] in named or any(
            entry["inferenceService"] == name for entry in mirrored
        ):
            yield key_of(version)


def _waiting_for_claim(claim: Object, cluster: Cluster) -> Iterable[Key]:
    """The versions that are kept on the claim and not verified yet."""
    for version in cluster.list(MODEL_VERSION, claim["metadata"]["namespace"]):
        kept = claim_of(version["spec"]["artifact"]["uri"]) == claim["metadata"]["name"]
        if kept and "verifiedDigest" not in version.get("status", {}):
            yield key_of(version)


_RELATED: dict[Kind, Any] = {INFERENCE_SERVICE: _served, PERSISTENT_VOLUME_CLAIM: _waiting_for_claim}

CONTROLLER = Controller(MODEL_VERSION, reconcile, _RELATED)
