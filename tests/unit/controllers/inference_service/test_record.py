"""The traffic record: read as a later operator wrote it, and made anew where its ConfigMap was lost."""

from __future__ import annotations

import json

import pytest
from tests.unit.controllers.inference_service.builders import role, rolling, version

from redstart.api.v1alpha1.inference_service import InferenceServiceStatus, Phase, StableStatus
from redstart.controllers.inference_service.record import parsed, restored

STABLE = StableStatus(version="m-v1", revision=role(1).revision)


@pytest.mark.parametrize(
    ("phase", "established"),
    [
        pytest.param("Pending", False, id="that was never ready"),
        pytest.param("Stopped", False, id="that is stopped"),
        pytest.param("Serving", True, id="that serves"),
        pytest.param("Canary", True, id="with a canary beside it"),
        pytest.param("RolledBack", True, id="that serves after a rollback"),
        pytest.param("Degraded", True, id="that has lost its pods"),
    ],
)
def test_stable_comes_back_alone(phase: Phase, established: bool) -> None:
    status = InferenceServiceStatus(phase=phase, stable=STABLE)
    record = restored(status, {"m-v1": version(1)}, [])
    assert record is not None
    assert (record.stable, record.established, record.rollout) == (role(1), established, None)


@pytest.mark.parametrize(
    ("plans", "number"),
    [
        pytest.param([], 2, id="where no router was told one"),
        pytest.param([7, 8], 10, id="where the newest may have been lost before any router was told"),
    ],
)
def test_the_number_is_above_every_plan_that_there_was(plans: list[int], number: int) -> None:
    record = restored(InferenceServiceStatus(phase="Serving", stable=STABLE), {"m-v1": version(1)}, plans)
    assert record is not None
    assert record.number == number


@pytest.mark.parametrize(
    ("status", "versions"),
    [
        pytest.param(InferenceServiceStatus(), {"m-v1": version(1)}, id="before there is a stable"),
        pytest.param(InferenceServiceStatus(stable=STABLE), {}, id="when its version is gone"),
    ],
)
def test_nothing_comes_back(status: InferenceServiceStatus, versions: dict[str, object]) -> None:
    assert restored(status, versions, []) is None  # type: ignore[arg-type]


def test_what_only_a_later_operator_knows_is_left_out() -> None:
    written = json.loads(rolling().model_dump_json(by_alias=True, exclude_none=True))
    for part in (written, written["stable"], written["rollout"], written["rollout"]["policy"]["steps"][0]):
        part["later"] = 1
    assert parsed(json.dumps(written)) == rolling()
