"""The job that the operator writes, and the progress that it reads."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from tests.unit.trainer.specs import document

from redstart.trainer.errors import TrainingError
from redstart.trainer.job import read_job
from redstart.trainer.progress import Progress, served


def write(path: Path, **changes: Any) -> Path:
    job = {
        "contract": 1,
        "namespace": "default",
        "trainingJob": "m",
        "run": 3,
        "spec": document(),
        "allowedFormats": ["ONNX", "Skops"],
        **changes,
    }
    (path / "job.json").write_text(json.dumps(job))
    return path / "job.json"


def test_a_job_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    monkeypatch.setenv("REDSTART_ROOT", str(tmp_path))
    job = read_job()
    assert (job.namespace, job.name, job.run, job.allowed_formats) == ("default", "m", 3, ("ONNX", "Skops"))
    assert job.spec.algorithm.estimator == "LogisticRegression"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"contract": 2}, "contract 2, this trainer understands 1", id="another contract"),
        pytest.param({"run": "three"}, r"\$\.run", id="a run that is no number"),
        pytest.param(
            {"spec": document(split__testFraction=2)}, "spec.split.testFraction", id="a value out of range"
        ),
        pytest.param({"spec": document(data__sourcez=[])}, "spec.data.sourcez", id="an unknown field"),
    ],
)
def test_a_job_that_cannot_be_read_names_the_field(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(TrainingError, match=message) as caught:
        read_job(write(tmp_path, **changes))
    assert caught.value.reason == "JobInvalid"


def test_no_job_is_said(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="No such file"):
        read_job(tmp_path / "job.json")


def test_progress_is_served_while_it_lasts() -> None:
    progress = Progress()
    with served(progress, port=0) as port:
        address = f"http://127.0.0.1:{port}/progress"
        with urllib.request.urlopen(address) as answer:
            assert json.load(answer) == {"percent": 0, "message": "starting"}
        progress.step(60, "fitting fold 3 of 5")
        with urllib.request.urlopen(address) as answer:
            assert json.load(answer) == {"percent": 60, "message": "fitting fold 3 of 5"}
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/other")
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(address)


def test_progress_moves_while_something_long_goes_on_and_never_goes_back() -> None:
    progress, seen, half = Progress(), [], threading.Event()

    def done(seconds: float) -> float:
        half.set()
        return 0.5

    with progress.moving(55, 65, "fitting on 100 rows", done):
        assert half.wait(30)
    seen.append(json.loads(progress.snapshot()))
    progress.step(20, "evaluating")
    seen.append(json.loads(progress.snapshot()))
    assert seen == [
        {"percent": 60, "message": "fitting on 100 rows"},
        {"percent": 60, "message": "evaluating"},
    ]
