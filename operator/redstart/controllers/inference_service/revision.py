"""Revisions: what serves, named by what it is made of.

A revision's name has two parts: eight characters for what the user decides (version, artifact, pod template) and
four for the runtime image. An upgrade of the operator changes only the second, so it is told apart from a change
by the user: it starts no rollout, and lifts no quarantine.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from redstart.api.v1alpha1 import InferenceServiceSpec
from redstart.api.v1alpha1.common import Artifact
from redstart.api.v1alpha1.digest import digest
from redstart.api.v1alpha1.inference_service import Quarantined

CONTENT = 8
RUNTIME = 4


@dataclass(frozen=True)
class Version:
    """What a rollout needs to know of a ModelVersion."""

    name: str
    number: int
    artifact: Artifact
    state: Literal["Ready", "Waiting", "Rejected"]
    message: str


@dataclass(frozen=True)
class Revision:
    """A version with the pod template that serves it."""

    name: str
    version: Version

    @property
    def content(self) -> str:
        """What the user decided, without the runtime image."""
        return content(self.name)


def content(revision: str) -> str:
    """The part of a revision's name that the user decides."""
    return revision[:CONTENT]


def revision_of(version: Version, spec: InferenceServiceSpec, runtime_image: str) -> Revision:
    """The revision that serves `version` as `spec` says."""
    resources = spec.predictor.resources
    decided = digest(
        {
            "version": version.name,
            "artifact": version.artifact.digest,
            "template": spec.predictor.template.to_dict(),
            "resources": resources.to_dict() if resources else None,
        }
    )
    runtime = digest(spec.predictor.template.image or runtime_image)
    return Revision(_hex(decided, CONTENT) + _hex(runtime, RUNTIME), version)


def _hex(value: str, length: int) -> str:
    return value.removeprefix("sha256:")[:length]


@dataclass(frozen=True)
class Serving:
    """The version of stable, which may have been deleted."""

    name: str
    number: int


Barred = Mapping[str, Quarantined]
"""What was rolled back here, by the part of the revision's name that the user decides."""


@dataclass(frozen=True)
class Target:
    """The revision that should serve, or why there is none.

    `blocked` is what the user must mend; `waiting` is what will pass by itself."""

    revision: Revision | None
    reason: str = ""
    message: str = ""
    blocked: bool = False


def target(
    spec: InferenceServiceSpec,
    versions: Iterable[Version],
    *,
    existing: Collection[str],
    serving: Serving | None,
    finishing: str | None,
    quarantined: Iterable[Quarantined],
    runtime_image: str,
) -> Target:
    """Which revision should serve.

    `existing`: revision names of stable and canary, where there are any; `serving`: the version that serves;
    `finishing`: the revision of a canary that newer versions wait for; `quarantined`: what was rolled back here."""
    by_name = {version.name: version for version in versions}
    barred = {content(entry.revision): entry for entry in reversed(list(quarantined))}
    if spec.model.version is not None:
        return _pinned(spec, spec.model.version, by_name, barred, existing, runtime_image)
    return _followed(spec, by_name, barred, existing, serving, finishing, runtime_image)


def _pinned(
    spec: InferenceServiceSpec,
    name: str,
    versions: dict[str, Version],
    barred: Barred,
    existing: Collection[str],
    runtime_image: str,
) -> Target:
    version = versions.get(name)
    if version is None:
        known = ", ".join(sorted(versions)) or "none yet"
        return Target(
            None,
            "VersionNotFound",
            f"spec.model.version: there is no ModelVersion {name} of model {spec.model.name} in this namespace "
            f"(versions: {known})",
        )
    if version.state != "Ready":
        rejected = version.state == "Rejected"
        return Target(
            None,
            "VersionRejected" if rejected else "WaitingForVersion",
            f"ModelVersion {name}: {version.message}",
            blocked=rejected,
        )
    revision = _kept(revision_of(version, spec, runtime_image), existing)
    why = barred.get(revision.content)
    return Target(revision) if why is None else _rolled_back(revision, why)


def _rolled_back(revision: Revision, why: Quarantined) -> Target:
    because = f"{why.reason}: {why.message}" if why.message else why.reason
    return Target(
        None,
        "CanaryRolledBack",
        f"revision {revision.name} of {revision.version.name} was rolled back here and is not tried again; "
        f"serve another version or change the pod template. It was rolled back for {because}",
        blocked=True,
    )


def _followed(
    spec: InferenceServiceSpec,
    versions: dict[str, Version],
    barred: Barred,
    existing: Collection[str],
    serving: Serving | None,
    finishing: str | None,
    runtime_image: str,
) -> Target:
    newest_first = sorted(versions.values(), key=lambda version: -version.number)
    ready = [
        _kept(revision_of(version, spec, runtime_image), existing)
        for version in newest_first
        if version.state == "Ready" and (serving is None or version.number >= serving.number)
    ]
    for revision in ready:
        if revision.name == finishing:
            return Target(revision)
    for revision in ready:
        if revision.content not in barred:
            return Target(revision)
    if ready:
        return _rolled_back(ready[0], barred[ready[0].content])
    if not versions and serving is None:
        return Target(
            None,
            "WaitingForVersion",
            f"model {spec.model.name} has no ModelVersion in this namespace yet; a TrainingJob makes one",
        )
    newest = next(iter(newest_first), None)
    if newest is not None and serving is None:
        return Target(
            None, "WaitingForVersion", f"no version is fit to serve; {newest.name}: {newest.message}"
        )
    assert serving is not None
    if newest is not None and newest.number >= serving.number:
        return Target(None, "WaitingForVersion", f"{newest.name} is not fit to serve: {newest.message}")
    return Target(
        None,
        "VersionDeleted",
        f"{serving.name} serves on, and its ModelVersion was deleted; "
        + (
            f"{newest.name} is older and is not taken by itself: pin it by spec.model.version to go back, or train "
            "another"
            if newest
            else "there is no other: train one"
        ),
    )


def _kept(revision: Revision, existing: Collection[str]) -> Revision:
    """Stable or canary as it is where only the runtime image differs: a new operator ends no rollout."""
    same = (name for name in existing if content(name) == revision.content)
    return Revision(next(same, revision.name), revision.version)
