"""When a run is needed, which one is the newest, and what the next is called."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.controllers.objects import model_version, training_job, training_spec
from tests.unit.controllers.training_job.cluster_objects import run_job, run_of

from redstart.api.v1alpha1 import TrainingJobSpec
from redstart.api.v1alpha1.training_job import Run, RunRecord, TrainingJobStatus
from redstart.controllers.training_job.job import run_digest
from redstart.controllers.training_job.runs import needs_run, newest_run, next_number

DIGEST = f"sha256:{'a' * 64}"
OTHER = f"sha256:{'b' * 64}"


def run(result: Any = None, *, digest: str = DIGEST, generation: int = 1) -> Run:
    finished = "2027-01-15T08:00:00Z" if result else None
    return Run(
        number=1,
        job="iris-run-1",
        spec_digest=digest,
        generation=generation,
        result=result,
        finished_at=finished,
    )


def lost(times: int) -> list[RunRecord]:
    return [RunRecord(number=n, result="Lost", reason="ResultLost") for n in range(times, 0, -1)]


NEEDS: dict[str, tuple[Run | None, list[RunRecord], int, bool]] = {
    "the first run is needed": (None, [], 1, True),
    "a run that is under way needs no other": (run(), [], 1, False),
    "a run that is under way is never joined by another, even for a changed spec": (
        run(digest=OTHER),
        [],
        2,
        False,
    ),
    "a run that succeeded is not repeated": (run("Succeeded"), [], 1, False),
    "a change of an operational field repeats no run that succeeded": (run("Succeeded"), [], 2, False),
    "a rejected run is not repeated": (run("Rejected"), [], 2, False),
    "the same inputs are not asked for again": (run("SameInputs"), [], 1, False),
    "a changed training field needs a run": (run("Succeeded", digest=OTHER), [], 2, True),
    "a failed run waits": (run("Failed"), [], 1, False),
    "a failed run is tried again when anything in the spec changes": (run("Failed"), [], 2, True),
    "a superseded run is followed by another": (run("Superseded"), [], 1, True),
    "a lost run is followed by another": (run("Lost"), lost(1), 1, True),
    "three lost runs in a row are enough": (run("Lost"), lost(3), 1, False),
    "after three lost runs a changed spec tries again": (run("Lost"), lost(3), 2, True),
    "lost runs count only in a row": (
        run("Lost"),
        [*lost(2), RunRecord(number=0, result="Failed", reason="R"), *lost(3)],
        1,
        True,
    ),
}


@pytest.mark.parametrize(("newest", "history", "generation", "wanted"), NEEDS.values(), ids=NEEDS.keys())
def test_needs_run(newest: Run | None, history: list[RunRecord], generation: int, wanted: bool) -> None:
    assert needs_run(newest, history, digest=DIGEST, generation=generation, version_gone=False) is wanted


@pytest.mark.parametrize("result", ["Succeeded", "Rejected", "SameInputs"])
def test_a_run_whose_version_was_deleted_is_followed_by_another(result: str) -> None:
    assert needs_run(run(result), [], digest=DIGEST, generation=1, version_gone=True)


CHANGES: dict[str, tuple[Any, dict[str, str], bool]] = {
    "other parameters": (
        {"algorithm": {"estimator": "RandomForestClassifier", "parameters": {"n_estimators": 9}}},
        {},
        True,
    ),
    "another gate": ({"gates": [{"metric": "f1", "atLeast": 0.9}]}, {}, True),
    "a request by hand": ({}, {"redstart.dev/train": "now"}, True),
    "a default written out": ({"split": {"testFraction": 0.2, "seed": 0}}, {}, False),
    "suspend": ({"suspend": True}, {}, False),
    "more memory": ({"template": {"resources": {"limits": {"memory": "8Gi"}}}}, {}, False),
    "another deadline": ({"activeDeadline": "1h", "backoffLimit": 0}, {}, False),
    "credentials of the store": ({"output": {"uri": "pvc://models", "secretRef": {"name": "s"}}}, {}, False),
    "an annotation of somebody else": ({}, {"example.com/note": "1"}, False),
}


@pytest.mark.parametrize(("changes", "annotations", "differs"), CHANGES.values(), ids=CHANGES.keys())
def test_which_changes_ask_for_a_run(changes: Any, annotations: dict[str, str], differs: bool) -> None:
    before = run_digest(TrainingJobSpec.model_validate(training_spec()), {})
    after = run_digest(TrainingJobSpec.model_validate(training_spec(**changes)), annotations)
    assert (before != after) is differs


def test_a_job_that_status_does_not_know_of_is_the_newest_run() -> None:
    job = run_job(2, training_job(generation=4))
    found = newest_run(TrainingJobStatus(run=run("Failed")), [run_job(1), job])
    assert found is not None
    assert (found.number, found.job, found.generation) == (2, "iris-run-2", 4)
    assert found.spec_digest == job["metadata"]["annotations"]["redstart.dev/spec-digest"]
    assert found.finished_at is None


def test_status_knows_more_of_a_run_than_its_job() -> None:
    job = run_job(1)
    known = run_of(job, result="Succeeded")
    assert newest_run(TrainingJobStatus(run=known), [job]) == known


def test_without_status_and_jobs_there_is_no_run() -> None:
    assert newest_run(TrainingJobStatus(), []) is None


NUMBERS: dict[str, tuple[Run | None, list[RunRecord], list[Any], list[Any], int]] = {
    "the first": (None, [], [], [], 1),
    "after the newest run": (run(), [], [], [], 2),
    "after a Job that status does not know of": (run(), [], [run_job(4)], [], 5),
    "after what a former TrainingJob of the name made": (
        None,
        [],
        [],
        [model_version(2, lineage={"trainingJob": "iris", "run": 6})],
        7,
    ),
    "versions of others do not count": (
        None,
        [],
        [],
        [model_version(2, lineage={"trainingJob": "another", "run": 6}), model_version(3)],
        1,
    ),
    "after everything in history": (None, lost(9), [], [], 10),
}


@pytest.mark.parametrize(
    ("newest", "history", "jobs", "versions", "wanted"), NUMBERS.values(), ids=NUMBERS.keys()
)
def test_next_number(newest: Any, history: Any, jobs: Any, versions: Any, wanted: int) -> None:
    assert next_number("iris", newest, history, jobs, versions) == wanted
