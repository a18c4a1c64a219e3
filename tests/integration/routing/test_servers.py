"""Real servers behind the real router: what happens to requests when one is killed, or too slow."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from sklearn.neighbors import KNeighborsRegressor
from tests.integration.routing.conftest import World
from tests.integration.routing.load import send
from tests.integration.routing.router import until
from tests.integration.server.conftest import Pod, ask, eventually, free_port
from tests.unit.server import sample_artifacts
from tests.unit.server.sample_artifacts import ROW

MANY = json.dumps({"rows": [{"torque": 40.0, "Air temperature [K]": 300.0}] * 1000}).encode()
ONE = json.dumps({"rows": [ROW]}).encode()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Ends the processes of a test."""
    with ExitStack() as made:
        yield made


def serving(folder: Path, stack: ExitStack, made=None) -> Pod:
    """A pod's files; nothing runs yet."""
    sample_artifacts.write(folder / "model", *(made or sample_artifacts.classifier()))
    return Pod(folder, free_port(), free_port(), stack)


async def test_a_request_that_the_router_has_given_up_on_is_not_answered(
    world: World, tmp_path: Path, stack: ExitStack
) -> None:
    # It takes several times the time limit for these rows, on any machine.
    estimator = KNeighborsRegressor(n_neighbors=5, algorithm="brute")
    pod = serving(tmp_path / "pod", stack, sample_artifacts.regression(estimator, times=4000))
    pod.sidecar()
    pod.server()
    await asyncio.to_thread(pod.wait_ready)
    world.names.zone[world.old.host] = ["127.0.0.1"]
    plan = world.plan(1, timeout_seconds=0.1, port=pod.port, health_port=pod.snapshot_port)
    async with world.router(plan) as router:
        seen = await send(router.url, 8, body=MANY)
        assert seen.status(503, 504) == 8
        # The server said 503 to those that it could not answer in time, and begins none that the router left.
        patient = {"x-envoy-expected-rq-timeout-ms": "600000"}
        assert (await asyncio.to_thread(ask, f"{pod.url}/predict", MANY, patient)).status == 200

        def counted() -> bool:
            return pod.snapshot()["all"]["requests"] >= 9

        await until(counted, "all are counted")
    status = pod.snapshot()["all"]["status"]
    assert set(status) <= {"200", "499", "503"}
    # None of the eight was answered. Which of the two it was is for the router to say of those that the server refused
    # just when their time was over.
    assert status["200"] == 1
    assert status["499"] + status.get("503", 0) == 8


async def test_a_server_that_is_killed_and_comes_back_fails_no_request(
    world: World, tmp_path: Path, stack: ExitStack
) -> None:
    port = free_port()
    pods = [replace(serving(tmp_path / name, stack), port=port) for name in ("a", "b")]
    addresses = ["127.77.0.1", "127.77.0.2"]
    pods[0].server(REDSTART_HOST=addresses[0])
    world.names.zone[world.old.host] = addresses
    async with world.router(world.plan(1, port=port, health_port=port)) as router:
        for _ in range(3):
            process = pods[1].server(REDSTART_HOST=addresses[1])

            async def both() -> bool:
                return (await router.read()).arms["old"].healthy == 2

            await until(both, "both servers take requests", within=60)
            loaded = asyncio.create_task(send(router.url, 300, body=ONE, per_second=150))
            await asyncio.to_thread(kill_under_load, process.pid)
            seen = await loaded
            assert seen.status(200) == 300, (seen.answers, seen.broken)
            process.wait()


def kill_under_load(pid: int) -> None:
    """SIGKILL, as the kernel does at the memory limit, once the process has answered for a while."""

    def spent() -> int:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11])

    before = spent()
    eventually(lambda: spent() > before + 2, "it has answered for some hundredths of a second")
    os.kill(pid, signal.SIGKILL)
