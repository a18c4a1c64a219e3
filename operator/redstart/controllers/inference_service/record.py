"""The traffic record: which revision has which role and weight, and what was decided.

It is an annotation of the router's ConfigMap, so that the write that changes a weight carries the decision behind
it in one piece. It is the only memory of a rollout: status is derived from it, and a new operator process goes on
from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from redstart.api.v1alpha1.common import Digest, Model, Name, Timestamp
from redstart.api.v1alpha1.inference_service import (
    AnalysisStatus,
    InferenceServiceStatus,
    LastError,
    RevisionHash,
    Rollout,
    Traffic,
)
from redstart.controllers.inference_service.revision import Version

ANNOTATION = "redstart.dev/traffic"


class Role(Model):
    """A revision that the router knows."""

    revision: RevisionHash
    version: Name
    number: int
    digest: Digest


class Decision(Model):
    """How a rollout ended. Once written, its canary never gets weight again."""

    result: Literal["Promoted", "RolledBack", "Superseded"]
    reason: str
    message: str
    evidence: tuple[AnalysisStatus, ...] = ()
    last_error: LastError | None = None
    at: Timestamp


class RolloutState(Model):
    """A rollout from its start until its loser is gone.

    Until there is a decision `other` is the canary; after it, the revision that is on its way out: the canary of
    a rollout that was rolled back or superseded, the former stable of one that was promoted."""

    id: str
    other: Role
    policy: Rollout
    started_at: Timestamp
    weight: int = 0
    step: int = -1
    """Index into the policy's steps; -1 before the first weight."""
    since: Timestamp
    first_weight_at: Timestamp | None = None
    changes: str = ""
    """What clients may notice of the canary, though it takes all that they send."""
    promoting: Decision | None = None
    """Set when the evidence suffices: the canary is scaled to full before it gets all traffic."""
    decision: Decision | None = None


class Record(Model):
    """What the router is told. `number` rises with every change."""

    number: int
    stable: Role
    traffic: Traffic = Traffic()
    """How requests are routed."""
    established: bool = False
    """Whether stable has ever been ready. Until then a newer target simply takes its place."""
    rollout: RolloutState | None = None

    @property
    def canary(self) -> Role | None:
        """The revision that is coming in, while that is undecided."""
        rollout = self.rollout
        return rollout.other if rollout and rollout.decision is None else None

    @property
    def weight(self) -> int:
        """Percent of requests for the revision beside stable."""
        return self.rollout.weight if self.rollout and self.rollout.decision is None else 0

    @property
    def revisions(self) -> list[Role]:
        """Every revision that the router knows, stable first."""
        return [self.stable, *([self.rollout.other] if self.rollout else [])]


def parsed(text: str) -> Record:
    """The record as an operator wrote it, perhaps a later one: what only that knows is left out."""
    return Record.model_validate_json(text, extra="ignore")


def restored(
    status: InferenceServiceStatus, versions: Mapping[str, Version], plans: Iterable[int]
) -> Record | None:
    """The record of a service whose ConfigMap was deleted or overwritten; None where status tells of no stable.

    A rollout is not restored: it may have been decided, so it begins anew under another id. `plans` are the
    numbers that the router's pods were told."""
    stable = status.stable
    if stable is None or (version := versions.get(stable.version)) is None:
        return None
    return Record(
        # Pods are told after the write, so they may have seen one plan more.
        number=max(plans, default=0) + 2,
        stable=Role(
            revision=stable.revision,
            version=version.name,
            number=version.number,
            digest=version.artifact.digest,
        ),
        established=status.phase not in ("Pending", "Stopped"),
    )
