"""What a run of training costs beyond its pods, from what a watch tells."""

from __future__ import annotations

import pytest
from tests.benchmarks.training_overhead import Times

TRAIN, VERIFY = {"redstart.dev/training-job": "m"}, {"redstart.dev/model-version": "m-v1"}


def job(labels: dict[str, str], *, complete: bool) -> dict:
    conditions = [{"type": "Complete", "status": "True"}] if complete else []
    return {"kind": "Job", "metadata": {"labels": labels}, "status": {"conditions": conditions}}


def pod(uid: str, begun: str, ended: str, init: tuple[str, str] | None = None) -> dict:
    def container(begun: str, ended: str) -> dict:
        return {"state": {"terminated": {"startedAt": begun, "finishedAt": ended}}}

    return {
        "kind": "Pod",
        "metadata": {"uid": uid, "labels": {}},
        "status": {
            "phase": "Succeeded",
            "initContainerStatuses": [container(*init)] if init else [],
            "containerStatuses": [container(begun, ended)],
        },
    }


def version(*, ready: bool) -> dict:
    conditions = [{"type": "Ready", "status": str(ready), "observedGeneration": 1}]
    return {"kind": "ModelVersion", "metadata": {"generation": 1}, "status": {"conditions": conditions}}


def test_the_operators_time_is_between_what_it_waits_for_and_what_it_writes() -> None:
    times = Times()
    for at, obj in [
        (10.5, job(TRAIN, complete=False)),
        (20.0, job(TRAIN, complete=True)),
        (20.25, version(ready=False)),
        (20.5, job(VERIFY, complete=False)),
        (30.0, job(VERIFY, complete=True)),
        (30.125, version(ready=True)),
        (31.0, version(ready=True)),
    ]:
        times.see(obj, at)
    run = times.run(10.0)
    assert run.operator == (0.5, 0.25, 0.25, 0.125)
    assert run.total == 20.125
    assert run.kubernetes == pytest.approx(run.total - sum(run.operator))


def test_a_pod_ran_from_its_first_containers_start_to_its_last_ones_end() -> None:
    times = Times()
    for obj in (
        job(TRAIN, complete=True),
        version(ready=True),
        job(VERIFY, complete=True),
        pod(
            "a",
            "2026-01-01T00:00:05Z",
            "2026-01-01T00:00:09Z",
            ("2026-01-01T00:00:01Z", "2026-01-01T00:00:04Z"),
        ),
        pod("b", "2026-01-01T00:00:20Z", "2026-01-01T00:00:22Z"),
        pod("b", "2026-01-01T00:00:20Z", "2026-01-01T00:00:22Z"),
    ):
        times.see(obj, 5.0)
    assert times.run(5.0).pods == 10.0
