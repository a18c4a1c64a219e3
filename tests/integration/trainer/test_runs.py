"""Runs and the store: nothing trains twice, nothing is half there, no input has two numbers."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from redstart.api.v1alpha1.training_job import TrainingJobSpec
from redstart.artifacts import storage
from redstart.artifacts.storage import Location
from redstart.cli.sample_data import generate
from redstart.trainer.job import Job
from redstart.trainer.progress import Progress
from redstart.trainer.run import run as train
from tests.cluster.control_plane import free_ports
from tests.integration.trainer.conftest import Place

SPEC: dict[str, Any] = {
    "task": "Classification",
    "data": {"target": "machine_failure", "features": {"exclude": ["recorded_at", "machine_id"]}},
    "algorithm": {"estimator": "LogisticRegression"},
    "gates": [{"metric": "accuracy", "atLeast": 0.1}],
}


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return pl.DataFrame(generate(rows=1000))


def test_the_same_inputs_are_trained_once(place: Place, rows: pl.DataFrame) -> None:
    place.put("rows.csv", rows)
    first = place.run(SPEC)
    assert (first.code, first.report.result, first.report.number) == (0, "Succeeded", 1), first.output
    before = place.stored()
    again = place.run(SPEC)
    assert (again.code, again.report.result, again.report.reason) == (0, "SameInputs", "GatesPassed"), (
        again.output
    )
    assert again.report.artifact == first.report.artifact
    assert again.report.number == 1
    assert again.details == first.details
    assert place.stored() == before


def test_changed_gates_are_judged_without_training(volume: Place, rows: pl.DataFrame) -> None:
    volume.put("rows.csv", rows)
    first = volume.run(SPEC)
    stricter = volume.run({**SPEC, "gates": [{"metric": "accuracy", "atLeast": 1.0}]})
    assert (stricter.report.result, stricter.report.reason) == ("SameInputs", "GateFailed"), stricter.output
    assert stricter.report.artifact == first.report.artifact
    assert stricter.details["gates"][0]["passed"] is False


def test_other_inputs_get_the_next_number(volume: Place, rows: pl.DataFrame) -> None:
    volume.put("rows.csv", rows)
    numbers = [volume.run({**SPEC, "split": {"seed": seed}}).report.number for seed in (1, 2, 1)]
    assert numbers == [1, 2, 1]
    volume.put("rows.csv", rows.head(900))
    assert volume.run({**SPEC, "split": {"seed": 1}}).report.number == 3


def test_a_version_keeps_the_order_of_the_one_before(place: Place, rows: pl.DataFrame) -> None:
    kept = ["rotational_speed", "torque", "tool_wear", "product_type"]
    others = ["machine_failure", "recorded_at", "machine_id"]
    place.put("rows.csv", rows.select(*kept, *others))
    first = place.run(SPEC)
    assert [feature.name for feature in place.fetched(first)[1].inputs] == kept

    # The next month's file has a new column, not all of the old ones, and another order.
    later = rows.select("air_temperature", "product_type", "torque", *others, "rotational_speed")
    place.put("rows.csv", later)
    second = place.run(SPEC)
    assert second.report.number == 2, second.output
    _, manifest = place.fetched(second)
    wanted = ["rotational_speed", "torque", "product_type", "air_temperature"]
    assert [feature.name for feature in manifest.inputs] == wanted
    assert [entry["name"] for entry in second.details["inputs"]] == wanted
    assert "the inputs that number 1 has too keep its order" in second.output
    assert place.run(SPEC).report.result == "SameInputs"

    # A store that holds nothing before has the file's order; which rows are held out does not depend on it.
    alone = place.run({**SPEC, "model": "alone"})
    names = [feature.name for feature in place.fetched(alone)[1].inputs]
    assert names == ["air_temperature", "product_type", "torque", "rotational_speed"]
    assert alone.details["data"]["rows"] == second.details["data"]["rows"]


def test_two_runs_at_once_make_one_version(place: Place, rows: pl.DataFrame) -> None:
    place.put("rows.csv", rows)
    both = [place.start(SPEC), place.start(SPEC)]
    found = [process.wait() for process in both]
    assert [run.code for run in found] == [0, 0], found[0].output + found[1].output
    assert {run.report.number for run in found} == {1}
    assert len({run.report.artifact.digest for run in found if run.report.artifact}) == 1
    assert len([name for name in place.stored() if name.startswith("runs/")]) == 1
    assert [name for name in place.stored() if name.startswith("numbers/")] == ["numbers/1"]


class Killed(BaseException):
    """Ends a run as a signal would: nothing catches it."""


class Deadly:
    """A store that takes so many writes and then ends the run."""

    def __init__(self, real: Callable[..., None], survived: int) -> None:
        self.real = real
        self.left = survived

    def __call__(self, location: Location, content: bytes | Path, *, create: bool = False) -> None:
        if not self.left:
            raise Killed
        self.left -= 1
        self.real(location, content, create=create)


def test_killed_between_any_two_writes_the_next_run_finishes(
    place: Place, rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.put("rows.csv", rows)
    monkeypatch.setenv("REDSTART_ROOT", str(place.root))
    real = storage.write
    # model, reference, profile, report, manifest, number, index
    for survived in range(7):
        spec = TrainingJobSpec.model_validate(
            {**place.spec({**SPEC, "output": {"format": "Skops"}}), "model": f"m-{survived}"}
        )
        job = Job("default", "m", 1, spec, ("ONNX", "Skops"))
        monkeypatch.setattr(storage, "write", Deadly(real, survived))
        with pytest.raises(Killed):
            train(job, Progress())
        monkeypatch.setattr(storage, "write", real)
        folder = place.folder / f"models/m-{survived}"
        assert not list(folder.glob("runs/*"))
        report, _ = train(job, Progress())
        assert (report.result, report.number) == ("Succeeded", 1)
        assert [path.name for path in folder.glob("numbers/*")] == ["1"]
        assert len(list(folder.glob("runs/*"))) == 1
        assert len(list(folder.glob("artifacts/*/manifest.json"))) == 1
    monkeypatch.setattr(storage, "write", Deadly(real, 7))
    spec = TrainingJobSpec.model_validate(
        {**place.spec({**SPEC, "output": {"format": "Skops"}}), "model": "m-7"}
    )
    assert train(Job("default", "m", 1, spec, ("Skops",)), Progress())[0].result == "Succeeded"


def percents(port: int) -> Iterator[int]:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/progress", timeout=2) as answer:
                yield json.load(answer)["percent"]
        except OSError:
            time.sleep(0.02)


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 128 + signal.SIGTERM)]
)
def test_an_ended_process_is_made_up_for(
    volume: Place, rows: pl.DataFrame, sent: signal.Signals, code: int
) -> None:
    volume.put("rows.csv", rows)
    (port,) = free_ports(1)
    forest = {"estimator": "RandomForestClassifier", "parameters": {"n_estimators": 2000}}
    slow = {**SPEC, "algorithm": forest, "evaluation": {"threshold": {"maximize": "f1"}}}
    process = volume.start(slow, port=port)
    assert next(percent for percent in percents(port) if percent >= 20)
    process.popen.send_signal(sent)
    assert process.wait().code == code
    assert volume.stored() == []
    quick = volume.run(SPEC)
    assert (quick.report.result, quick.report.number) == ("Succeeded", 1), quick.output


def deleted(artifact: Path) -> None:
    for path in artifact.iterdir():
        path.unlink()


def cut(artifact: Path) -> None:
    model = artifact / "model.onnx"
    model.write_bytes(model.read_bytes()[:100])


@pytest.mark.parametrize("damage", [deleted, cut])
def test_a_damaged_artifact_is_trained_again_and_repaired(
    volume: Place, rows: pl.DataFrame, damage: Callable[[Path], None]
) -> None:
    volume.put("rows.csv", rows)
    first = volume.run(SPEC)
    (artifact,) = (volume.folder / "models/m/artifacts").iterdir()
    damage(artifact)
    again = volume.run(SPEC)
    assert (again.report.result, again.report.number) == ("Succeeded", 1), again.output
    assert again.report.artifact == first.report.artifact
    assert volume.fetched(again)
