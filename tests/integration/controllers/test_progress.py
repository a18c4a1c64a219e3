"""How far a run is, read from its pod."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from redstart.kube.kinds import TRAINING_JOB
from tests.integration.controllers.world import World

ADDRESS = "127.9.10.5"
"""An address of this machine that nothing else listens on."""


class Trainer:
    """What a trainer serves while it runs."""

    answer = '{"percent": 40, "message": "fitting"}'


@pytest.fixture
async def trainer() -> AsyncIterator[Trainer]:
    made = Trainer()

    async def progress(_: web.Request) -> web.Response:
        return web.Response(text=made.answer)

    application = web.Application()
    application.router.add_get("/progress", progress)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, ADDRESS, 9105).start()
    yield made
    await runner.cleanup()


async def test_progress_is_in_status_and_written_when_it_changes(world: World, trainer: Trainer) -> None:
    world.training_job()
    await world.operate(TRAINING_JOB)
    world.start_pod("iris-run-1", podIP=ADDRESS, podIPs=[{"ip": ADDRESS}])
    await world.operate(TRAINING_JOB)
    told = world.get(TRAINING_JOB, "iris")["status"]
    assert told["progress"] == {"percent": 40, "message": "fitting"}
    before = world.writes
    await world.operate(TRAINING_JOB)
    assert world.writes == before
    trainer.answer = '{"percent": 60, "message": "exporting"}'
    await world.operate(TRAINING_JOB)
    assert world.get(TRAINING_JOB, "iris")["status"]["progress"]["percent"] == 60


@pytest.mark.parametrize("answer", ["", "{}", '{"percent": 400, "message": "x"}', "x" * 200_000])
async def test_an_answer_that_is_no_progress_is_ignored(world: World, trainer: Trainer, answer: str) -> None:
    trainer.answer = answer
    world.training_job()
    await world.operate(TRAINING_JOB)
    world.start_pod("iris-run-1", podIP=ADDRESS, podIPs=[{"ip": ADDRESS}])
    await world.operate(TRAINING_JOB)
    told = world.get(TRAINING_JOB, "iris")["status"]
    assert told["phase"] == "Running"
    assert "progress" not in told


async def test_a_trainer_that_does_not_listen_runs_all_the_same(world: World) -> None:
    world.training_job()
    await world.operate(TRAINING_JOB)
    world.start_pod("iris-run-1", podIP="127.9.10.6", podIPs=[{"ip": "127.9.10.6"}])
    await world.operate(TRAINING_JOB)
    assert world.get(TRAINING_JOB, "iris")["status"]["phase"] == "Running"
