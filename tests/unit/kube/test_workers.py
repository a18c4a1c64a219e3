"""What becomes of a key after its reconcile, and what the probes and logs say of it."""

import asyncio
import json
import logging
from collections.abc import Iterator

import pytest

from redstart.kube import errors, logs
from redstart.kube.controller import Context, drain, work
from redstart.kube.health import Health
from redstart.kube.kinds import MODEL_VERSION, Key
from redstart.kube.queue import WorkQueue
from redstart.settings import Log

KEY = Key(MODEL_VERSION, "default", "m-v1")


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> WorkQueue[Key]:
    return WorkQueue(clock, jitter=lambda: 1.0)


@pytest.fixture
def context() -> Context:
    return Context(cluster=None, settings=None, now=lambda: 0.0, http=None)  # type: ignore[arg-type]


async def reconciled(queue: WorkQueue[Key], context: Context, outcome: float | Exception | None) -> None:
    async def reconcile(key: Key, _: Context) -> float | None:
        queue.close()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    queue.add(KEY)
    await work(queue, {MODEL_VERSION: reconcile}, lambda: context)


@pytest.mark.parametrize(
    ("outcome", "due"),
    [
        pytest.param(None, None, id="nothing to wait for"),
        pytest.param(7.0, 7.0, id="looked at again when asked for"),
        pytest.param(errors.Conflict(409, "Conflict", "stale"), 0.1, id="a conflict is tried again"),
        pytest.param(errors.Transient(0, "NoAnswer", "down"), 0.1, id="no answer is tried again"),
        pytest.param(errors.Transient(429, "Busy", "later", 9), 9, id="as late as the server asks for"),
        pytest.param(errors.Invalid(422, "Invalid", "no"), 0.1, id="a refusal is tried again"),
        pytest.param(ZeroDivisionError(), 0.1, id="a bug is tried again"),
    ],
)
async def test_after_a_reconcile(
    queue: WorkQueue[Key], context: Context, outcome: float | Exception | None, due: float | None
) -> None:
    await reconciled(queue, context, outcome)
    assert queue.next_due() == due
    assert queue.longest_run() == 0


async def test_a_lost_lease_ends_the_worker(queue: WorkQueue[Key], context: Context) -> None:
    with pytest.raises(errors.LeadershipLost):
        await reconciled(queue, context, errors.LeadershipLost("lost"))


async def test_draining_waits_for_a_reconcile_and_cuts_off_one_that_never_ends(
    queue: WorkQueue[Key], context: Context
) -> None:
    started, finish, ended = asyncio.Event(), asyncio.Event(), []

    async def reconcile(key: Key, _: Context) -> None:
        started.set()
        await finish.wait()
        ended.append(key)

    queue.add(KEY)
    worker = asyncio.create_task(work(queue, {MODEL_VERSION: reconcile}, lambda: context))
    await started.wait()
    queue.close()
    asyncio.get_running_loop().call_soon(finish.set)
    await drain([worker], 60)
    assert ended == [KEY]

    finish.clear()
    started.clear()
    again: WorkQueue[Key] = WorkQueue()
    again.add(KEY)
    worker = asyncio.create_task(work(again, {MODEL_VERSION: reconcile}, lambda: context))
    await started.wait()
    again.close()
    await drain([worker], 0.01)
    assert worker.cancelled()
    assert ended == [KEY]


def test_a_process_is_dead_when_a_reconcile_never_ends(queue: WorkQueue[Key], clock: Clock) -> None:
    health = Health(queue)
    queue.add(KEY)
    queue.take()
    clock.seconds = 299
    assert health.dead() is None
    clock.seconds = 301
    assert health.dead() == "a reconcile has run for 301 s"


def test_a_leader_is_dead_when_nobody_takes_its_keys_and_a_standby_is_not(
    queue: WorkQueue[Key], clock: Clock
) -> None:
    health = Health(queue)
    queue.add(KEY)
    clock.seconds = 301
    assert health.dead() is None
    health.leading = True
    assert health.dead() == "a ready key has waited 301 s for a worker"


def test_a_process_is_ready_when_its_cache_is_in_sync(queue: WorkQueue[Key]) -> None:
    health = Health(queue)
    assert health.unready() == "waiting for its first LIST of the cluster"
    health.synced = True
    assert health.unready() is None


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


def test_each_line_carries_the_object_as_json(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(Log(format="json", level="info"))
    with logs.about(KEY):
        try:
            raise ValueError("no")
        except ValueError:
            logging.getLogger("redstart.test").exception("reconcile of %s failed", "it")
    logging.getLogger("redstart.test").info("and again")
    logging.getLogger("redstart.test").debug("hidden")
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (first["kind"], first["namespace"], first["name"]) == ("ModelVersion", "default", "m-v1")
    assert (first["level"], first["logger"]) == ("error", "redstart.test")
    assert first["message"] == "reconcile of it failed"
    assert first["error"].endswith("ValueError: no")
    assert second["message"] == "and again"
    assert "name" not in second


def test_each_line_carries_the_object_as_text(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(Log(format="text", level="warning"))
    with logs.about(KEY):
        logging.getLogger("redstart.test").warning("again in %.1f s", 0.2)
        logging.getLogger("redstart.test").info("hidden")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].endswith("WARNING [ModelVersion default/m-v1] again in 0.2 s")
