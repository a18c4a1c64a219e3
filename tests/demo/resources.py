"""What the demo applies: the samples of manifests/samples, and Jobs that a factory would run itself."""

from __future__ import annotations

import base64
import json
from typing import Any

import yaml

from redstart.cli.sample_data import Row, generate
from tests.cluster.kind import REPOSITORY
from tests.demo import lookup
from tests.e2e.kubernetes import Object
from tests.e2e.pods import restricted
from tests.e2e.traffic import IMAGE

NAMESPACE = "redstart-demo"
MODEL = SERVICE = JOB = "machine-failure"
CLAIM = "models"
IMPORT = "import-lookup-table"
SAMPLES = REPOSITORY / "manifests" / "samples"
FEATURES = (*lookup.CATEGORIES, *lookup.NUMBERS)
"""In the order of the readings' columns, which all versions keep."""
ROWS = 10_000
DRIFT = 1.0
"""From February on: tools are used up to 40 minutes longer, in a warmer hall."""
STEPS = [{"weight": 20, "hold": "15s"}, {"weight": 50, "hold": "15s"}]

_WRITE = """
import sys
from pathlib import Path
from redstart.cli.sample_data import generate, write

month, rows, drift, file = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4])
file.parent.mkdir(exist_ok=True)
write(generate(month=month, rows=rows, drift=drift), file)
"""


def namespace() -> Object:
    """The demo's own namespace, which takes only pods of the level "restricted"."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    }


def sample(name: str) -> Object:
    """One of manifests/samples."""
    found: Object = yaml.safe_load((SAMPLES / f"{name}.yaml").read_text(encoding="utf-8"))
    return found


def file(month: str) -> str:
    """Where a month's rows lie, as pods see it and as a TrainingJob names it after pvc://."""
    return f"{CLAIM}/readings/{month}.csv"


def readings(month: str, drift: float) -> Object:
    """A Job that writes a month's rows to the volume."""
    arguments = [month, str(ROWS), str(drift), f"/redstart/volumes/{file(month)}"]
    return _job(f"readings-{month}", ["python", "-c", _WRITE, *arguments])


def training_job(*months: str) -> Object:
    """The sample's TrainingJob on rows in the volume."""
    job = sample("trainingjob")
    job["spec"]["data"]["sources"] = [{"uri": f"pvc://{file(month)}"} for month in months]
    # On a small machine training shares the cores with serving, and can wait.
    job["spec"]["template"] = {"resources": {"requests": {"cpu": "50m", "memory": "512Mi"}}}
    return job


def inference_service() -> Object:
    """The sample's InferenceService with one pod and shorter steps."""
    service = sample("inferenceservice")
    service["spec"]["predictor"] |= {
        "replicas": 1,
        "resources": {"requests": {"cpu": "250m", "memory": "192Mi"}},
    }
    service["spec"]["rollout"]["steps"] = STEPS
    return service


def todays_rows() -> list[Object]:
    """What clients send: rows of the time after February, as raw as sensors give them."""
    return [{name: row[name] for name in FEATURES} for row in _rows("2026-03", DRIFT, 500)]


def imported() -> tuple[Object, Object]:
    """The model that somebody brings along, and the Job that packs it into the volume as an artifact.

    Its rows are January's, of tools that are younger than the table is long. One has no value at all, since clients
    may leave out any."""
    known = [row for row in _rows("2026-01", 0.0, 400) if float(row["tool_wear"] or 0) < lookup.LONGEST_LIFE]
    rows = [{name: row[name] for name in FEATURES} for row in known[:255]]
    rows.append(dict.fromkeys(FEATURES))
    files = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": IMPORT},
        "binaryData": {"model.onnx": base64.b64encode(lookup.graph()).decode()},
        "data": {"rows.json": json.dumps(rows)},
    }
    arguments = ["pack", "/import", "--model", MODEL, "--output", f"pvc://{CLAIM}", "--classes", "[0, 1]"]
    job = _job(
        IMPORT,
        ["python", "-m", "redstart.artifacts", *arguments],
        volumes=[{"name": "import", "configMap": {"name": IMPORT}}],
        mounts=[{"name": "import", "mountPath": "/import"}],
    )
    return files, job


def model_version(number: int, artifact: Object) -> Object:
    """The version as its owner registers it by hand."""
    return {
        "apiVersion": "redstart.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": f"{MODEL}-v{number}"},
        "spec": {"model": MODEL, "number": number, "artifact": artifact},
    }


def _rows(month: str, drift: float, count: int) -> list[Row]:
    return generate(seed=11, month=month, rows=count, drift=drift)


def _job(
    name: str, command: list[str], *, volumes: list[Any] | None = None, mounts: list[Any] | None = None
) -> Object:
    container = {
        "name": "main",
        "image": IMAGE,
        "command": command,
        "volumeMounts": [
            {"name": "models", "mountPath": f"/redstart/volumes/{CLAIM}"},
            {"name": "tmp", "mountPath": "/tmp"},
            *(mounts or ()),
        ],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    pod = restricted(
        container,
        restartPolicy="Never",
        volumes=[
            {"name": "models", "persistentVolumeClaim": {"claimName": CLAIM}},
            {"name": "tmp", "emptyDir": {}},
            *(volumes or ()),
        ],
    )
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 1, "template": {"spec": pod}},
    }
