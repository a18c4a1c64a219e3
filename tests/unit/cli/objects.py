"""Objects as the operator writes them, for the views."""

from datetime import UTC, datetime
from typing import Any

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC).timestamp()
DIGEST = {version: f"sha256:{character * 64}" for version, character in zip((1, 2, 3), "a7c", strict=True)}


def condition(type_: str, status: str, reason: str, message: str) -> dict[str, Any]:
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-03-01T11:00:00Z",
        "observedGeneration": 3,
    }


def event(at: str, type_: str, reason: str, message: str) -> dict[str, Any]:
    return {"lastTimestamp": at, "type": type_, "reason": reason, "message": message, "count": 1}


def inference_service(**status: Any) -> dict[str, Any]:
    return {
        "apiVersion": "redstart.dev/v1alpha1",
        "kind": "InferenceService",
        "metadata": {
            "name": "machine-failure",
            "namespace": "default",
            "generation": 3,
            "uid": "u1",
            "resourceVersion": "10",
            "managedFields": [{"manager": "redstart"}],
        },
        "spec": {"model": {"name": "machine-failure"}, "predictor": {"replicas": 2}},
        "status": {"observedGeneration": 3, **status},
    }


STABLE = {
    "version": "machine-failure-v2",
    "revision": "6fd9c4a1b2c3",
    "readyReplicas": 2,
    "loadedDigest": DIGEST[2],
}
CANARY = {
    "version": "machine-failure-v3",
    "revision": "19be77d0b2c3",
    "readyReplicas": 1,
    "loadedDigest": DIGEST[3],
    "weight": 25,
    "step": 2,
    "steps": 3,
    "since": "2026-03-01T11:59:19Z",
    "rollout": "4-19be77d0b2c3",
    "startedAt": "2026-03-01T11:58:00Z",
    "firstWeightAt": "2026-03-01T11:58:20Z",
    "activeSeconds": 100.0,
    "policy": {
        "strategy": "Canary",
        "steps": [{"weight": 5, "hold": "30s"}, {"weight": 25, "hold": "2m"}, {"weight": 50, "hold": "30s"}],
        "minSamples": 200,
        "deadline": "30m",
    },
}
UNDECIDED = {
    "metric": "ErrorRate",
    "canary": 0.0042,
    "stable": 0.001,
    "allowed": 0.01,
    "evidence": 3.2,
    "needed": 100.0,
    "passEvidence": 8.9,
    "passNeeded": 20.0,
    "samples": 1234,
    "verdict": "Undecided",
    "message": "",
}
FAILED = UNDECIDED | {
    "canary": 0.212,
    "evidence": 812.4,
    "passEvidence": 0.0,
    "samples": 113,
    "verdict": "Fail",
    "message": "21.2 % of the canary's first attempts failed, 0.1 % of stable's",
}
SERVING = condition("Ready", "True", "Serving", "machine-failure-v2 serves on 2 of 2 pods")

IN_CANARY = inference_service(
    phase="Canary",
    url="http://machine-failure.default.svc",
    stable=STABLE,
    canary=CANARY,
    analysis=[UNDECIDED],
    conditions=[
        SERVING,
        condition("Reconciling", "True", "RollingOut", "holding 25 % until 200 samples are in"),
        condition("MetricsAvailable", "True", "Read", "every router's counts are read"),
    ],
    rollouts=[
        {
            "id": "1-6fd9c4a1b2c3",
            "from": "machine-failure-v1",
            "to": "machine-failure-v2",
            "revision": "6fd9c4a1b2c3",
            "result": "Promoted",
            "reason": "Passed",
            "message": "the error rate is within the allowance",
            "startedAt": "2026-02-27T10:00:00Z",
            "decidedAt": "2026-02-27T10:09:00Z",
        }
    ],
)
ROLLED_BACK = inference_service(
    phase="RolledBack",
    url="http://machine-failure.default.svc",
    stable=STABLE,
    conditions=[
        SERVING,
        condition("Stalled", "True", "CanaryRolledBack", "revision 19be77d0b2c3 was rolled back here"),
    ],
    rollouts=[
        {
            "id": "4-19be77d0b2c3",
            "from": "machine-failure-v2",
            "to": "machine-failure-v3",
            "revision": "19be77d0b2c3",
            "result": "RolledBack",
            "reason": "ErrorRate",
            "message": FAILED["message"],
            "evidence": [FAILED],
            "startedAt": "2026-03-01T11:50:00Z",
            "decidedAt": "2026-03-01T11:52:30Z",
        }
    ],
    quarantine=[
        {
            "revision": "19be77d0b2c3",
            "version": "machine-failure-v3",
            "reason": "ErrorRate",
            "at": "2026-03-01T11:52:30Z",
        }
    ],
)
INCOMPATIBLE = inference_service(
    phase="RolledBack",
    url="http://machine-failure.default.svc",
    stable=STABLE,
    conditions=[SERVING],
    rollouts=[
        {
            "id": "4-19be77d0b2c3",
            "from": "machine-failure-v2",
            "to": "machine-failure-v3",
            "revision": "19be77d0b2c3",
            "result": "RolledBack",
            "reason": "IncompatibleInputs",
            "message": "machine-failure-v3 is no successor of machine-failure-v2 for its clients: torque was Number "
            "and is Category. Set data.expect.columns.torque.type to Number; or serve machine-failure-v3 under another "
            "InferenceService",
            "startedAt": "2026-03-01T11:50:00Z",
            "decidedAt": "2026-03-01T11:50:12Z",
        }
    ],
    quarantine=[
        {
            "revision": "19be77d0b2c3",
            "version": "machine-failure-v3",
            "reason": "IncompatibleInputs",
            "at": "2026-03-01T11:50:12Z",
        }
    ],
)
EVENTS = [
    event("2026-03-01T11:59:19Z", "Normal", "WeightRaised", "machine-failure-v3 gets 25 % of the requests"),
    event("2026-03-01T11:52:30Z", "Warning", "RolledBack", "machine-failure-v3 was rolled back: ErrorRate"),
]
# What a terminal's library would read as styles and emojis is a user's text.
MARKUP = [
    event("2026-03-01T11:44:00Z", "Warning", "ColumnMissing", 'column "[/x]" is missing; there is ":x:"')
]

