"""Volumes for URIs, and claims that pods can or cannot share."""

from __future__ import annotations

import re

import pytest
from tests.unit.controllers.objects import Object, claim

from redstart.controllers import storage
from redstart.controllers.storage import Use


def test_each_claim_config_map_and_secret_is_one_volume() -> None:
    made = storage.mounts(
        [
            Use("pvc://data/a.csv"),
            Use("pvc://data/b/*.csv"),
            Use("configmap://rows/rows.csv"),
            Use("s3://bucket/a.parquet", "bucket"),
            Use("pvc://models", None, writable=True),
            Use("s3://bucket/b.parquet", "bucket"),
        ]
    )
    assert made.volumes == [
        {"name": "claim-data", "persistentVolumeClaim": {"claimName": "data", "readOnly": True}},
        {"name": "claim-models", "persistentVolumeClaim": {"claimName": "models"}},
        {"name": "configmap-rows", "configMap": {"name": "rows"}},
        {"name": "secret-bucket", "secret": {"secretName": "bucket", "defaultMode": 0o440}},
    ]
    assert made.mounts == [
        {"name": "claim-data", "mountPath": "/redstart/volumes/data", "readOnly": True},
        {"name": "claim-models", "mountPath": "/redstart/volumes/models"},
        {"name": "configmap-rows", "mountPath": "/redstart/configmaps/rows", "readOnly": True},
        {"name": "secret-bucket", "mountPath": "/redstart/secrets/bucket", "readOnly": True},
    ]


def test_a_claim_that_is_read_and_written_is_mounted_once_and_writable() -> None:
    made = storage.mounts([Use("pvc://all/rows.csv"), Use("pvc://all/models", writable=True)])
    assert made.volumes == [{"name": "claim-all", "persistentVolumeClaim": {"claimName": "all"}}]
    assert made.mounts == [{"name": "claim-all", "mountPath": "/redstart/volumes/all"}]


def test_a_folder_is_mounted_where_it_would_be_in_the_whole_volume() -> None:
    made = storage.mounts([Use("pvc://models/iris/artifacts/3f9a/", folder_only=True)])
    assert made.mounts == [
        {
            "name": "claim-models",
            "mountPath": "/redstart/volumes/models/iris/artifacts/3f9a",
            "subPath": "iris/artifacts/3f9a",
            "readOnly": True,
        }
    ]


def test_volumes_of_long_and_dotted_names_have_distinct_legal_names() -> None:
    names = ["a.b", "a-b", "x" * 100, "x" * 101]
    made = storage.mounts([Use(f"pvc://{name}") for name in names])
    found = [volume["name"] for volume in made.volumes]
    assert len(set(found)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name) for name in found)


PROBLEMS: dict[str, tuple[Object | None, str | None, str]] = {
    "a claim that does not exist is named": (None, "ClaimNotFound", '"models" does not exist'),
    "ReadWriteMany is fine": (claim("models", "ReadWriteMany"), None, ""),
    "ReadWriteOnce is fine, its pods go to one node": (claim("models", "ReadWriteOnce"), None, ""),
    "ReadWriteOncePod cannot be shared": (
        claim("models", "ReadWriteOncePod"),
        "VolumeNotShared",
        "use a claim that is ReadWriteMany",
    ),
    "ReadOnlyMany cannot be written": (claim("models", "ReadOnlyMany"), "VolumeReadOnly", "written to it"),
    "a claim that waits for its first pod is fine": (
        claim("models", "ReadWriteOnce", phase="Pending"),
        None,
        "",
    ),
    "a lost volume is told": (
        claim("models", "ReadWriteMany", phase="Lost"),
        "VolumeLost",
        "restore the volume",
    ),
}


@pytest.mark.parametrize(("found", "reason", "message"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_problem(found: Object | None, reason: str | None, message: str) -> None:
    problem = storage.problem([Use("pvc://models/iris", writable=True)], {"models": found})
    if reason is None:
        assert problem is None
    else:
        assert problem is not None
        assert problem.reason == reason
        assert message in problem.message


def test_reading_a_read_only_claim_is_fine() -> None:
    assert storage.problem([Use("pvc://data")], {"data": claim("data", "ReadOnlyMany")}) is None


def term(claim: str) -> Object:
    beside = {
        "labelSelector": {"matchLabels": {f"claims.redstart.dev/{claim}": "mounted"}},
        "topologyKey": "kubernetes.io/hostname",
    }
    return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [beside]}}


MODELS = Use("pvc://models/iris", writable=True)
DATA = Use("pvc://data/iris.csv")
TOGETHER: dict[str, tuple[list[Use], dict[str, Object | None], list[str], Object]] = {
    "pods of a ReadWriteOnce claim follow each other, whatever node its annotation names": (
        [MODELS],
        {"models": claim("models", "ReadWriteOnce")},
        ["models"],
        term("models"),
    ),
    "a claim that waits for its first pod keeps its pods together as well": (
        [MODELS],
        {"models": claim("models", "ReadWriteOnce", phase="Pending")},
        ["models"],
        term("models"),
    ),
    "a claim that several nodes can mount keeps nothing together": (
        [MODELS],
        {"models": claim("models", "ReadWriteOnce", "ReadWriteMany")},
        [],
        {},
    ),
    "of two claims the one that versions are kept on is followed": (
        [DATA, MODELS],
        {"data": claim("data", "ReadWriteOnce"), "models": claim("models", "ReadWriteOnce")},
        ["data", "models"],
        term("models"),
    ),
    "where many nodes can mount the one of versions, the one of data is": (
        [DATA, MODELS],
        {"data": claim("data", "ReadWriteOnce"), "models": claim("models", "ReadWriteMany")},
        ["data"],
        term("data"),
    ),
    "a missing claim keeps nothing together": ([MODELS], {"models": None}, [], {}),
    "a bucket has no node": ([Use("s3://models")], {}, [], {}),
}


@pytest.mark.parametrize(("uses", "found", "marked", "affinity"), TOGETHER.values(), ids=TOGETHER.keys())
def test_together(
    uses: list[Use], found: dict[str, Object | None], marked: list[str], affinity: Object
) -> None:
    made = storage.together(uses, found)
    assert made.labels == {f"claims.redstart.dev/{name}": "mounted" for name in marked}
    assert made.affinity == affinity
    assert "gone-node" not in repr(made)
