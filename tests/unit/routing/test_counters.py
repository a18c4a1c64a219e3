import json
from typing import Any

import pytest

from redstart.routing.counters import (
    ArmReading,
    Counts,
    Reading,
    Tally,
    parse_clusters,
    parse_plan_in_force,
    parse_reading,
)

STATS = """cluster.canary-new.upstream_rq_400: 2
cluster.canary-new.upstream_rq_422: 3
cluster_manager.cds.version_text: "plan-12"
cluster_manager.warming_clusters: 0
http.clients.rds.service.version_text: "plan-11"
server.uptime: 73
"""


def host(
    address: str, success: int = 0, error: int = 0, *, priority: int = 0, **status: Any
) -> dict[str, Any]:
    """A host as Envoy writes it: what is 0 is left out."""
    stats = {"cx_total": 9, "rq_error": error, "rq_success": success, "rq_total": success + error + 1}
    return {
        "address": {"socket_address": {"address": address, "port_value": 8080}},
        "stats": [{"name": name} | ({"value": str(value)} if value else {}) for name, value in stats.items()],
        "health_status": {"eds_health_status": "HEALTHY"} | status,
    } | ({"priority": priority} if priority else {})


def clusters(**hosts: list[dict[str, Any]]) -> str:
    statuses: list[dict[str, Any]] = [{"name": "admin", "host_statuses": [host("127.0.0.1", 99)]}]
    statuses += [{"name": f"canary-{revision}", "host_statuses": each} for revision, each in hosts.items()]
    return json.dumps({"cluster_statuses": statuses})


def test_only_hosts_of_priority_0_are_counted() -> None:
    text = clusters(new=[host("10.0.0.1", 90, 10), host("10.0.0.2", 7, 1, priority=1)])
    assert parse_clusters(text) == {
        "new": ArmReading({"canary-new/10.0.0.1:8080": Counts(100, 10)}, healthy=1)
    }


@pytest.mark.parametrize(
    ("status", "healthy"),
    [
        pytest.param({}, 1, id="a host that passed its health check"),
        pytest.param({"failed_active_health_check": True}, 0, id="a host that failed it"),
        pytest.param({"pending_active_hc": True}, 0, id="a host that was not checked yet"),
        pytest.param({"failed_outlier_check": True}, 0, id="a host that cut connections"),
        pytest.param({"pending_dynamic_removal": True}, 0, id="a host that is no longer in DNS"),
        pytest.param({"eds_health_status": "UNHEALTHY"}, 0, id="a host that was called unhealthy"),
    ],
)
def test_health(status: dict[str, Any], healthy: int) -> None:
    assert parse_clusters(clusters(new=[host("10.0.0.1", **status)]))["new"].healthy == healthy


def test_a_cluster_whose_name_has_no_address_yet_is_empty() -> None:
    text = json.dumps({"cluster_statuses": [{"name": "canary-new"}]})
    assert parse_clusters(text) == {"new": ArmReading()}


@pytest.mark.parametrize(
    ("cluster", "hosts", "answers"),
    [
        pytest.param("again-new", [host("10.0.0.1")], True, id="a healthy pod"),
        pytest.param("again-new", [host("10.0.0.1", priority=1)], True, id="its last resort"),
        pytest.param(
            "again-new", [host("10.0.0.1", failed_active_health_check=True)], False, id="a sick pod"
        ),
        pytest.param("again-new", [], False, id="no pod"),
        pytest.param("canary-new", [host("10.0.0.1")], False, id="a pod that only a canary's requests reach"),
    ],
)
def test_who_answers_for_a_stable_revision(cluster: str, hosts: list[dict[str, Any]], answers: bool) -> None:
    text = json.dumps({"cluster_statuses": [{"name": cluster, "host_statuses": hosts}]})
    assert parse_reading(text, STATS).answering == ({"new"} if answers else set())


def test_a_reading_joins_both_answers() -> None:
    reading = parse_reading(clusters(old=[host("10.0.0.2", 5)], new=[host("10.0.0.1", 90, 10)]), STATS)
    assert (reading.uptime_seconds, reading.plan, reading.clusters_plan) == (73, 11, 12)
    assert reading.arms["new"] == ArmReading(
        {"canary-new/10.0.0.1:8080": Counts(100, 10)}, healthy=1, refused=5
    )
    assert reading.arms["old"].refused == 0


