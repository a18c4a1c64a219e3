"""What status tells of, after a reconcile's transition."""

from __future__ import annotations

from dataclasses import dataclass

from redstart.api.v1alpha1.inference_service import AnalysisStatus
from redstart.controllers.inference_service.analysis import Analysis
from redstart.controllers.inference_service.observe import Observed, RevisionFacts
from redstart.controllers.inference_service.record import Record
from redstart.controllers.inference_service.revision import Target
from redstart.rollout.decision import Decision


@dataclass(frozen=True)
class Situation:
    """What was observed, what was decided, and what is written next."""

    observed: Observed
    record: Record | None
    target: Target
    decision: Decision | None
    analysis: Analysis | None
    evidence: list[AnalysisStatus]
    """The evidence lines to show: fresh ones, or those that status has where they are recent enough."""
    test_state: str | None
    replicas: dict[str, int]
    """Pods that each revision should have, by revision."""
    weights: tuple[int, ...]
    refused: tuple[str, str] | None
    """Reason and message where the API server refuses what the spec asks for."""
    now: float

    def revision(self, name: str) -> RevisionFacts | None:
        """Facts of one revision."""
        return self.observed.revisions.get(name)