GATES = [
    {"metric": "f1", "value": 0.8312, "bound": 0.75, "direction": "AtLeast", "passed": True},
    {"metric": "recall", "value": 0.55, "bound": 0.6, "direction": "AtLeast", "passed": False},
]


def training_job(**status: Any) -> dict[str, Any]:
    return {
        "apiVersion": "redstart.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": "machine-failure", "namespace": "default", "generation": 1, "uid": "u2"},
        "spec": {"model": "machine-failure", "task": "Classification"},
        "status": {"observedGeneration": 1, **status},
    }


RUNNING = training_job(
    phase="Running",
    conditions=[
        condition("Ready", "False", "Running", "run 3 is running"),
        condition("Reconciling", "True", "Running", "run 3 is running"),
    ],
    progress={"percent": 60, "message": "fitting fold 3 of 5"},
    run={
        "number": 3,
        "job": "machine-failure-run-3",
        "specDigest": DIGEST[1],
        "startedAt": "2026-03-01T11:59:00Z",
        "rows": 51234,
    },
)
REJECTED = training_job(
    phase="Rejected",
    conditions=[condition("Ready", "False", "GateFailed", "recall 0.55 < 0.6")],
    run={
        "number": 3,
        "job": "machine-failure-run-3",
        "specDigest": DIGEST[1],
        "inputDigest": DIGEST[2],
        "dataDigest": DIGEST[3],
        "rows": 51234,
        "startedAt": "2026-03-01T11:40:00Z",
        "finishedAt": "2026-03-01T11:45:00Z",
    },
    latestVersion="machine-failure-v3",
    metrics={"accuracy": 0.9821, "f1": 0.8312, "recall": 0.55},
    data={
        "rows": {
            "read": 51234,
            "dropped": [
                {"reason": "DuplicateRows", "count": 1200},
                {"reason": "MissingTarget", "column": "machine_failure", "count": 34},
            ],
            "train": 40000,
            "test": 10000,
        },
        "warnings": [
            {
                "kind": "LeakageSuspected",
                "column": "repair [h]",
                "count": 10000,
                "message": "repair [h] alone tells machine_failure always: leakage is suspected",
            },
            {"kind": "Guessed", "count": 1, "message": "a.csv was read as separated by ;"},
        ],
        "omitted": 3,
    },
    conversion={"format": "ONNX", "reason": "exact on 2000 rows", "largestDifference": 1.2e-07},
    gates=GATES,
    history=[
        {
            "number": 3,
            "result": "Rejected",
            "reason": "GateFailed",
            "version": "machine-failure-v3",
            "finishedAt": "2026-03-01T11:45:00Z",
        },
        {
            "number": 2,
            "result": "SameInputs",
            "reason": "SameInputs",
            "version": "machine-failure-v2",
            "finishedAt": "2026-02-26T11:45:00Z",
        },
        {"number": 1, "result": "Failed", "reason": "ColumnMissing", "finishedAt": "2026-02-25T11:45:00Z"},
    ],
)

MODEL_VERSION = {
    "apiVersion": "redstart.dev/v1alpha1",
    "kind": "ModelVersion",
    "metadata": {"name": "machine-failure-v2", "namespace": "default", "generation": 1, "uid": "u3"},
    "spec": {
        "model": "machine-failure",
        "number": 2,
        "artifact": {
            "uri": "pvc://models/machine-failure/artifacts/7777",
            "digest": DIGEST[2],
            "format": "ONNX",
        },
        "inputs": [
            {"name": "torque", "type": "Number", "nullable": True},
            {"name": "Rotational speed [rpm]", "type": "Number"},
            {"name": "product_type", "type": "Category", "values": ["L", "M", "H"]},
        ],
        "outputs": [
            {"name": "label", "type": "Category", "values": ["0", "1"]},
            {"name": "probabilities", "type": "Number", "size": 2},
        ],
        "metrics": {"f1": 0.8312, "recall": 0.71},
        "gates": GATES[:1],
        "lineage": {
            "trainingJob": "machine-failure",
            "run": 2,
            "dataDigest": DIGEST[3],
            "parent": "machine-failure-v1",
        },
        "framework": {"scikit-learn": "1.9.1", "skl2onnx": "1.20.0"},
    },
    "status": {
        "observedGeneration": 1,
        "phase": "Ready",
        "verifiedDigest": DIGEST[2],
        "conditions": [condition("Ready", "True", "Verified", "the artifact answers its reference rows")],
        "importance": [
            {"feature": "torque", "value": 0.31},
            {"feature": "Rotational speed [rpm]", "value": 0.12},
            {"feature": "product_type", "value": 0.04},
        ],
        "serving": [{"inferenceService": "machine-failure", "role": "Stable"}],
        "quarantine": [
            {"inferenceService": "other", "reason": "ErrorRate", "at": "2026-03-01T11:52:30Z"},
        ],
    },
}
