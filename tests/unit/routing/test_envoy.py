import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.routing.plans import NEW, OLD, make_canary_plan, make_plan

from redstart.routing.envoy import files
from redstart.routing.plan import TrafficPlan


def routes(plan: TrafficPlan) -> list[dict[str, Any]]:
    (resource,) = json.loads(files(plan)["rds.json"])["resources"]
    (host,) = resource["virtual_hosts"]
    return list(host["routes"])


def clusters(plan: TrafficPlan) -> dict[str, dict[str, Any]]:
    return {cluster["name"]: cluster for cluster in json.loads(files(plan)["cds.json"])["resources"]}


def priorities(cluster: dict[str, Any]) -> list[str]:
    return [
        endpoint["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]["address"]
        for endpoint in sorted(cluster["load_assignment"]["endpoints"], key=lambda each: each["priority"])
    ]


@pytest.mark.parametrize(
    ("folder", "plan"),
    [
        pytest.param("stable-alone", make_plan(), id="stable alone"),
        pytest.param("canary", make_canary_plan(), id="a canary at 25 percent"),
        pytest.param(
            "no-retries", make_canary_plan(retry_on_stable=False), id="a canary without retries on stable"
        ),
    ],
)
def test_files(folder: str, plan: TrafficPlan, golden: Callable[[str, str], None]) -> None:
    for name, text in files(plan).items():
        golden(f"{folder}/{name}", text)


def test_a_change_of_weight_changes_only_routes_and_version() -> None:
    before, after = files(make_canary_plan(12, weight=5)), files(make_canary_plan(13, weight=50))
    assert before["bootstrap.json"] == after["bootstrap.json"]
    assert before["cds.json"].replace("plan-12", "plan-13") == after["cds.json"]
    assert before["rds.json"].replace("plan-12", "plan-13") != after["rds.json"]


def test_a_canary_without_weight_has_a_cluster_that_warms_and_no_route() -> None:
    plan = make_canary_plan(weight=0)
    assert NEW.as_canary in clusters(plan)
    assert [route["route"]["cluster"] for route in routes(plan)] == [OLD.tries]


def test_a_request_that_fails_on_the_canary_goes_to_stable_and_one_of_stables_stays_there() -> None:
    found = clusters(make_canary_plan())
    beside = "model-beside.default.svc.cluster.local."
    tries = found[OLD.tries]["cluster_type"]["typed_config"]["clusters"]
    assert [each["name"] for each in tries] == [OLD.as_stable, OLD.again, OLD.again]
    assert priorities(found[OLD.as_stable]) == [OLD.host]
    assert priorities(found[OLD.again]) == [OLD.host, OLD.last_resort, beside]
    assert priorities(found[NEW.as_canary]) == [NEW.host, *[OLD.host] * 2, OLD.last_resort]


def test_no_cluster_that_takes_requests_changes_in_a_whole_rollout() -> None:
    alone, beside = clusters(make_plan()), clusters(make_canary_plan())
    swapped = clusters(make_plan(13, stable=NEW, canary=OLD))
    after = clusters(make_plan(14, stable=NEW))
    for name in (OLD.as_stable, OLD.again, OLD.tries):
        assert alone[name] == beside[name]
    assert beside == swapped
    for name in (NEW.as_stable, NEW.again, NEW.tries):
        assert swapped[name] == after[name]


@pytest.mark.parametrize("timeout", [0.05, 1.0, 10.0, 3600.0])
def test_a_canary_that_hangs_leaves_stable_half_of_the_timeout(timeout: float) -> None:
    canary, stable = (route["route"] for route in routes(make_canary_plan(timeout_seconds=timeout)))
    assert canary["timeout"] == stable["timeout"] == f"{timeout:g}s"
    assert canary["retry_policy"]["per_try_timeout"] == f"{timeout / 2:g}s"
    assert "per_try_timeout" not in stable["retry_policy"]


def test_a_canary_without_retries_has_the_whole_timeout() -> None:
    canary, stable = (route["route"] for route in routes(make_canary_plan(retry_on_stable=False)))
    assert canary["retry_policy"]["retry_on"] == stable["retry_policy"]["retry_on"]
    assert canary["retry_policy"]["retry_on"] == "connect-failure,refused-stream"
    assert "per_try_timeout" not in canary["retry_policy"]
