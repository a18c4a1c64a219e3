"""Fetching: what arrives is what was asked for, or nothing does."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from tests.unit.artifacts.test_manifest import make

from redstart.artifacts import fetch as fetching
from redstart.artifacts import manifest as manifests
from redstart.artifacts import storage, termination
from redstart.artifacts.__main__ import main
from redstart.artifacts.fetch import FetchError, fetch
from redstart.artifacts.publish import Published, file_entries, publish
from redstart.artifacts.storage import Location, StoreError

CONTENTS = {"model.onnx": b"graph" * 1000, "reference.json": b"{}"}


@pytest.fixture
def published(tmp_path: Path) -> Published:
    (tmp_path / "volumes/models").mkdir(parents=True)
    manifest = make(files=file_entries(CONTENTS))
    return publish(storage.locate("pvc://models/out", root=tmp_path), manifest, CONTENTS)


@pytest.fixture
def stored(tmp_path: Path, published: Published) -> Path:
    return tmp_path / "volumes/models" / published.location.path


def test_an_artifact_arrives_whole(tmp_path: Path, published: Published) -> None:
    into = tmp_path / "model"
    manifest = fetch(published.location, published.digest, into)
    assert sorted(os.listdir(into)) == ["manifest.json", "model.onnx", "reference.json"]
    assert {name: (into / name).read_bytes() for name in CONTENTS} == CONTENTS
    assert manifests.sha256((into / "manifest.json").read_bytes()) == published.digest
    assert manifest == manifests.decode((into / "manifest.json").read_bytes())


def test_what_a_killed_fetch_left_is_removed(tmp_path: Path, published: Published) -> None:
    into = tmp_path / "model"
    (into / ".fetching-x").mkdir(parents=True)
    (into / ".fetching-x/model.onnx").write_bytes(b"half")
    (into / "model.onnx").write_bytes(b"other")
    fetch(published.location, published.digest, into)
    assert sorted(os.listdir(into)) == ["manifest.json", "model.onnx", "reference.json"]
    assert (into / "model.onnx").read_bytes() == CONTENTS["model.onnx"]


def test_what_the_manifest_does_not_name_is_not_fetched(
    tmp_path: Path, published: Published, stored: Path
) -> None:
    (stored / "model.pkl").write_bytes(b"code")
    fetch(published.location, published.digest, tmp_path / "model")
    assert not (tmp_path / "model/model.pkl").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param(
            "model.onnx", b"grapH" * 1000, "the manifest says sha256", id="other bytes of the same size"
        ),
        pytest.param("model.onnx", b"graph" * 999, "4995 bytes", id="too short"),
        pytest.param("model.onnx", b"graph" * 1001, "more than 5000 bytes", id="too long"),
        pytest.param("manifest.json", b"{}", "was asked for", id="another manifest"),
    ],
)
def test_changed_bytes_are_refused(
    tmp_path: Path, published: Published, stored: Path, name: str, content: bytes, message: str
) -> None:
    (stored / name).write_bytes(content)
    with pytest.raises(FetchError, match=message) as caught:
        fetch(published.location, published.digest, tmp_path / "model")
    assert (caught.value.reason, caught.value.lasting) == ("DigestMismatch", True)
    assert not (tmp_path / "model/manifest.json").exists()
    assert not (tmp_path / "model/model.onnx").exists()


def test_a_manifest_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "volumes/models").mkdir(parents=True)
    content = manifests.encode(make(contract=9))
    location = storage.locate("pvc://models/x", root=tmp_path)
    storage.write(location.child("manifest.json"), content)
    with pytest.raises(FetchError, match="contract 9") as caught:
        fetch(location, manifests.sha256(content), tmp_path / "model")
    assert caught.value.reason == "ManifestInvalid"


@pytest.mark.parametrize("missing", ["manifest.json", "reference.json"])
def test_an_artifact_that_is_gone_is_named(
    tmp_path: Path, published: Published, stored: Path, missing: str
) -> None:
    (stored / missing).unlink()
    with pytest.raises(FetchError, match=missing) as caught:
        fetch(published.location, published.digest, tmp_path / "model")
    assert (caught.value.reason, caught.value.lasting) == ("ArtifactNotFound", False)


def test_an_unreachable_store_is_tried_again_with_back_off(
    tmp_path: Path, published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    real = storage.read

    def read(location: Location, limit: int = 0) -> bytes:
        if len(waits) < 3:
            raise StoreError("StoreUnreachable", "no route")
        return real(location, limit)

    monkeypatch.setattr(fetching.storage, "read", read)
    fetch(published.location, published.digest, tmp_path / "model", sleep=waits.append)
    assert waits == [0.5, 1.0, 2.0]


def test_an_unreachable_store_is_given_up_at_last(
    tmp_path: Path, published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    def read(location: Location, limit: int = 0) -> bytes:
        raise StoreError("StoreUnreachable", "no route")

    monkeypatch.setattr(fetching.storage, "read", read)
    with pytest.raises(FetchError, match="no route") as caught:
        fetch(published.location, published.digest, tmp_path / "model", attempts=4, sleep=waits.append)
    assert (caught.value.reason, caught.value.lasting) == ("StoreUnreachable", False)
    assert len(waits) == 3


def test_the_command_fetches(tmp_path: Path, published: Published) -> None:
    into = tmp_path / "model"
    uri, root = published.location.uri, str(tmp_path)
    assert (
        main(["fetch", "--uri", uri, "--digest", published.digest, "--into", str(into), "--root", root]) == 0
    )
    assert (into / "manifest.json").exists()


@pytest.mark.parametrize(
    ("uri", "digest", "reason", "code"),
    [
        pytest.param(
            "pvc://models/none", "sha256:0", "ArtifactNotFound", 1, id="no artifact, which may come"
        ),
        pytest.param("pvc://other/none", "sha256:0", "ArtifactNotFound", 1, id="no volume, which may come"),
        pytest.param("s3://models/none", "sha256:0", "StoreDenied", 1, id="a Secret that may be corrected"),
        pytest.param(
            "gs://models/none", "sha256:0", "BadLocation", 1, id="an endpoint that may be corrected"
        ),
        pytest.param(
            "az://models/none", "sha256:0", "StoreDenied", 1, id="a Secret without options of the store"
        ),
        pytest.param("s3://Büc/none", "sha256:0", "BadLocation", 3, id="a name that no bucket can have"),
        pytest.param(None, "sha256:0", "DigestMismatch", 3, id="another artifact"),
        pytest.param("pvc://models/../x", "sha256:0", "BadLocation", 3, id="no location"),
    ],
)
def test_the_command_says_why_not(
    tmp_path: Path,
    published: Published,
    monkeypatch: pytest.MonkeyPatch,
    uri: str | None,
    digest: str,
    reason: str,
    code: int,
) -> None:
    uri = uri or published.location.uri
    monkeypatch.setenv("REDSTART_TERMINATION_LOG", str(tmp_path / "log"))
    (tmp_path / "secrets/keys").mkdir(parents=True)
    (tmp_path / "secrets/keys/AWS_ACCES_KEY").write_text("x")
    (tmp_path / "secrets/keys/GOOGLE_BASE_URL").write_text("storage:9000")
    secret = [] if uri.startswith("pvc") else ["--secret", "keys"]
    into, root = str(tmp_path / "m"), str(tmp_path)
    command = ["fetch", "--uri", uri, "--digest", digest, "--into", into, "--root", root, *secret]
    assert main(command) == code
    report = msgspec.json.decode((tmp_path / "log").read_bytes(), type=termination.Report)
    assert (report.result, report.reason) == ("Failed", reason)
