"""A whole operator process with nothing to do, beside one of every kind that is done."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from redstart.kube.client import connect
from redstart.kube.credentials import Credentials
from redstart.kube.kinds import INFERENCE_SERVICE, MODEL_VERSION, TRAINING_JOB, WATCHED_KINDS
from tests.cluster.control_plane import WRITES, ControlPlane
from tests.integration.api import Api, eventually
from tests.integration.controllers.serving_world import NAME, ServingWorld, service
from tests.integration.kube.conftest import Process, Start
from tests.unit.controllers.objects import details_line, report, sha

USER = "operator-of-one-of-every-kind"
IDLE = 60.0
"""Seconds."""
KINDS = ("TrainingJob", "ModelVersion", "InferenceService")
READS = frozenset({"get", "list"})
VERIFIED = {"result": "Verified", "reason": "ReferenceRowsMatch", "message": "all 256 rows match"}


@pytest.fixture
async def world(api: Api, account: Credentials, namespace: str) -> AsyncIterator[ServingWorld]:
    """A TrainingJob that succeeded, its ModelVersion verified, and an InferenceService that serves it."""
    async with connect(account, connections=20) as session:
        made = ServingWorld(api, session, account.server, namespace)
        made.claim("data")
        made.claim("models")
        made.training_job()
        await made.operate(TRAINING_JOB, MODEL_VERSION)
        work(made, "iris-run-1", "trainer", details_line(), report(details_line()))
        await made.operate(TRAINING_JOB, MODEL_VERSION)
        log = json.dumps({"redstart": "details", "importance": []})
        work(made, "iris-v1-verify", "verify", log, VERIFIED | {"detailsDigest": sha(log)})
        await made.operate(TRAINING_JOB, MODEL_VERSION)
        made.create(service())
        await made.rest()
        await made.operate(TRAINING_JOB, MODEL_VERSION)  # a version tells who serves it
        yield made
        made.nodes.close()


def work(world: ServingWorld, job: str, container: str, log: str, told: object) -> None:
    """A Job runs and succeeds."""
    pod = world.start_pod(job)
    world.logs[pod] = f"{log}\n"
    world.end_pod(pod, container, 0, told)
    world.end_job(job, complete=True)


def requests(control_plane: ControlPlane, verbs: frozenset[str]) -> list[str]:
    """What the process asked for, but for Leases."""
    return [
        f"{event['verb']} {event['requestURI']}"
        for event in control_plane.requests(verbs, user=USER)
        if "/leases" not in event["requestURI"]
    ]


def begun_to_watch(control_plane: ControlPlane) -> bool:
    """Each kind was listed for the cache, for the watch, and once more to see that nothing was missed between."""
    lists = Counter(asked.split("?")[0] for asked in requests(control_plane, frozenset({"list"})))
    return len(lists) == len(WATCHED_KINDS) and min(lists.values()) >= 3


def reconciles(process: Process) -> dict[str, float]:
    metrics = process.metrics()
    return {
        kind: sum(
            value
            for name, value in metrics.items()
            if name.startswith(f'redstart_reconcile_total{{kind="{kind}"')
        )
        for kind in KINDS
    }


async def test_an_idle_operator_asks_the_api_server_for_nothing(
    world: ServingWorld, start: Start, control_plane: ControlPlane
) -> None:
    assert world.get(TRAINING_JOB, "iris")["status"]["phase"] == "Succeeded"
    assert world.get(MODEL_VERSION, "iris-v1")["status"]["phase"] == "Ready"
    assert world.get(INFERENCE_SERVICE, NAME)["status"]["phase"] == "Serving"
    process = start(USER, module="redstart.kube.operator")
    eventually(lambda: process.leads() and all(reconciles(process).values()))
    eventually(lambda: begun_to_watch(control_plane))
    before = requests(control_plane, READS)
    begun, looked = time.monotonic(), reconciles(process)
    while time.monotonic() < begun + IDLE:
        world.nodes.report()  # kubelets tell of their pods again and again, so that there is something to look at
        await asyncio.sleep(2)
    assert reconciles(process)["InferenceService"] > looked["InferenceService"] + 5
    assert requests(control_plane, READS) == before
    # Since its very start: it found everything done.
    assert requests(control_plane, WRITES) == []
