"""Programs of the cluster are known again, whatever happened to them or to what was written down."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.processes import Daemon, Identity, descendants, kill, wait

SLEEP = ["sleep", "1000"]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon("sleeper", tmp_path / "run", tmp_path / "logs")
    yield made
    made.stop()


def test_a_running_program_is_not_started_again(daemon: Daemon) -> None:
    assert daemon.ensure(SLEEP)
    pid = daemon.running()
    assert not daemon.ensure(SLEEP)
    assert daemon.running() == pid


def test_another_command_line_replaces_the_program(daemon: Daemon) -> None:
    daemon.ensure(SLEEP)
    before = daemon.running()
    assert daemon.ensure(["sleep", "2000"])
    assert before
    assert daemon.running() != before
    assert Identity.of(before) is None


def test_a_killed_program_is_started_again(daemon: Daemon) -> None:
    daemon.ensure(SLEEP)
    kill([daemon.running() or 0])
    assert daemon.running() is None
    assert daemon.ensure(SLEEP)


@pytest.mark.parametrize(
    "record",
    [
        pytest.param("{pid} 1 {boot}", id="another process has the pid now"),
        pytest.param("{pid} {started} another-boot", id="the machine was restarted"),
        pytest.param("{pid}", id="the record was cut short"),
        pytest.param("", id="the record is empty"),
    ],
)
def test_a_record_that_does_not_fit_names_no_process(daemon: Daemon, record: str) -> None:
    daemon.ensure(SLEEP)
    pid = daemon.running()
    assert pid
    identity = Identity.of(pid)
    assert identity
    file = daemon.folder / "sleeper.pid"
    kept = file.read_text()
    file.write_text(record.format(**vars(identity)))
    assert daemon.running() is None
    file.write_text(kept)


def test_what_a_program_started_is_found_below_it(daemon: Daemon) -> None:
    daemon.ensure(["sh", "-c", "sleep 1000; true"])
    pid = daemon.running()
    assert pid
    assert wait(lambda: descendants([pid]), 10)
    below = descendants([pid])
    kill(below)
    assert all(Identity.of(each) is None for each in below)


def test_a_program_that_ends_at_once_leaves_its_reason_in_the_log(daemon: Daemon) -> None:
    daemon.ensure(["sh", "-c", "echo no such option; exit 1"])
    assert wait(lambda: daemon.running() is None, 10)
    assert "no such option" in daemon.log.read_text()
