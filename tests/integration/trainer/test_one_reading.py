"""The file that was trained on is answered by trainer, server and command line alike, whatever its cells look like."""

from __future__ import annotations

import csv
import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine

from redstart.api.v1alpha1.training_job import TrainingJobSpec
from redstart.artifacts.predictor import typed
from redstart.cli import rows as cli_rows
from redstart.cli.sample_data import generate
from redstart.server import inference, loading
from redstart.server.service import Service
from redstart.server.settings import SAFE_FORMATS
from redstart.trainer.preparing import prepare
from redstart.trainer.reading import DataFile, declared_columns, read_rows
from tests.integration.trainer.conftest import Place, Run

Table = tuple[list[str], list[list[str]]]
"""Names, and rows of cells as a file holds them."""

LINE = "line"


def odd(rows: list[dict[str, Any]], target: str, keep: tuple[str, ...] = ()) -> Table:
    """Rows as text, some cells of features in the ways in which people, pandas and databases write them."""
    chosen = random.Random(11)
    names = list(rows[0])
    table = []
    for number, row in enumerate(rows):
        cells = [
            _cell(value) if name in (target, *keep) else _odd(value, chosen) for name, value in row.items()
        ]
        table.append([*cells, str(number)])
    return [*names, LINE], table


def _cell(value: Any) -> str:
    return "" if value is None else str(value)


def _odd(value: Any, chosen: random.Random) -> str:
    text = _cell(value)
    if chosen.random() < 0.02:
        return chosen.choice(["NULL", "None", "N/A", "?", "-", "\\N", "NA", "  "])
    if value is None or chosen.random() < 0.8:
        return text
    if isinstance(value, bool):
        return chosen.choice([text.upper(), text.lower(), f" {text}"])
    if isinstance(value, int):
        return chosen.choice([f"{value}.0", f" {value}", f"{value:+d}", f"{value:,}"])
    if isinstance(value, float):
        return chosen.choice([f" {value!r}", f"{value!r}\xa0", f"{value:+.17g}", f"{value:.17e}"])
    return chosen.choice([f" {text}", f"{text} "])


def of_sklearn(load: Callable[[], Any], *, labels: bool = False) -> Callable[[], Table]:
    def made() -> Table:
        data = load()
        names = [str(name) for name in data.feature_names]
        rows = [
            dict(zip(names, map(float, values), strict=True))
            | {"target": str(data.target_names[goal]) if labels else float(goal)}
            for values, goal in zip(data.data, data.target, strict=True)
        ]
        return odd(rows, "target")

    return made


def sensors() -> Table:
    """`redstart sample-data`."""
    rows = [dict(row) for row in generate(rows=1500, missing=0.05)]
    return odd(rows, "machine_failure", ("recorded_at",))


def shops() -> Table:
    """Postal codes as pandas writes them, booleans, a region that is called NA; labels of which one is missing."""
    chosen = random.Random(5)
    rows = []
    for number in range(600):
        code, is_open, region = (
            chosen.choice([10115, 20095, 1067]),
            chosen.random() < 0.5,
            chosen.choice(["NA", "EU"]),
        )
        rows.append(
            {
                "zip": float(code),
                "open": is_open,
                "region": region,
                "wear": chosen.randrange(5000),
                "sold": None
                if number == 7
                else float((code == 10115) ^ (region == "NA") or chosen.random() < 0.1),
            }
        )
    names, table = odd(rows, "sold", ("region",))
    return names, table


FOREST = {"estimator": "RandomForestClassifier", "parameters": {"n_estimators": 15}}
LINEAR = {"estimator": "LogisticRegression", "parameters": {"max_iter": 200}}


