"""Rollouts that outlive their operator: killed and frozen in the middle of them, under client traffic."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from threading import Event, Thread
from typing import Any

import pytest

from tests.e2e.kubernetes import Kubernetes, Object, eventually
from tests.e2e.operator import PATIENCE, Operator
from tests.e2e.test_rollout import (
    RATE,
    SERVICE,
    last_rollout,
    nothing_failed,
    seen,
    server,
    service,
    serving,
)
from tests.e2e.traffic import FOREVER, Traffic

pytestmark = pytest.mark.alone

ROUTER = f"{SERVICE}-router"

Register = Callable[..., None]


@pytest.fixture
def operator(kubernetes: Kubernetes) -> Iterator[Operator]:
    """The installed operator; restored in the end."""
    installed = Operator(kubernetes)
    try:
        installed.leader()
        yield installed
    finally:
        installed.restore()


class Records:
    """Every traffic record of the service since `since`, as the API server stored them."""

    def __init__(self, cluster: Kubernetes) -> None:
        self.found: list[Any] = []
        self._cluster = cluster
        self._stop = Event()
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Records:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        for config_map in self._cluster.watch("ConfigMap", ROUTER, self._stop):
            self.found.append(traffic(config_map))

    def until(self, reached: Callable[[Any], bool], what: str) -> Any:
        """The first record for which that is so, told within milliseconds of its write."""
        return eventually(
            lambda: next((record for record in self.found if reached(record)), None),
            what,
            every=0.002,
            patience=PATIENCE,
        )

    def never_go_back(self) -> None:
        """Plan numbers only grow, and a rollout that was decided keeps its decision and has no weight."""
        assert len(self.found) > 2
        number, decisions = 0, {}
        for record in self.found:
            assert record["number"] >= number
            number = record["number"]
            rollout = record.get("rollout")
            if rollout is None:
                continue
            if rollout["id"] in decisions:
                assert rollout.get("decision") == decisions[rollout["id"]]
            if "decision" in rollout:
                decisions[rollout["id"]] = rollout["decision"]
                assert rollout["weight"] == 0
        assert len(decisions) == 1


def traffic(config_map: Object) -> Any:
    return json.loads(config_map["metadata"]["annotations"]["redstart.dev/traffic"])


def weight(record: Any) -> int:
    return int(record.get("rollout", {}).get("weight", 0))


def decided(record: Any) -> bool:
    return "decision" in record.get("rollout", {})


def finished(cluster: Kubernetes) -> Any:
    """The status once a rollout has ended and nothing of it is left to do."""

    def over() -> Any:
        config_map = cluster.get("ConfigMap", ROUTER)
        assert config_map is not None
        status = seen(cluster)
        done = last_rollout(cluster) and "rollout" not in traffic(config_map) and "canary" not in status
        return status if done else None

    return eventually(over, "the rollout to be over", patience=PATIENCE)


def rolled_back_once(status: Any, before: Any) -> None:
    (entry,) = status["rollouts"]
    assert (entry["result"], entry["reason"]) == ("RolledBack", "ErrorRate"), entry["message"]
    (barred,) = status["quarantine"]
    assert barred["revision"] == entry["revision"]
    assert status["stable"]["revision"] == before["stable"]["revision"]
    assert status["phase"] == "RolledBack"


def test_a_rollout_goes_on_when_the_operator_is_killed_in_mid_canary(
    cluster: Kubernetes, operator: Operator, artifact: Object, register: Register
):
    register(cluster)
    register(cluster, name="m-v2", number=2)
    serving(cluster)
    clients = Traffic(cluster, SERVICE, artifact["rows"])
    clients.start(rate=RATE, requests=FOREVER)
    with Records(cluster) as records:
        cluster.apply(service(version="m-v2"))
        rolling = records.until(lambda record: weight(record) == 20, "the first weight")
        operator.delete(operator.leader())
        status = finished(cluster)
    (entry,) = status["rollouts"]
    assert entry["id"] == rolling["rollout"]["id"]
    assert (entry["result"], entry["to"]) == ("Promoted", "m-v2"), entry["message"]
    assert status["quarantine"] == []
    assert status["stable"]["version"] == "m-v2"
    records.never_go_back()
    nothing_failed(clients.stop())


def test_a_rollback_is_finished_once_when_the_operator_is_killed_right_after_its_decision(
    cluster: Kubernetes, operator: Operator, artifact: Object, register: Register
):
    register(cluster)
    serving(cluster)
    before = seen(cluster)
    clients = Traffic(cluster, SERVICE, artifact["rows"])
    clients.start(rate=RATE, requests=FOREVER)
    with Records(cluster) as records:
        leader = operator.leader()
        process = operator.process(leader)
        cluster.apply(service(server("fail=1")))
        decision = records.until(decided, "the decision")
        operator.kill(process)
        operator.delete(leader)
        status = finished(cluster)
    rolled_back_once(status, before)
    assert status["rollouts"][0]["id"] == decision["rollout"]["id"]
    assert status["rollouts"][0]["decidedAt"] == decision["rollout"]["decision"]["at"]
    records.never_go_back()
    nothing_failed(clients.stop())


def test_a_leader_that_was_frozen_writes_nothing_when_it_wakes_up(
    cluster: Kubernetes, operator: Operator, artifact: Object, register: Register
):
    register(cluster)
    serving(cluster)
    before = seen(cluster)
    operator.scale(2)
    clients = Traffic(cluster, SERVICE, artifact["rows"])
    clients.start(rate=RATE, requests=FOREVER)
    former = operator.leader()
    process = operator.process(former)
    restarts = operator.container(former)["restartCount"]
    with Records(cluster) as records:
        # Its first failure is known after half of the timeout, which leaves time to freeze what would act on it.
        cluster.apply(service(server("hang")))
        records.until(lambda record: weight(record) == 20, "the first weight")
        operator.freeze(process)
        # What it knows: a canary with weight. What has become true while it slept: a rollback, done by another.
        assert not any(decided(record) for record in records.found)
        status = finished(cluster)
        assert operator.leader()["metadata"]["uid"] != former["metadata"]["uid"]
        rolled_back_once(status, before)

        left = settled(cluster)
        operator.wake(process)
        ended = eventually(
            lambda: (
                container["lastState"]["terminated"]
                if (container := operator.container(former))["restartCount"] > restarts
                else None
            ),
            "the former leader to restart",
            patience=PATIENCE,
        )
        assert (
            ended["exitCode"] == 1
        )  # what a process says of itself that has lost its Lease; no signal ended it
        assert versions(cluster) == left
    records.never_go_back()
    assert weight(records.found[-1]) == 0
    nothing_failed(clients.stop())


def versions(cluster: Kubernetes) -> dict[str, tuple[int, str]]:
    """Everything that only the operator writes, with what changes at each write of it."""
    kinds = ("ConfigMap", "Service", "NetworkPolicy", "InferenceService", "Event")
    return {
        f"{kind} {obj['metadata']['name']}": (
            obj["metadata"].get("generation", 0),
            obj["metadata"]["resourceVersion"],
        )
        for kind in kinds
        for obj in cluster.list(kind)
        if kind != "Event" or obj.get("reportingComponent") == "redstart"
    }


def settled(cluster: Kubernetes) -> dict[str, tuple[int, str]]:
    """The same, once the canary's pods are gone and the operator that leads has nothing more to tell."""
    looks: list[dict[str, tuple[int, str]]] = []

    def unchanged() -> bool:
        looks.append(versions(cluster))
        return len(looks) > 1 and looks[-1] == looks[-2]

    eventually(unchanged, "nothing to be written", every=3.0)
    return looks[-1]
