"""What each condition of a ModelVersion says, sentence by sentence."""

from __future__ import annotations

import pytest
from tests.unit.controllers.model_version.test_desired import observed
from tests.unit.controllers.objects import GATE_FAILED, GATE_PASSED, at, model_version

from redstart.api.v1alpha1.model_version import QuarantinedBy
from redstart.controllers.conditions import Condition, false, true, unknown
from redstart.controllers.model_version import status
from redstart.controllers.model_version.desired import Plan, Verification
from redstart.controllers.model_version.observe import Observed

DONE = Plan(Verification(true("Verified", "Verified", "all rows match"), "Done"))
REFUSED = "the API server refuses the pod: forbidden: exceeded quota: q"
WAITS = Plan(Verification(unknown("Verified", "FailedCreate", REFUSED), "UnderWay"))
REJECTED = Plan(Verification(false("Verified", "DigestMismatch", "another"), "Rejected"))
STALLED = Plan(Verification(unknown("Verified", "VolumeNotShared", "the claim cannot be shared"), "Stalled"))
MISSED = observed(model_version(gates=[GATE_FAILED]))


def told(condition: Condition) -> str:
    return f"{condition.type}={condition.status} {condition.reason}: {condition.message}"


@pytest.mark.parametrize(
    ("found", "plan", "want"),
    [
        pytest.param(observed(), DONE, "Ready=True Verified: all rows match", id="verified"),
        pytest.param(
            observed(), WAITS, f"Ready=False FailedCreate: {REFUSED}", id="a verifier that is refused"
        ),
        pytest.param(observed(), REJECTED, "Ready=False DigestMismatch: another", id="rejected"),
        pytest.param(
            MISSED, DONE, "Ready=False GateFailed: f1 0.62 < 0.75", id="verified, and a gate failed"
        ),
    ],
)
def test_ready(found: Observed, plan: Plan, want: str) -> None:
    assert told(status.ready(found, plan)) == want


@pytest.mark.parametrize(
    ("plan", "want"),
    [
        pytest.param(DONE, "False", id="verified"),
        pytest.param(WAITS, "True", id="a verifier that is refused"),
        pytest.param(STALLED, "False", id="a claim that somebody has to change"),
        pytest.param(REJECTED, "False", id="rejected"),
    ],
)
def test_reconciling(plan: Plan, want: str) -> None:
    assert status.reconciling(plan).status == want


@pytest.mark.parametrize(
    ("found", "plan", "want"),
    [
        pytest.param(observed(), DONE, "Stalled=False NotStalled: ", id="verified"),
        pytest.param(observed(), WAITS, "Stalled=False NotStalled: ", id="a verifier that is refused"),
        pytest.param(
            observed(),
            STALLED,
            "Stalled=True VolumeNotShared: the claim cannot be shared",
            id="a claim to change",
        ),
        pytest.param(observed(), REJECTED, "Stalled=True DigestMismatch: another", id="rejected"),
        pytest.param(MISSED, DONE, "Stalled=True GateFailed: f1 0.62 < 0.75", id="a gate failed"),
    ],
)
def test_stalled(found: Observed, plan: Plan, want: str) -> None:
    assert told(status.stalled(found, plan)) == want


@pytest.mark.parametrize(
    ("found", "want"),
    [
        pytest.param(observed(), "GatesPassed=True NoGates: no gate was set", id="no gates"),
        pytest.param(
            observed(model_version(gates=[GATE_PASSED])),
            "GatesPassed=True GatesPassed: 1 of 1 gates passed",
            id="passed",
        ),
        pytest.param(MISSED, "GatesPassed=False GateFailed: f1 0.62 < 0.75", id="failed"),
        pytest.param(
            observed(spec=None),
            "GatesPassed=Unknown InvalidSpec: the spec cannot be read",
            id="a spec without sense",
        ),
    ],
)
def test_gates_passed(found: Observed, want: str) -> None:
    assert told(status.gates_passed(found)) == want


@pytest.mark.parametrize(
    ("found", "want"),
    [
        pytest.param(
            observed(),
            "Quarantined=False NotQuarantined: no service has rolled it back",
            id="rolled back by nobody",
        ),
        pytest.param(
            observed(quarantine=[QuarantinedBy(inference_service="web", reason="ErrorRate", at=at(9))]),
            "Quarantined=True RolledBack: rolled back by web (ErrorRate); these do not take it again",
            id="rolled back by a service",
        ),
    ],
)
def test_quarantined(found: Observed, want: str) -> None:
    assert told(status.quarantined(found)) == want