@pytest.mark.parametrize(
    ("made", "spec"),
    [
        pytest.param(
            sensors,
            {
                "task": "Classification",
                "data": {"target": "machine_failure", "features": {"exclude": ["recorded_at", LINE]}},
                "algorithm": FOREST,
            },
            id="sample data",
        ),
        pytest.param(
            shops,
            {
                "task": "Classification",
                "data": {
                    "target": "sold",
                    "features": {"exclude": [LINE]},
                    "expect": {"columns": {"zip": {"type": "Category"}, "region": {"values": ["NA", "EU"]}}},
                },
                "prepare": {"model": {"encode": {"unknown": "Reject"}}},
                "evaluation": {"positiveClass": "1"},
                "algorithm": FOREST,
            },
            id="codes, booleans and a region that is called NA",
        ),
        pytest.param(
            of_sklearn(load_iris, labels=True),
            {
                "task": "Classification",
                "data": {"target": "target", "features": {"exclude": [LINE]}},
                "algorithm": LINEAR,
            },
            id="iris",
        ),
        pytest.param(
            of_sklearn(load_wine),
            {
                "task": "Classification",
                "data": {"target": "target", "features": {"exclude": [LINE]}},
                "algorithm": FOREST,
            },
            id="wine",
        ),
        pytest.param(
            of_sklearn(load_breast_cancer),
            {
                "task": "Classification",
                "data": {"target": "target", "features": {"exclude": [LINE]}},
                "algorithm": LINEAR,
            },
            id="breast cancer",
        ),
        pytest.param(
            of_sklearn(load_diabetes),
            {
                "task": "Regression",
                "data": {"target": "target", "features": {"exclude": [LINE]}},
                "algorithm": {"estimator": "Ridge"},
            },
            id="diabetes",
        ),
    ],
)
def test_the_held_out_rows_of_a_file_have_one_answer(
    made: Callable[[], Table], spec: dict[str, Any], volume: Place, tmp_path: Path
) -> None:
    names, table = made()
    path = volume.folder / "data/rows.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, names, table)
    run = volume.run(spec)
    assert run.report.result == "Succeeded", run.output
    held_out, trained = of_trainer(volume, run, spec, path)
    assert len(held_out) >= 20

    _, manifest = volume.fetched(run)
    artifact = loading.open_artifact(volume.root / f"model-{volume.runs}", SAFE_FORMATS)
    service = Service(artifact, inference.load(artifact), "m", "m-v1")
    inputs = [feature.name for feature in manifest.inputs]
    cells = [dict(zip(names, table[line], strict=True)) for line in held_out]

    write(tmp_path / "asked.csv", names, [table[line] for line in held_out])
    properties = json.loads(service.openapi)["components"]["schemas"]["Row"]["properties"]
    from_file, left_out = cli_rows.known_only(cli_rows.read(tmp_path / "asked.csv", properties), properties)
    assert LINE in left_out
    texts = [{name: row[name] for name in inputs} for row in cells]
    asked = {
        "redstart predict --file": {"rows": from_file},
        "redstart predict --row": {"rows": cli_rows.typed([json.dumps(row) for row in texts])},
        "rows of text": {"rows": texts},
        "instances of text": {"instances": [list(row.values()) for row in texts]},
    }
    for how, body in asked.items():
        found = json.loads(service.predict(json.dumps(body).encode()).body)["prediction"]
        assert agree(found, trained), how
    tensors = [
        {"name": name, "shape": [len(cells)], "datatype": "BYTES", "data": [row[name] for row in cells]}
        for name in inputs
    ]
    found = json.loads(service.infer(json.dumps({"inputs": tensors}).encode()).body)["outputs"][0]["data"]
    assert agree(found, trained), "V2"


def test_labels_of_which_one_is_missing_are_whole_numbers(volume: Place) -> None:
    names, table = shops()
    path = volume.folder / "data/rows.csv"
    path.parent.mkdir(parents=True)
    write(path, names, table)
    run = volume.run(
        {
            "task": "Classification",
            "data": {
                "target": "sold",
                "features": {"exclude": [LINE]},
                "expect": {"columns": {"region": {"values": ["NA", "EU"]}}},
            },
            "evaluation": {"positiveClass": "1"},
            "algorithm": FOREST,
        }
    )
    assert run.report.result == "Succeeded", run.output
    _, manifest = volume.fetched(run)
    values = manifest.prediction.values
    assert (values, [type(value) for value in values or []]) == ([0, 1], [int, int])
    artifact = loading.open_artifact(volume.root / f"model-{volume.runs}", SAFE_FORMATS)
    metadata = json.loads(Service(artifact, inference.load(artifact), "m", "m-v1").metadata)
    assert metadata["outputs"][0]["datatype"] == "INT64"
    assert "1 rows have no sold: dropped" in run.output


def of_trainer(volume: Place, run: Run, spec: dict[str, Any], path: Path) -> tuple[list[int], list[Any]]:
    """The lines that training held out, and what the artifact says of them as the trainer has them."""
    job = TrainingJobSpec.model_validate(volume.spec(spec))
    reading = read_rows([DataFile("rows.csv", path, "CSV")], declared_columns(job.data))
    prepared = prepare(reading.rows, job, counts=reading.cells)
    predictor, manifest = volume.fetched(run)
    answers = predictor.answers(typed(manifest, prepared.test.tensors))
    lines = prepared.rows[LINE][prepared.parts.test].to_list()
    return lines, [answer.prediction for answer in answers]


def agree(found: list[Any], wanted: list[Any]) -> bool:
    return len(found) == len(wanted) and all(
        math.isclose(one, other, rel_tol=1e-5) if isinstance(other, float) else one == other
        for one, other in zip(found, wanted, strict=True)
    )


def write(path: Path, names: list[str], table: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([names, *table])
