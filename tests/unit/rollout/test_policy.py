from dataclasses import replace

import pytest

from redstart.rollout.policy import RolloutPolicy, Step, canary_replicas

POLICY = RolloutPolicy(steps=(Step(5), Step(25, 120.0), Step(50)))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        pytest.param({"steps": ()}, "steps", id="no step"),
        pytest.param({"steps": (Step(25), Step(5))}, "steps", id="weights that fall"),
        pytest.param({"steps": (Step(25), Step(25))}, "steps", id="a weight twice"),
        pytest.param({"steps": (Step(0),)}, "steps", id="a weight of nothing"),
        pytest.param({"steps": (Step(100),)}, "steps", id="a weight of everything"),
        pytest.param({"steps": (Step(5, -1.0),)}, "steps", id="a negative hold"),
        pytest.param({"max_increase": 0.0}, "maxIncrease", id="an allowance of nothing"),
        pytest.param({"max_increase": 1.0}, "maxIncrease", id="an allowance of everything"),
        pytest.param({"confidence": 1.0}, "confidence", id="certainty"),
        pytest.param({"promotion_confidence": 0.0}, "promotionConfidence", id="no confidence"),
        pytest.param({"min_samples": 0}, "minSamples", id="no samples"),
        pytest.param({"deadline": 0.0}, "deadline", id="no time"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_by_field(change: dict[str, object], field: str) -> None:
    with pytest.raises(ValueError, match=field):
        replace(POLICY, **change)


@pytest.mark.parametrize(
    ("stable", "weight", "want"),
    [
        pytest.param(2, 5, 1, id="at least one"),
        pytest.param(10, 50, 10, id="as many as stable at half of the traffic"),
        pytest.param(10, 25, 4, id="rounded up"),
        pytest.param(3, 75, 9, id="more than stable above half"),
        pytest.param(0, 50, 1, id="one even beside a stable without pods"),
    ],
)
def test_canary_replicas(stable: int, weight: int, want: int) -> None:
    assert canary_replicas(stable, weight) == want
