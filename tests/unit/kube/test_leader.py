"""Who leads, on a clock and with a Lease of the test's own."""

import asyncio
import copy

import pytest

from redstart.kube import errors
from redstart.kube.kinds import Kind, Object
from redstart.kube.leader import Leadership, Timing

TIMING = Timing(lease_duration=15, renew_deadline=10, retry_period=2)


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Server:
    """One Lease with optimistic locking, as the API server keeps it; `down` and `freeze` are its faults."""

    def __init__(self) -> None:
        self.lease: Object | None = None
        self.version = 0
        self.down = False

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        await self._answer()
        return copy.deepcopy(self.lease)

    async def create(self, obj: Object) -> Object:
        await self._answer()
        if self.lease is not None:
            raise errors.AlreadyExists(409, "AlreadyExists", "it exists")
        return self._store(obj)

    async def replace(self, obj: Object) -> Object:
        await self._answer()
        assert self.lease is not None
        if obj["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise errors.Conflict(409, "Conflict", "it changed")
        return self._store(obj)

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self.down:
            raise errors.Transient(0, "NoAnswer", "down")

    def _store(self, obj: Object) -> Object:
        self.version += 1
        self.lease = copy.deepcopy(obj)
        self.lease["metadata"]["resourceVersion"] = str(self.version)
        return copy.deepcopy(self.lease)

    @property
    def holder(self) -> str:
        return str(self.lease["spec"]["holderIdentity"]) if self.lease else ""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server() -> Server:
    return Server()


def candidate(server: Server, clock: Clock, identity: str, pod: str | None = None) -> Leadership:
    return Leadership(
        server,  # type: ignore[arg-type]
        namespace="default",
        name="operator",
        identity=identity,
        timing=TIMING,
        pod=pod,
        clock=clock,
    )


@pytest.fixture
def first(server: Server, clock: Clock) -> Leadership:
    return candidate(server, clock, "first")


@pytest.fixture
def second(server: Server, clock: Clock) -> Leadership:
    return candidate(server, clock, "second")


def leads(leadership: Leadership) -> bool:
    try:
        leadership.check()
    except errors.LeadershipLost:
        return False
    return True


async def test_the_first_to_come_leads(first: Leadership, second: Leadership, server: Server) -> None:
    assert not leads(first)
    assert await first._attempt()
    assert not await second._attempt()
    assert (leads(first), leads(second)) == (True, False)
    assert server.lease is not None
    assert server.lease["spec"]["leaseDurationSeconds"] == 15


async def test_of_two_at_once_one_leads(first: Leadership, second: Leadership) -> None:
    taken = await asyncio.gather(first._attempt(), second._attempt())
    assert sorted(taken) == [False, True]
    assert [leads(first), leads(second)] == list(taken)


async def test_a_lease_that_is_renewed_is_never_free(
    first: Leadership, second: Leadership, clock: Clock
) -> None:
    await first._attempt()
    for _ in range(20):
        clock.seconds += 2
        assert await first._attempt()
        assert not await second._attempt()


async def test_a_lease_that_is_not_renewed_is_free_after_its_duration_as_the_other_saw_it(
    first: Leadership, second: Leadership, clock: Clock, server: Server
) -> None:
    await first._attempt()
    clock.seconds += 9
    assert not await second._attempt()  # sees it for the first time: 15 s from now
    clock.seconds += 14
    assert not await second._attempt()
    clock.seconds += 1
    assert await second._attempt()
    assert server.holder == "second"
    assert server.lease is not None
    assert server.lease["spec"]["leaseTransitions"] == 1


async def test_a_frozen_leader_has_stopped_before_another_one_starts(
    first: Leadership, second: Leadership, clock: Clock
) -> None:
    await first._attempt()
    await second._attempt()
    for _ in range(15):
        assert not (leads(first) and await second._attempt())
        clock.seconds += 1
    assert not leads(first)
    assert await second._attempt()


async def test_the_last_write_of_a_leader_has_ended_before_another_one_starts() -> None:
    assert TIMING.renew_deadline + TIMING.write_timeout <= TIMING.lease_duration


async def test_a_leader_counts_from_when_it_sent_the_renewal(
    first: Leadership, clock: Clock, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow() -> None:
        clock.seconds += 4

    monkeypatch.setattr(server, "_answer", slow)
    await first._attempt()  # create after get: 8 s
    clock.seconds += 1.9
    assert leads(first)
    clock.seconds += 0.2
    assert not leads(first)


async def test_a_leader_without_an_answer_leads_until_its_deadline(
    first: Leadership, clock: Clock, server: Server
) -> None:
    await first._attempt()
    server.down = True
    clock.seconds += 9
    assert not await first._attempt()
    assert leads(first)
    clock.seconds += 1
    assert not leads(first)


async def test_keep_ends_when_another_one_took_the_lease(
    server: Server, clock: Clock, first: Leadership, monkeypatch: pytest.MonkeyPatch
) -> None:
    await first._attempt()
    assert server.lease is not None
    server.lease["spec"]["holderIdentity"] = "second"

    async def at_once(seconds: float) -> None:
        assert seconds in (0, TIMING.retry_period)

    monkeypatch.setattr(asyncio, "sleep", at_once)
    with pytest.raises(errors.LeadershipLost, match="first does not hold the Lease operator"):
        await first.keep()
    assert server.holder == "second"


async def test_keep_ends_after_a_freeze_without_asking_for_the_lease(
    server: Server, clock: Clock, first: Leadership, monkeypatch: pytest.MonkeyPatch
) -> None:
    await first._attempt()
    before = server.version

    async def frozen(_: float) -> None:
        clock.seconds += 60

    monkeypatch.setattr(asyncio, "sleep", frozen)
    with pytest.raises(errors.LeadershipLost):
        await first.keep()
    assert server.version == before


async def test_a_released_lease_is_free_at_once(
    first: Leadership, second: Leadership, server: Server
) -> None:
    await first._attempt()
    await first.release()
    assert not leads(first)
    assert server.holder == ""
    assert await second._attempt()


async def test_releasing_leaves_another_ones_lease_alone(
    first: Leadership, second: Leadership, server: Server, clock: Clock
) -> None:
    await first._attempt()
    await second._attempt()
    clock.seconds += 15
    await second._attempt()
    await first.release()
    assert server.holder == "second"
    assert leads(second)


@pytest.mark.parametrize(
    ("held_by", "pod", "at_once"),
    [
        pytest.param("operator-1_a", "operator-1", True, id="by a former process of its own pod"),
        pytest.param("operator-10_a", "operator-1", False, id="by a pod whose name begins alike"),
        pytest.param("operator-2_a", "operator-1", False, id="by another pod"),
        pytest.param("machine_a", None, False, id="by another process, outside a pod"),
    ],
)
async def test_a_lease_that_is_held(
    server: Server, clock: Clock, held_by: str, pod: str | None, *, at_once: bool
) -> None:
    former = candidate(server, clock, held_by)
    assert await former._attempt()
    restarted = candidate(server, clock, f"{pod or 'machine'}_b", pod)
    assert await restarted._attempt() is at_once
    assert leads(restarted) is at_once
    if at_once:
        assert not await former._attempt()


async def test_who_led_while_a_process_of_the_pod_was_frozen_is_waited_for(
    server: Server, clock: Clock
) -> None:
    frozen = candidate(server, clock, "operator-1_a", "operator-1")
    assert await frozen._attempt()
    other = candidate(server, clock, "operator-2_a", "operator-2")
    assert not await other._attempt()
    clock.seconds += 15
    assert await other._attempt()
    restarted = candidate(server, clock, "operator-1_b", "operator-1")
    assert not await restarted._attempt()
    assert leads(other)
