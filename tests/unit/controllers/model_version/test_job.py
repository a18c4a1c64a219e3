"""The Job that verifies a version, whole."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.unit.controllers.objects import Object, claim, documents, model_version, sha

from redstart.api.v1alpha1 import ModelVersionSpec
from redstart.api.v1alpha1.common import PodTemplate
from redstart.controllers.model_version import job as jobs
from redstart.controllers.model_version.job import Runtime

RUNTIME = Runtime("runtime:1", "IfNotPresent", ("ONNX", "Skops"))


def build(owner: Object, trained: PodTemplate | None = None, mode: str = "ReadWriteOnce") -> Object:
    spec = ModelVersionSpec.model_validate(owner["spec"])
    return jobs.job(owner, spec, RUNTIME, {"models": claim("models", mode)}, trained)


def bucket(secret: str = "store") -> Object:
    artifact = {
        "uri": "s3://models/iris/artifacts/a",
        "digest": sha("artifact"),
        "format": "ONNX",
        "secretRef": {"name": secret},
    }
    return model_version(artifact=artifact)


def test_from_a_volume(golden: Callable[[str, str], None]) -> None:
    golden("volume.yaml", documents([build(model_version())]))


def test_from_a_bucket(golden: Callable[[str, str], None]) -> None:
    golden("bucket.yaml", documents([build(bucket())]))


def test_a_verifier_goes_where_its_trainer_went_and_runs_nothing_of_the_trainers() -> None:
    trained = PodTemplate.model_validate(
        {
            "labels": {"cost-center": "7"},
            "tolerations": [{"key": "ml"}],
            "imagePullSecrets": [{"name": "registry"}],
            "serviceAccountName": "trainer",
            "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
            "resources": {"limits": {"nvidia.com/gpu": "1"}},
            "image": "theirs:1",
            "command": ["theirs"],
        }
    )
    plain, made = build(bucket()), build(bucket(), trained)
    assert made["metadata"]["labels"]["cost-center"] == "7"
    assert made["spec"]["template"]["metadata"]["labels"]["cost-center"] == "7"
    pod, before = made["spec"]["template"]["spec"], plain["spec"]["template"]["spec"]
    assert pod["tolerations"] == [{"key": "ml"}]
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert pod["serviceAccountName"] == "trainer"
    for container, other in zip(
        (*pod["initContainers"], *pod["containers"]),
        (*before["initContainers"], *before["containers"]),
        strict=True,
    ):
        assert container.pop("env") == [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}]
        assert container == other


def test_what_loads_the_model_has_no_credentials_and_no_volume_of_the_store() -> None:
    for owner in (model_version(), bucket()):
        pod = build(owner)["spec"]["template"]["spec"]
        (verify,) = pod["containers"]
        assert [mount["name"] for mount in verify["volumeMounts"]] == ["tmp", "model"]


NAMES: dict[str, tuple[str, str]] = {
    "a name as trained versions have it": ("iris-v1", "iris-v1-verify"),
    "the longest name that fits": ("x" * 56, f"{'x' * 56}-verify"),
    "a name that would be too long": ("x" * 63, f"{'x' * 47}-75220b47-verify"),
}


@pytest.mark.parametrize(("version", "wanted"), NAMES.values(), ids=NAMES.keys())
def test_job_name(version: str, wanted: str) -> None:
    assert jobs.job_name(version) == wanted
    assert len(jobs.job_name(version)) <= 63


def test_long_names_that_begin_alike_have_different_jobs() -> None:
    assert jobs.job_name("x" * 62 + "a") != jobs.job_name("x" * 62 + "b")


def test_other_credentials_are_another_job() -> None:
    digests = {
        jobs.artifact_digest(ModelVersionSpec.model_validate(owner["spec"]))
        for owner in (bucket(), bucket("rotated"), model_version())
    }
    assert len(digests) == 3
