"""Who is taken in, and where requests are answered."""

import pytest

from redstart.server.admission import FEW, Costs, fits


@pytest.mark.parametrize(
    ("waiting", "wait", "leaves", "taken"),
    [
        pytest.param(0, 0.0, 10.0, True, id="nobody waits"),
        pytest.param(0, 99.0, 1.0, True, id="nobody waits, whatever the estimate says"),
        pytest.param(FEW - 1, 4.0, 10.0, True, id="few wait for long requests"),
        pytest.param(FEW, 4.0, 10.0, False, id="more wait for as long"),
        pytest.param(3, 6.0, 10.0, False, id="few, and most of the client's time would be gone"),
        pytest.param(5000, 0.5, 10.0, True, id="many wait for short requests"),
        pytest.param(5000, 1.5, 10.0, False, id="too many of them"),
        pytest.param(5000, 0.5, 0.5, False, id="a client that leaves little time"),
        pytest.param(1, 0.0, 0.0, True, id="a client that leaves none, behind what takes none"),
    ],
)
def test_a_request_is_taken_in_while_it_can_be_answered_in_time(waiting, wait, leaves, taken):
    assert fits(waiting, wait, leaves) is taken


def test_costs_grow_with_the_length_until_they_are_measured():
    costs = Costs()
    assert costs.processor(1000) == 0.0
    costs.observe_processor(1000, 0.001)
    assert costs.processor(1000) == costs.processor(600) == 0.001
    assert costs.processor(4000) == pytest.approx(0.004)
    assert costs.processor(10) == 0.001
    for _ in range(50):
        costs.observe_processor(4000, 0.01)
    assert costs.processor(4000) == pytest.approx(0.01, rel=1e-3)
    assert costs.processor(1000) == 0.001
    assert costs.elapsed(4000) == 0.0


def test_one_answer_that_took_long_by_chance_does_not_count_for_much():
    costs = Costs()
    costs.observe_elapsed(100, 0.001)
    costs.observe_elapsed(100, 0.101)
    assert costs.elapsed(100) == pytest.approx(0.021)
    for _ in range(20):
        costs.observe_elapsed(100, 0.001)
    assert costs.elapsed(100) == pytest.approx(0.001, abs=0.0005)
