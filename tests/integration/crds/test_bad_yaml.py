"""Bad YAML of every kind that we could think of, each with the sentence that its user reads.

Where the API server can know, `kubectl apply` says it; objects are sent as kubectl sends them, with unknown fields
refused.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest

from redstart.kube.kinds import INFERENCE_SERVICE, MODEL_VERSION, TRAINING_JOB, Kind, Object
from tests.integration.api import Api, RefusedError
from tests.unit.controllers.objects import sha

GOOD: dict[Kind, Object] = {
    TRAINING_JOB: {
        "metadata": {"name": "iris"},
        "spec": {
            "model": "iris",
            "task": "Classification",
            "data": {"sources": [{"uri": "pvc://data/iris.csv"}], "target": "species", "time": "at"},
            "prepare": {"dataset": {}, "model": {}},
            "split": {"strategy": "Stratified"},
            "algorithm": {"estimator": "RandomForestClassifier"},
            "evaluation": {"positiveClass": "1"},
            "gates": [{"metric": "f1", "atLeast": 0.75}],
            "output": {"uri": "pvc://models"},
            "template": {"resources": {"requests": {"cpu": 2, "memory": "1.5Gi"}}},
        },
    },
    MODEL_VERSION: {
        "metadata": {"name": "iris-v3"},
        "spec": {
            "model": "iris",
            "number": 3,
            "artifact": {"uri": "pvc://models/iris", "digest": sha("a"), "format": "ONNX"},
        },
    },
    INFERENCE_SERVICE: {
        "metadata": {"name": "iris"},
        "spec": {
            "model": {"name": "iris"},
            "predictor": {"replicas": 2},
            "rollout": {"steps": [{"weight": 5}, {"weight": 50}], "analysis": {"errorRate": {}}},
            "traffic": {"timeout": "10s"},
        },
    },
}

REMOVED = object()


def changed(kind: Kind, changes: dict[str, Any]) -> Object:
    """The good object with values at dotted paths changed."""
    made = copy.deepcopy(GOOD[kind]) | {"apiVersion": kind.api_version, "kind": kind.kind}
    for path, value in changes.items():
        *parents, last = path.split(".")
        at: Any = made
        for part in parents:
            at = at[int(part)] if isinstance(at, list) else at.setdefault(part, {})
        if value is REMOVED:
            del at[last]
        elif isinstance(at, list):
            at[int(last)] = value
        else:
            at[last] = value
    return made


T, M, S = TRAINING_JOB, MODEL_VERSION, INFERENCE_SERVICE
SOURCE = "spec.data.sources.0"

BAD: dict[str, tuple[Kind, dict[str, Any], str]] = {
    "a name that is too long": (
        T,
        {"metadata.name": "x" * 41},
        "metadata.name: Too long: may not be more than 40 bytes",
    ),
    "a name that begins with a digit": (
        T,
        {"metadata.name": "1st"},
        "metadata.name: at most 40 characters a-z, 0-9 and '-', beginning with a letter and ending with a letter or "
        "digit",
    ),
    "a misspelt field": (T, {"spec.modle": "iris"}, 'unknown field "spec.modle"'),
    "a field that a pod has but our template has not": (
        T,
        {"spec.template.securityContext": {"privileged": True}},
        'unknown field "spec.template.securityContext"',
    ),
    "no target": (T, {"spec.data.target": REMOVED}, "spec.data.target: Required value"),
    "no source": (T, {"spec.data.sources": []}, "spec.data.sources in body should have at least 1 items"),
    "a task that nobody knows": (
        T,
        {"spec.task": "Clustering"},
        'spec.task: Unsupported value: "Clustering": supported values: "Classification", "Regression"',
    ),
    "a model with capitals": (
        T,
        {"spec.model": "Iris"},
        "spec.model: Invalid value: \"Iris\": use a-z, 0-9 and '-', with a letter at the beginning and a letter or "
        "digit at the end",
    ),
    "a source that is a path": (
        T,
        {f"{SOURCE}.uri": "/data/iris.csv"},
        'spec.data.sources[0].uri: Invalid value: "/data/iris.csv": use s3://bucket/path, gs://, az://, https://, '
        "pvc://claim/path or configmap://name/key",
    ),
    "a source that climbs out of its volume": (
        T,
        {f"{SOURCE}.uri": "pvc://data/../../etc/passwd"},
        "data.sources.uri: '..' is not allowed; name the folder itself",
    ),
    "credentials where none are needed": (
        T,
        {f"{SOURCE}.secretRef": {"name": "s"}},
        "data.sources.secretRef: pvc:// and configmap:// need no credentials; remove secretRef",
    ),
    "a format where the files say it themselves": (
        T,
        {f"{SOURCE}.uri": "pvc://data/iris.parquet", f"{SOURCE}.format": {"separator": ";"}},
        "data.sources.format: Parquet files say themselves how they are written; remove format",
    ),
    "a separator of two signs": (
        T,
        {f"{SOURCE}.format": {"separator": "\\t"}},
        "Too long: may not be more than 1",
    ),
    "a separator that stands in numbers": (
        T,
        {f"{SOURCE}.format": {"separator": "7"}},
        'use one sign, such as "," ";" "|"',
    ),
    "one sign for separator and decimal": (
        T,
        {f"{SOURCE}.format": {"separator": ",", "decimal": ","}},
        "data.sources.format: separator and decimal are the same sign",
    ),
    "a decimal sign that nobody uses": (
        T,
        {f"{SOURCE}.format": {"decimal": "_"}},
        'Unsupported value: "_": supported values: ".", ","',
    ),
    "an encoding that is none of text": (
        T,
        {f"{SOURCE}.format": {"encoding": "base64"}},
        "use the name of an encoding of text, such as UTF-8, UTF-16, cp1252 or latin-1",
    ),
    "an output's credentials where none are needed": (
        T,
        {"spec.output.secretRef": {"name": "s"}},
        "output.secretRef: pvc:// needs no credentials; remove secretRef",
    ),
    "an artifact's credentials where none are needed": (
        M,
        {"spec.artifact.secretRef": {"name": "s"}},
        "artifact.secretRef: pvc:// needs no credentials; remove secretRef",
    ),
    "folds that nothing uses": (
        T,
        {"spec.split.validation": {"folds": 3}},
        "split.validation: its folds choose the threshold of evaluation.threshold.maximize",
    ),
    "arguments for a command that takes none": (
        T,
        {"spec.template.args": ["--fast"]},
        "template.args: Redstart's own command takes no arguments; give template.command too",
    ),
    "the server's resources said twice": (
        S,
        {
            "spec.predictor.resources": {"limits": {"memory": "1Gi"}},
            "spec.predictor.template": {"resources": {"limits": {"memory": "2Gi"}}},
        },
        "predictor.resources: template.resources says the same of the same container; give one of them",
    ),
    "features both included and excluded": (
        T,
        {"spec.data.features": {"include": ["a"], "exclude": ["b"]}},
        "data.features: give exactly one of include and exclude",
    ),
    "a source with a password in it": (
        T,
        {f"{SOURCE}.uri": "https://u:p@files/iris.csv"},
        "data.sources.uri: user and password do not belong into it; put USERNAME and PASSWORD into a Secret, and name "
        "it as secretRef",
    ),
    "credentials in clear": (
        T,
        {f"{SOURCE}": {"uri": "http://files/iris.csv", "secretRef": {"name": "keys"}}},
        "data.sources.secretRef: http:// would send it for all to read; use https://, or remove secretRef",
    ),
    "a source with a line break": (
        T,
        {f"{SOURCE}.uri": "s3://bucket/a\nb.csv"},
        "use s3://bucket/path, gs://, az://, https://, ",
    ),
    "an expectation that nothing can meet": (
        T,
        {"spec.data.expect.columns": {"petal": {"min": 3, "max": 1}}},
        "data.expect.columns: min is above max",
    ),
    "a share above one": (
        T,
        {"spec.data.expect.columns": {"petal": {"maxMissing": 5}}},
        "spec.data.expect.columns.petal.maxMissing in body should be less than or equal to 1",
    ),
    "an imputation that nobody knows": (
        T,
        {"spec.prepare.model.impute": {"petal": "Zero"}},
        "prepare.model.impute: use Mean, Median, MostFrequent or Constant:VALUE",
    ),
    "a column both required and imputed": (
        T,
        {"spec.prepare": {"dataset": {"dropMissing": ["petal"]}, "model": {"impute": {"petal": "Mean"}}}},
        "prepare: a column is in dataset.dropMissing and in model.impute; it can be either required or imputed",
    ),
    "a column both dropped and filled": (
        T,
        {"spec.prepare.dataset": {"dropMissing": ["petal"], "forwardFill": {"columns": ["petal"]}}},
        "prepare.dataset: a column is in dropMissing and in forwardFill; choose one",
    ),
    "forward fill without an order of rows": (
        T,
        {"spec.prepare.dataset.forwardFill": {"columns": ["petal"]}, "spec.data.time": REMOVED},
        "data.time: needed with prepare.dataset.forwardFill",
    ),
    "a group split without a group": (
        T,
        {"spec.split": {"strategy": "Group"}},
        "split.group: needed with strategy Group, and only there",
    ),
    "a time split without a time": (
        T,
        {"spec.split": {"strategy": "Time"}, "spec.data.time": REMOVED},
        "data.time: needed with split.strategy Time",
    ),
    "a gap without a time split": (
        T,
        {"spec.split": {"strategy": "Random", "gap": "1h"}},
        "split.gap: only with strategy Time",
    ),
    "a test part that is everything": (
        T,
        {"spec.split.testFraction": 1.0},
        "spec.split.testFraction in body should be less than 0.9",
    ),
    "classification's split for a regression": (
        T,
        {"spec.task": "Regression", "spec.evaluation": REMOVED, "spec.gates": []},
        "split.strategy: Stratified is for Classification; use Random",
    ),
    "classification's evaluation for a regression": (
        T,
        {"spec.task": "Regression", "spec.split": REMOVED, "spec.gates": []},
        "evaluation: positiveClass and threshold are for Classification; remove them",
    ),
    "classification's gates for a regression": (
        T,
        {"spec.task": "Regression", "spec.split": REMOVED, "spec.evaluation": REMOVED},
        "gates: mae, rmse and r2 are for Regression, the other metrics for Classification",
    ),
    "an estimator by its whole path": (
        T,
        {"spec.algorithm.estimator": "sklearn.ensemble.RandomForestClassifier"},
        "use the class name of a scikit-learn estimator alone, for instance RandomForestClassifier",
    ),
    "a threshold that is both fixed and sought": (
        T,
        {"spec.evaluation.threshold": {"value": 0.5, "maximize": "f1"}},
        "evaluation.threshold: give exactly one of value and maximize",
    ),
    "a gate without a bound": (
        T,
        {"spec.gates": [{"metric": "f1"}]},
        "gates: give exactly one of atLeast and atMost",
    ),
    "a gate on a metric that nobody knows": (
        T,
        {"spec.gates": [{"metric": "f2", "atLeast": 0.5}]},
        'spec.gates[0].metric: Unsupported value: "f2": supported values: "accuracy", "precision"',
    ),
    "an output that cannot be written": (
        T,
        {"spec.output.uri": "https://example.com/models"},
        'spec.output.uri: Invalid value: "https://example.com/models": use pvc://claim/path, s3://bucket/path, gs:// '
        "or az://",
    ),
    "a deadline in words": (
        T,
        {"spec.activeDeadline": "two hours"},
        'spec.activeDeadline: Invalid value: "two hours": use whole numbers with the units h, m, s or ms, for '
        'instance "90s", "2h" or "1h30m"',
    ),
    "a deadline of nothing": (
        T,
        {"spec.activeDeadline": "0s"},
        'spec.activeDeadline: Invalid value: "0s": must be longer than 0s',
    ),
    "too many attempts": (
        T,
        {"spec.backoffLimit": 99},
        "spec.backoffLimit in body should be less than or equal to 10",
    ),
    "memory in words": (
        T,
        {"spec.template.resources.limits": {"memory": "lots"}},
        "spec.template.resources.limits.memory in body should match ",
    ),
    "less than no CPU": (
        T,
        {"spec.template.resources.requests": {"cpu": -0.5}},
        "spec.template.resources.requests.cpu in body should be greater than or equal to 0",
    ),
    "a variable that is ours": (
        T,
        {"spec.template.env": [{"name": "REDSTART_JOB", "value": "x"}]},
        "template.env: names that begin with REDSTART_ are set by the operator; choose another name",
    ),
    "a label that is ours": (
        T,
        {"spec.template.labels": {"redstart.dev/run": "1"}},
        "template.labels: redstart.dev/* and app.kubernetes.io/* are set by the operator; use another prefix",
    ),
    "a version by a name of its own": (
        M,
        {"metadata.name": "my-model"},
        "metadata.name: must be <spec.model>-v<spec.number>, for instance machine-failure-v3",
    ),
    "a version with another's number in its name": (
        M,
        {"metadata.name": "iris-v4"},
        "metadata.name: must be <spec.model>-v<spec.number>, for instance machine-failure-v3",
    ),
    "a version with number 0": (
        M,
        {"spec.number": 0},
        "spec.number in body should be greater than or equal to 1",
    ),
    "a digest that is none": (
        M,
        {"spec.artifact.digest": "abc123"},
        'spec.artifact.digest: Invalid value: "abc123": use sha256: and 64 hexadecimal digits in lower case',
    ),
    "a format that nobody knows": (
        M,
        {"spec.artifact.format": "Pickle"},
        'spec.artifact.format: Unsupported value: "Pickle": supported values: "ONNX", "Skops", "Joblib"',
    ),
    "an artifact that only a browser reaches": (
        M,
        {"spec.artifact.uri": "https://example.com/model.onnx"},
        "use pvc://claim/path, s3://bucket/path, gs:// or az://",
    ),
    "a service that both pins and follows": (
        S,
        {"spec.model": {"name": "iris", "version": "iris-v3", "follow": "Approved"}},
        "model: give version to pin one, or follow to take new ones, not both",
    ),
    "a service with fewer than no replicas": (
        S,
        {"spec.predictor.replicas": -1},
        "spec.predictor.replicas in body should be greater than or equal to 0",
    ),
    "steps that fall": (
        S,
        {"spec.rollout.steps": [{"weight": 50}, {"weight": 5}]},
        "rollout.steps: weights must rise from step to step",
    ),
    "a step that is the whole": (
        S,
        {"spec.rollout.steps": [{"weight": 100}]},
        "spec.rollout.steps[0].weight in body should be less than or equal to 99",
    ),
    "no increase of errors allowed at all": (
        S,
        {"spec.rollout.analysis.errorRate.maxIncrease": 0},
        "spec.rollout.analysis.errorRate.maxIncrease in body should be greater than 0",
    ),
    "a confidence that nothing can have": (
        S,
        {"spec.rollout.confidence": 1},
        "spec.rollout.confidence in body should be less than 1",
    ),
    "a strategy that we do not have": (
        S,
        {"spec.rollout.strategy": "BlueGreen"},
        'spec.rollout.strategy: Unsupported value: "BlueGreen": supported values: "Canary"',
    ),
    "a rollout without time": (
        S,
        {"spec.rollout.deadline": "0s"},
        'spec.rollout.deadline: Invalid value: "0s": must be longer than 0s',
    ),
    "steps that take longer than the rollout may": (
        S,
        {"spec.rollout.steps": [{"weight": 5, "hold": "20m"}, {"weight": 50, "hold": "10m"}]},
        "rollout.deadline must be longer than the holds of all steps together",
    ),
    "no time for an answer": (
        S,
        {"spec.traffic.timeout": "0m0s"},
        'spec.traffic.timeout: Invalid value: "0m0s": must be longer than 0s',
    ),
    "a timeout with a decimal": (
        S,
        {"spec.traffic.timeout": "1.5s"},
        'spec.traffic.timeout: Invalid value: "1.5s": use whole numbers with the units h, m, s or ms',
    ),
}


def send(api: Api, namespace: str, kind: Kind, obj: Object) -> None:
    obj["metadata"]["namespace"] = namespace
    api.request("POST", f"{kind.path(namespace)}?dryRun=All&fieldValidation=Strict", obj)


@pytest.mark.parametrize("kind", GOOD, ids=str)
def test_good_yaml_is_taken(api: Api, namespace: str, kind: Kind) -> None:
    send(api, namespace, kind, changed(kind, {}))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.template.resources.requests", {"cpu": 0.5, "memory": "1.5Gi"}),
        ("spec.data.target", True),
        ("spec.evaluation.positiveClass", 1),
        ("spec.data.expect.columns", {"petal": {"values": [0, 1]}}),
        ("spec.template.env", [{"name": "DEPTH", "value": 3}]),
    ],
)
def test_what_yaml_reads_as_something_else_is_left_to_the_operator(
    api: Api, namespace: str, path: str, value: Any
) -> None:
    send(api, namespace, T, changed(T, {path: value}))


@pytest.mark.parametrize(
    "source",
    [
        {"uri": "http://files:8080/iris.csv"},
        {"uri": "https://files/März 2026.csv?raw=true&sig=a%2Fb", "secretRef": {"name": "keys"}},
        {"uri": "https://files/" + "s" * 3000},
        {"uri": "s3://rows/März 2026 (100%)/a..b.csv", "secretRef": {"name": "keys"}},
        {"uri": "configmap://rows/a"},
    ],
    ids=lambda source: source["uri"][:40],
)
def test_sources_that_are_taken(api: Api, namespace: str, source: dict[str, Any]) -> None:
    send(api, namespace, T, changed(T, {SOURCE: source}))


@pytest.mark.parametrize(
    "form",
    [
        {"separator": ";", "decimal": ",", "encoding": "cp1252"},
        {"separator": "\t", "encoding": "UTF-16"},
        {"separator": "|", "encoding": "latin-1"},
        {"separator": "\x01", "encoding": "ISO-8859-15"},
        {"decimal": ","},
    ],
    ids=str,
)
def test_formats_of_csv_are_taken(api: Api, namespace: str, form: Object) -> None:
    send(api, namespace, T, changed(T, {f"{SOURCE}.format": form}))


@pytest.mark.parametrize(("kind", "changes", "message"), BAD.values(), ids=BAD.keys())
def test_bad_yaml_is_refused(
    api: Api, refusing: str, kind: Kind, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        send(api, refusing, kind, changed(kind, changes))
    assert message in refused.value.message


@pytest.fixture(scope="module")
def refusing(api: Api) -> str:
    """One for all: nothing is kept."""
    return api.new_namespace()
