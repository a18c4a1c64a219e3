"""Datagrams to the sidecar: nothing lost that could not be sent, nothing sent twice."""

import socket

import pytest

from redstart.server.counts import Observation, Recorder
from redstart.server.reporter import FEATURE_ENTRIES, Reporter, split
from redstart.sidecar.report import Counts, State, decode


class Sidecar:
    """The receiving end."""

    def __init__(self, path):
        path.unlink(missing_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)

    def read(self):
        found = []
        while True:
            try:
                found.append(decode(self.socket.recv(1 << 20)))
            except BlockingIOError:
                return found

    def close(self):
        self.socket.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.sock"


@pytest.fixture
def recorder():
    return Recorder()


def count(recorder, times):
    for _ in range(times):
        recorder.record(Observation(True, 200, 0.001))


def requests(deltas):
    return sum(delta.counts.requests.get("first", {}).get(200, 0) for delta in deltas)


def test_each_flush_sends_what_was_added(path, recorder):
    sidecar, reporter = Sidecar(path), Reporter(path, recorder)
    for times in (2, 3):
        count(recorder, times)
        assert reporter.flush(heartbeat=False)
    deltas = sidecar.read()
    assert [(delta.sequence, requests([delta])) for delta in deltas] == [(1, 2), (2, 3)]
    assert len({delta.epoch for delta in deltas}) == 1


def test_a_sidecar_that_is_away_gets_it_all_when_it_comes(path, recorder):
    reporter = Reporter(path, recorder)
    count(recorder, 2)
    assert not reporter.flush()
    sidecar = Sidecar(path)
    count(recorder, 1)
    reporter.flush()
    deltas = sidecar.read()
    assert ([delta.sequence for delta in deltas], requests(deltas)) == ([1], 3)


def test_a_restarted_sidecar_is_found_again(path, recorder):
    first, reporter = Sidecar(path), Reporter(path, recorder)
    reporter.flush()
    first.close()
    second = Sidecar(path)
    count(recorder, 4)
    reporter.flush()  # meets the closed socket
    reporter.flush()
    deltas = second.read()
    assert requests(deltas) == 4
    assert deltas[0].sequence == 2


def test_a_full_queue_keeps_the_counts(path, recorder):
    sidecar, reporter = Sidecar(path), Reporter(path, recorder)
    sent = 0
    while True:
        count(recorder, 1)
        sent += 1
        if not reporter.flush():
            break
    deltas = sidecar.read()
    assert requests(deltas) == sent - 1
    reporter.flush()
    more = sidecar.read()
    assert requests(deltas + more) == sent
    assert [delta.sequence for delta in deltas + more] == list(range(1, sent + 1))


def test_an_idle_server_sends_only_its_heartbeat(path, recorder):
    sidecar, reporter = Sidecar(path), Reporter(path, recorder)
    assert reporter.flush(heartbeat=False), "a state that the sidecar does not know"
    assert not reporter.flush(heartbeat=False)
    assert reporter.flush(heartbeat=True)
    assert len(sidecar.read()) == 2


def test_a_changed_state_is_sent_at_once(path, recorder):
    sidecar, reporter = Sidecar(path), Reporter(path, recorder)
    reporter.flush()
    reporter.state = State(ready=True, digest="sha256:1")
    assert reporter.flush(heartbeat=False)
    assert [delta.state.ready for delta in sidecar.read()] == [False, True]


def test_the_last_word_is_that_the_server_is_not_ready(path, recorder):
    sidecar, reporter = Sidecar(path), Reporter(path, recorder)
    reporter.state = State(ready=True, digest="sha256:1")
    count(recorder, 1)
    reporter.stop()
    (delta,) = sidecar.read()
    assert (delta.state.ready, delta.state.digest, requests([delta])) == (False, "sha256:1", 1)


def test_many_features_take_several_datagrams():
    entries = [(f"f{index}", "missing", "", 1) for index in range(FEATURE_ENTRIES + 1)]
    part, rest = split(Counts(requests={"first": {200: 1}}, features=entries))
    assert (len(part.features), part.requests) == (FEATURE_ENTRIES, {"first": {200: 1}})
    assert rest == Counts(features=entries[FEATURE_ENTRIES:])


def test_the_largest_datagram_fits_the_kernels_default(path, recorder):
    sidecar, reporter = Sidecar(path), Reporter(path, recorder)
    long = [(f"{index:0253}", "bin", f"{index:0128}", 2**40) for index in range(FEATURE_ENTRIES * 2)]
    reporter._pending.features = long
    assert reporter.flush()
    assert sorted(entry for delta in sidecar.read() for entry in delta.counts.features) == long
