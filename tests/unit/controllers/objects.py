"""Objects of the cluster for tests, as short as a sentence about them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import yaml

Object = dict[str, Any]

NOW = 1_800_000_000.0
"""2027-01-15T08:00:00Z."""


def at(seconds_ago: float) -> str:
    """A time so many seconds before NOW, as Kubernetes writes it."""
    from redstart.controllers.conditions import timestamp

    return timestamp(NOW - seconds_ago)


def sha(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def training_spec(**changes: Any) -> Object:
    return {
        "model": "iris",
        "task": "Classification",
        "data": {"sources": [{"uri": "pvc://data/iris.csv"}], "target": "species"},
        "algorithm": {"estimator": "RandomForestClassifier"},
        "output": {"uri": "pvc://models"},
    } | changes


def training_job(spec: Object | None = None, *, generation: int = 1, **metadata: Any) -> Object:
    return {
        "apiVersion": "redstart.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {
            "name": "iris",
            "namespace": "default",
            "uid": "owner",
            "generation": generation,
            "creationTimestamp": at(3600),
            **metadata,
        },
        "spec": spec if spec is not None else training_spec(),
    }


def model_version(number: int = 1, *, model: str = "iris", uid: str = "version", **spec: Any) -> Object:
    return {
        "apiVersion": "redstart.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {
            "name": f"{model}-v{number}",
            "namespace": "default",
            "uid": uid,
            "generation": 1,
            "creationTimestamp": at(3600),
            "labels": {"redstart.dev/model": model},
        },
        "spec": {
            "model": model,
            "number": number,
            "artifact": {
                "uri": f"pvc://models/{model}/artifacts/a",
                "digest": sha("artifact"),
                "format": "ONNX",
            },
        }
        | spec,
    }


def claim(name: str, *modes: str, phase: str = "Bound") -> Object:
    return {
        "metadata": {"name": name, "annotations": {"volume.kubernetes.io/selected-node": "gone-node"}},
        "spec": {"accessModes": list(modes)},
        "status": {"phase": phase},
    }


def ended_job(job: Object, condition: str, reason: str = "", *, ago: float = 5, **status: Any) -> Object:
    """The Job after it ended: condition Complete or Failed."""
    ending = {"type": condition, "status": "True", "reason": reason, "lastTransitionTime": at(ago)}
    return job | {"status": {"conditions": [ending], **status}}


def pod(job: Object, name: str = "pod", *, phase: str = "Running", ago: float = 60, **status: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": name,
            "creationTimestamp": at(ago),
            "labels": job["metadata"]["labels"],
            "ownerReferences": [
                {
                    "apiVersion": "batch/v1",
                    "kind": "Job",
                    "name": job["metadata"]["name"],
                    "uid": job["metadata"]["uid"],
                    "controller": True,
                }
            ],
        },
        "spec": {"nodeName": "node-1"},
        "status": {"phase": phase, "podIP": "10.0.0.7", **status},
    }


def terminated(name: str, exit_code: int = 0, message: Any = "", **state: Any) -> Object:
    """The status of a container that has ended; a message that is no text is written as JSON."""
    text = message if isinstance(message, str) else json.dumps(message)
    ended = {"exitCode": exit_code, "message": text, "finishedAt": at(5), **state}
    return {"name": name, "imageID": f"example.com/{name}@{sha(name)}", "state": {"terminated": ended}}


def waiting(name: str, reason: str, message: str = "", **more: Any) -> Object:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"name": name, "image": "example.com/runtime:1", "state": state, **more}


DETAILS: Object = {
    "redstart": "details",
    "inputs": [{"name": "petal", "type": "Number", "nullable": True}],
    "outputs": [{"name": "prediction", "type": "Category", "values": ["a", "b"]}],
    "metrics": {"f1": 0.83},
    "gates": [],
    "importance": [{"feature": "petal", "value": 0.3}],
    "data": {
        "rows": {
            "read": 150,
            "dropped": [{"reason": "MissingTarget", "column": "kind", "count": 3}],
            "train": 117,
            "test": 30,
        },
        "warnings": [],
        "omitted": 0,
    },
    "conversion": {"format": "ONNX", "reason": "exact", "largestDifference": 1e-7},
    "framework": {"scikit-learn": "1.9.1"},
}
GATE_FAILED = {"metric": "f1", "value": 0.62, "bound": 0.75, "direction": "AtLeast", "passed": False}
GATE_PASSED = {"metric": "f1", "value": 0.83, "bound": 0.75, "direction": "AtLeast", "passed": True}


def details_line(**changes: Any) -> str:
    return json.dumps(DETAILS | changes)


def report(log: str, **changes: Any) -> Object:
    """A trainer's report that goes with this last line of its log."""
    return {
        "result": "Succeeded",
        "reason": "Trained",
        "message": "f1 0.83",
        "number": 1,
        "inputDigest": sha("input"),
        "dataDigest": sha("data"),
        "rows": 150,
        "artifact": {"uri": "pvc://models/iris/artifacts/a", "digest": sha("artifact"), "format": "ONNX"},
        "detailsDigest": sha(log),
    } | changes


class _Dumper(yaml.SafeDumper):
    """Writes a text of several lines as one."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    ),
)


def documents(objects: list[Object]) -> str:
    """The objects as one YAML file, for golden files."""
    return yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
