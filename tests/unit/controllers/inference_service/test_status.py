"""The phase, the arms and the history that an InferenceService tells of."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.controllers.inference_service.builders import (
    entry,
    observed,
    pods,
    role,
    rolled_back,
    rolling,
    situation,
    spec,
    steady,
)

from redstart.controllers.inference_service.status import status

V1, V2 = role(1).revision, role(2).revision


@pytest.mark.parametrize(
    ("found", "phase"),
    [
        pytest.param({"record": None}, "Pending", id="nothing has been made yet"),
        pytest.param(
            {"record": steady().model_copy(update={"established": False})},
            "Pending",
            id="the first pods are starting",
        ),
        pytest.param({"observed": observed(spec(predictor={"replicas": 0}))}, "Stopped", id="stopped"),
        pytest.param({}, "Serving", id="stable alone"),
        pytest.param({"record": rolling()}, "Canary", id="a canary beside stable"),
        pytest.param({"record": rolled_back()}, "RolledBack", id="a canary that is being taken out"),
        pytest.param(
            {"observed": observed(status={"rollouts": [entry("RolledBack", 2)]})},
            "RolledBack",
            id="the last rollout was rolled back",
        ),
        pytest.param(
            {"observed": observed(status={"rollouts": [entry("Promoted", 1), entry("RolledBack", 2)]})},
            "Serving",
            id="one was promoted since",
        ),
        pytest.param(
            {"observed": observed(revisions={V1: pods(0)})}, "Degraded", id="no pod of stable is ready"
        ),
        pytest.param(
            {"observed": observed(revisions={V1: pods(0), V2: pods(1)}), "record": rolling()},
            "Degraded",
            id="no pod of stable is ready in a rollout",
        ),
    ],
)
def test_phase(found: dict[str, Any], phase: str) -> None:
    assert status(situation(**found))["phase"] == phase


def test_a_decided_rollout_enters_history_once_and_bars_the_revision() -> None:
    first = status(situation(record=rolled_back()))
    (told,), (barred,) = first["rollouts"], first["quarantine"]
    assert (told["to"], told["result"], told["reason"]) == ("m-v2", "RolledBack", "ErrorRate")
    assert (barred["revision"], barred["reason"]) == (V2, "ErrorRate")
    again = status(situation(record=rolled_back(), observed=observed(status=first)))
    assert again["rollouts"] == first["rollouts"]
    assert again["quarantine"] == first["quarantine"]


def test_history_keeps_ten_rollouts() -> None:
    before = {"rollouts": [entry("Promoted", number) for number in range(3, 13)]}
    told = status(situation(record=rolled_back(), observed=observed(status=before)))["rollouts"]
    assert [record["to"] for record in told] == ["m-v2", *(f"m-v{number}" for number in range(3, 12))]


def test_each_arm_tells_how_many_of_its_pods_are_ready_of_how_many() -> None:
    found = situation(
        record=rolling(), replicas={V1: 3, V2: 2}, observed=observed(revisions={V1: pods(3), V2: pods(1)})
    )
    told = status(found)
    assert [(told[arm]["readyReplicas"], told[arm]["desiredReplicas"]) for arm in ("stable", "canary")] == [
        (3, 3),
        (1, 2),
    ]


@pytest.mark.parametrize(
    ("weights", "shown", "want"),
    [
        pytest.param((20, 20), 5, 20, id="as every router says"),
        pytest.param((20, 5), 5, 5, id="the least that a router says"),
        pytest.param((), 20, 20, id="what they said last, while none can be read"),
    ],
)
def test_the_canarys_weight(weights: tuple[int, ...], shown: int, want: int) -> None:
    before = status(situation(record=rolling(), weights=(shown,)))
    found = situation(record=rolling(), weights=weights, observed=observed(status=before))
    assert status(found)["canary"]["weight"] == want