@pytest.mark.parametrize(
    ("stats", "hosts", "can_take"),
    [
        pytest.param(STATS, {"new": [host("10.0.0.1")]}, True, id="a healthy host"),
        pytest.param(
            STATS, {"new": [host("10.0.0.1", failed_active_health_check=True)]}, False, id="a sick host"
        ),
        pytest.param(STATS, {"new": [host("10.0.0.1", priority=1)]}, False, id="only stable's hosts"),
        pytest.param(
            STATS, {"old": [host("10.0.0.1")]}, False, id="a revision that the router does not know"
        ),
        pytest.param(
            STATS.replace("warming_clusters: 0", "warming_clusters: 1"),
            {"new": [host("10.0.0.1")]},
            False,
            id="clusters that are warming",
        ),
    ],
)
def test_a_revision_can_take_requests_with(stats: str, hosts: dict[str, Any], can_take: bool) -> None:
    assert parse_reading(clusters(**hosts), stats).can_take("new") is can_take


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        pytest.param('http.clients.rds.service.version_text: "plan-7"\n', 7, id="a plan in force"),
        pytest.param('http.clients.rds.service.version_text: ""\n', None, id="no plan yet"),
        pytest.param('http.other.rds.service.version_text: "plan-7"\n', None, id="another listener's"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_plan_in_force(text: str, plan: int | None) -> None:
    assert parse_plan_in_force(text) == plan


@pytest.mark.parametrize(
    ("clusters_json", "stats_text", "message"),
    [
        pytest.param("{}", STATS, "/clusters is not what Envoy answers", id="other JSON"),
        pytest.param("upstream connect error", STATS, "Expecting value", id="an error page"),
        pytest.param(clusters(), "", "/stats has no server.uptime", id="no statistics"),
    ],
)
def test_an_answer_that_is_none_is_refused(clusters_json: str, stats_text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_reading(clusters_json, stats_text)


def reading(uptime: int = 10, refused: int = 0, **hosts: tuple[int, int]) -> Reading:
    """A look at the canary's hosts, each with its requests and errors."""
    counts = {name: Counts(*pair) for name, pair in hosts.items()}
    return Reading(uptime, 1, 1, {"new": ArmReading(counts, len(counts), refused)})


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        pytest.param([reading(a=(100, 9))], [(0, 0)], id="the first look only sets the mark"),
        pytest.param([reading(a=(10, 1)), reading(a=(30, 4))], [(0, 0), (20, 3)], id="what was added counts"),
        pytest.param(
            [reading(a=(10, 1)), reading(a=(12, 1), b=(5, 2))], [(0, 0), (7, 2)], id="a new host counts whole"
        ),
        pytest.param(
            [reading(a=(10, 1), b=(5, 2)), reading(a=(12, 1)), reading(a=(13, 1))],
            [(0, 0), (2, 0), (1, 0)],
            id="a host that goes takes nothing back",
        ),
        pytest.param(
            [reading(a=(10, 1), b=(5, 2)), reading(a=(12, 1)), reading(a=(13, 1), b=(1, 0))],
            [(0, 0), (2, 0), (2, 0)],
            id="a host that comes back begins anew",
        ),
        pytest.param(
            [reading(90, a=(10, 1)), reading(1, a=(30, 4))],
            [(0, 0), (30, 4)],
            id="after a restart all is new, also when more was counted than before",
        ),
        pytest.param(
            [reading(a=(10, 1)), reading(11, a=(4, 0))],
            [(0, 0), (4, 0)],
            id="a cluster that began anew in the same process counts whole",
        ),
        pytest.param(
            [reading(a=(10, 3)), reading(11, a=(12, 0))],
            [(0, 0), (12, 0)],
            id="fewer errors alone show that it began anew",
        ),
        pytest.param(
            [reading(a=(10, 1)), Reading(11, 1, 1, {})], [(0, 0), None], id="a revision that is gone"
        ),
        pytest.param(
            [reading(a=(10, 1)), reading(11, 4, a=(30, 8))],
            [(0, 0), (20, 3)],
            id="refusals that stable shares are taken off",
        ),
        pytest.param(
            [
                reading(a=(10, 1)),
                reading(11, 0, a=(20, 3)),
                reading(12, 2, a=(30, 3)),
                reading(13, 2, a=(40, 5)),
            ],
            [(0, 0), (10, 2), (10, 0), (10, 0)],
            id="a refusal that stable shares only after the look is taken off at the next error",
        ),
        pytest.param(
            [reading(50, 7, a=(10, 1)), reading(1, 2, a=(10, 5))],
            [(0, 0), (10, 3)],
            id="after a restart refusals are new too",
        ),
    ],
)
def test_tally(looks: list[Reading], expected: list[tuple[int, int] | None]) -> None:
    tally, got = Tally(), []
    for look in looks:
        tally, counts = tally.after(look, second_opinion="new")
        got.append((counts["new"].requests, counts["new"].errors) if "new" in counts else None)
    assert got == expected


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        pytest.param(
            [reading(a=(10, 1)), reading(11, 4, a=(30, 8))],
            [(0, 0, 0), (20, 11, 4)],
            id="refusals are errors beside the others",
        ),
        pytest.param(
            [reading(1, 3, a=(10, 1)), reading(2, 3, a=(30, 1))],
            [(0, 0, 0), (20, 0, 0)],
            id="those of before the first look are not",
        ),
        pytest.param(
            [reading(a=(10, 1)), reading(11, 5, a=(12, 3))],
            [(0, 0, 0), (2, 2, 0)],
            id="what another host refused after this one could not be reached is no second error",
        ),
        pytest.param(
            [reading(50, 7, a=(10, 1)), reading(1, 2, a=(10, 5))],
            [(0, 0, 0), (10, 7, 2)],
            id="after a restart refusals are new too",
        ),
    ],
)
def test_where_stable_is_not_asked_refusals_count(
    looks: list[Reading], expected: list[tuple[int, int, int]]
) -> None:
    tally, got = Tally(), []
    for look in looks:
        tally, counts = tally.after(look, second_opinion=None)
        new = counts["new"]
        got.append((new.requests, new.errors, new.refused))
    assert got == expected


def test_refusals_of_an_arm_that_is_not_the_second_opinions_are_no_errors() -> None:
    tally, _ = Tally().after(reading(a=(10, 1)), second_opinion="other")
    _, counts = tally.after(reading(11, 4, a=(30, 8)), second_opinion="other")
    assert counts["new"] == Counts(20, 7)
