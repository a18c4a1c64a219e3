"""Which run a TrainingJob has, and whether it needs another one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from redstart.api.v1alpha1.training_job import Run, RunRecord, TrainingJobStatus
from redstart.controllers.training_job.job import DIGEST_ANNOTATION, GENERATION_ANNOTATION, number_of

Object = dict[str, Any]

MOST_LOST = 3
"""Runs in a row whose result was lost before that counts as a failure."""


def newest_run(status: TrainingJobStatus, jobs: list[Object]) -> Run | None:
    """The newest run that status or a Job tells of; status knows more of the one that both tell of."""
    newest = jobs[-1] if jobs else None
    if newest is None or (status.run is not None and status.run.number >= number_of(newest)):
        return status.run
    metadata = newest["metadata"]
    generation = metadata["annotations"].get(GENERATION_ANNOTATION)
    return Run(
        number=number_of(newest),
        job=metadata["name"],
        spec_digest=metadata["annotations"][DIGEST_ANNOTATION],
        generation=int(generation) if generation else None,
        started_at=metadata["creationTimestamp"],
    )


def needs_run(
    run: Run | None, history: Sequence[RunRecord], *, digest: str, generation: int, version_gone: bool
) -> bool:
    """Whether another run has to start, once nothing hinders it; never while one is under way.

    A failed run is tried again when the spec changes in any way: what made it fail may be an operational field,
    such as its memory. Where the version that it ended with was deleted, another one finds it in the store and
    registers it again; should that one fail, it is a failed run like any other.
    """
    if run is None:
        return True
    if run.finished_at is None:
        return False
    if run.spec_digest != digest or run.result == "Superseded":
        return True
    if run.result == "Failed":
        return run.generation != generation
    if run.result == "Lost":
        return lost_in_a_row(history) < MOST_LOST or run.generation != generation
    return version_gone


def lost_in_a_row(history: Sequence[RunRecord]) -> int:
    """How many of the newest runs were lost, without another result in between."""
    count = 0
    for record in history:
        if record.result != "Lost":
            break
        count += 1
    return count


def next_number(
    name: str,
    run: Run | None,
    history: Sequence[RunRecord],
    jobs: Iterable[Object],
    versions: Iterable[Object],
) -> int:
    """The number after every one that this TrainingJob, or a former one of its name, is known to have used."""
    lineages = (version["spec"].get("lineage", {}) for version in versions)
    known = [
        run.number if run else 0,
        *(record.number for record in history),
        *(number_of(job) for job in jobs),
        *(lineage.get("run") or 0 for lineage in lineages if lineage.get("trainingJob") == name),
    ]
    return max(known) + 1
