"""The sidecar's sums."""

import pytest

from redstart.sidecar.counters import STALE, Counters
from redstart.sidecar.report import Counts, Delta, Latency, State

READY = State(ready=True, digest="sha256:1")


def delta(epoch="a", sequence=1, counts=None, state=READY):
    return Delta(epoch, sequence, state, counts or Counts())


def test_deltas_add_up():
    counters = Counters()
    counts = Counts(
        {"first": {200: 2}, "other": {422: 1}},
        {"first": Latency({3: 2}, 0.25)},
        {"1": 2},
        [("torque", "bin", "x", 1), ("torque", "missing", "", 1)],
        1,
    )
    counters.receive(delta(counts=counts))
    counters.receive(delta(sequence=2, counts=counts))
    assert counters.requests == {"first": {200: 4}, "other": {422: 2}}
    assert counters.latency["first"] == Latency({3: 4}, 0.5)
    assert counters.predictions == {"1": 4}
    assert counters.features == {"torque": {("bin", "x"): 2, ("missing", ""): 2}}
    assert counters.invalid_outputs == 2


@pytest.mark.parametrize(
    ("received", "lost", "starts"),
    [
        pytest.param([("a", 1), ("a", 2), ("a", 3)], 0, 1, id="one after another"),
        pytest.param([("a", 1), ("a", 4)], 2, 1, id="a gap is a loss"),
        pytest.param(
            [("a", 7), ("a", 8)], 0, 1, id="a sidecar that was restarted begins where the server is"
        ),
        pytest.param([("a", 7), ("b", 1), ("b", 2)], 0, 2, id="a server that was restarted begins anew"),
        pytest.param([("a", 1), ("b", 3)], 2, 2, id="the first datagrams of a new server are lost"),
    ],
)
def test_a_loss_is_known(received, lost, starts):
    counters = Counters()
    for epoch, sequence in received:
        counters.receive(delta(epoch, sequence))
    assert (counters.lost, counters.server_starts) == (lost, starts)


def test_counts_survive_the_servers_restart():
    counters = Counters()
    counters.receive(delta("a", 9, Counts({"first": {200: 5}})))
    counters.receive(delta("b", 1, Counts({"first": {200: 1}})))
    assert counters.requests["first"] == {200: 6}


def test_a_server_that_says_nothing_is_not_ready():
    counters = Counters()
    assert not counters.ready(0.0)
    counters.receive(delta(), now=10.0)
    assert counters.ready(10.0 + STALE - 0.1)
    assert not counters.ready(10.0 + STALE)
    counters.receive(delta(sequence=2, state=State()), now=20.0)
    assert not counters.ready(20.0)
