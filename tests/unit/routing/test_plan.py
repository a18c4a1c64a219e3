from typing import Any

import pytest
from tests.unit.routing.plans import NEW, OLD, make_canary_plan, make_plan

from redstart.routing.plan import Arm


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            {"weight": 101}, "weight must be between 0 and 100 percent; got 101", id="more than all"
        ),
        pytest.param({"weight": -1}, "weight must be between 0 and 100 percent; got -1", id="less than none"),
        pytest.param({"canary": None}, "there is no canary to take it", id="weight without a canary"),
        pytest.param({"canary": OLD}, "the same revision 3f9a1c0b77aa", id="a canary that is stable"),
        pytest.param({"timeout_seconds": 0.0}, "timeout_seconds must be above 0", id="no time to answer"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_canary_plan(**change)


def test_a_host_without_the_last_dot_is_refused() -> None:
    with pytest.raises(ValueError, match="must end with a dot"):
        Arm("abc", "model-abc.default.svc.cluster.local")


@pytest.mark.parametrize(
    ("plan", "revision"),
    [
        pytest.param(make_plan(), None, id="stable alone is nobody's second opinion"),
        pytest.param(make_canary_plan(), NEW.revision, id="stable is asked after the canary"),
        pytest.param(
            make_canary_plan(weight=0), NEW.revision, id="also while requests drawn earlier still run"
        ),
        pytest.param(make_canary_plan(retry_on_stable=False), None, id="not when retries are off"),
    ],
)
def test_second_opinion(plan: Any, revision: str | None) -> None:
    assert plan.second_opinion == revision
