"""The queue's promises, on a clock of the test's own."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redstart.kube.queue import LONGEST_DELAY, Priority, WorkQueue


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> WorkQueue[str]:
    return WorkQueue(clock, jitter=lambda: 1.0)


def drained(queue: WorkQueue[str]) -> list[str]:
    keys = []
    while (key := queue.take()) is not None:
        keys.append(key)
    return keys


def test_a_key_added_often_is_taken_once(queue: WorkQueue[str]) -> None:
    for key in "abab":
        queue.add(key)
    assert drained(queue) == ["a", "b"]


def test_a_key_added_while_it_is_worked_on_comes_back_when_that_is_done(queue: WorkQueue[str]) -> None:
    queue.add("a")
    assert queue.take() == "a"
    queue.add("a")
    queue.add("a")
    assert queue.take() is None
    queue.done("a")
    assert drained(queue) == ["a"]


def test_keys_of_the_initial_list_wait_for_live_ones(queue: WorkQueue[str]) -> None:
    queue.add("old-1", Priority.LOW)
    queue.add("old-2", Priority.LOW)
    queue.add("live")
    assert drained(queue) == ["live", "old-1", "old-2"]


def test_a_live_change_lifts_a_key_of_the_initial_list(queue: WorkQueue[str]) -> None:
    queue.add("old-1", Priority.LOW)
    queue.add("old-2", Priority.LOW)
    queue.add("old-2")
    queue.add("old-2", Priority.LOW)
    assert drained(queue) == ["old-2", "old-1"]


def test_a_key_added_for_later_is_taken_then(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add_after("a", 5)
    assert queue.take() is None
    assert queue.next_due() == 5
    clock.seconds += 5
    assert queue.take() == "a"
    assert queue.next_due() is None


def test_the_earlier_of_two_times_counts(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add_after("a", 5)
    queue.add_after("a", 2)
    queue.add_after("a", 9)
    clock.seconds += 2
    assert drained(queue) == ["a"]
    queue.done("a")
    clock.seconds += 100
    assert drained(queue) == []


def test_a_key_taken_for_another_reason_waits_no_longer(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add_after("a", 5)
    queue.add("a")
    assert queue.take() == "a"
    queue.done("a")
    clock.seconds += 5
    assert queue.take() is None


def test_a_key_due_while_it_is_worked_on_comes_back_when_that_is_done(
    queue: WorkQueue[str], clock: Clock
) -> None:
    queue.add("a")
    queue.take()
    queue.add_after("a", 1)
    clock.seconds += 1
    assert queue.take() is None
    queue.done("a")
    assert queue.take() == "a"


def test_a_key_asked_for_later_while_it_is_worked_on_waits_until_then(
    queue: WorkQueue[str], clock: Clock
) -> None:
    queue.add("a")
    queue.take()
    queue.add_after("a", 5)
    queue.done("a")
    assert queue.take() is None
    clock.seconds += 5
    assert queue.take() == "a"


def test_each_failure_doubles_the_wait_up_to_a_bound_and_a_success_resets_it(queue: WorkQueue[str]) -> None:
    delays = [queue.retry("a") for _ in range(40)]
    assert delays[:4] == [0.1, 0.2, 0.4, 0.8]
    assert delays[-1] == LONGEST_DELAY
    assert queue.retry("b") == 0.1
    queue.forget("a")
    assert queue.retry("a") == 0.1


def test_jitter_halves_the_wait_at_most(clock: Clock) -> None:
    assert WorkQueue[str](clock, jitter=lambda: 0.0).retry("a") == 0.05


def test_a_wait_that_the_server_asked_for_is_kept(queue: WorkQueue[str]) -> None:
    assert queue.retry("a", at_least=30) == 30


def test_the_oldest_ready_key_and_the_slowest_worker_are_known(queue: WorkQueue[str], clock: Clock) -> None:
    assert (queue.longest_wait(), queue.longest_run()) == (0, 0)
    queue.add("a")
    clock.seconds += 3
    queue.add("b")
    assert queue.longest_wait() == 3
    queue.take()
    clock.seconds += 4
    assert queue.longest_wait() == 4
    assert queue.longest_run() == 4


def test_a_key_that_nobody_promoted_has_waited_since_it_was_due(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add_after("a", 5)
    clock.seconds += 12
    assert queue.longest_wait() == 7


async def test_a_waiting_worker_gets_a_key_as_soon_as_it_is_added() -> None:
    queue: WorkQueue[str] = WorkQueue()
    worker = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    assert await worker == "a"


async def test_a_waiting_worker_gets_a_key_when_it_is_due() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("a", 0.01)
    assert await queue.get() == "a"


async def test_several_waiting_workers_share_what_comes() -> None:
    queue: WorkQueue[str] = WorkQueue()
    workers = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    for key in "abc":
        queue.add(key)
    assert sorted(await asyncio.gather(*workers), key=str) == ["a", "b", "c"]


async def test_a_closed_queue_hands_out_nothing() -> None:
    queue: WorkQueue[str] = WorkQueue()
    worker = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.close()
    queue.add("a")
    assert await worker is None
    assert await queue.get() is None


@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "later", "take", "done", "pass"]), st.sampled_from("abc")),
        max_size=60,
    )
)
def test_no_key_is_with_two_workers_and_none_is_lost(steps: list[tuple[str, str]]) -> None:
    clock = Clock()
    queue: WorkQueue[str] = WorkQueue(clock)
    running: set[str] = set()
    wanted: set[str] = set()
    for step, key in steps:
        if step == "add":
            queue.add(key)
            wanted.add(key)
        elif step == "later":
            queue.add_after(key, 1)
            wanted.add(key)
        elif step == "pass":
            clock.seconds += 2
        elif step == "take" and (taken := queue.take()) is not None:
            assert taken not in running
            running.add(taken)
            wanted.discard(taken)
        elif step == "done" and key in running:
            running.discard(key)
            queue.done(key)
    for key in running:
        queue.done(key)
    clock.seconds += 2
    assert wanted <= set(drained(queue))
