"""Artifacts that are, or are not, what their manifest says."""

import msgspec
import pytest
from tests.unit.server import sample_artifacts

from redstart.artifacts import manifest as manifests
from redstart.server import inference, loading
from redstart.server.loading import LoadError
from redstart.server.settings import SAFE_FORMATS


def test_a_whole_artifact_is_opened(classifier, tmp_path):
    digest = sample_artifacts.write(tmp_path, *classifier)
    artifact = loading.open_artifact(tmp_path, SAFE_FORMATS)
    assert artifact.digest == digest
    assert artifact.model_path.name == "model.onnx"
    assert len(artifact.reference.rows) == 32
    assert artifact.profile is not None


def truncated(folder):
    (folder / "model.onnx").write_bytes(b"short")


def swapped(folder):
    content = (folder / "profile.json").read_bytes()
    (folder / "profile.json").write_bytes(content[::-1])


def removed(folder):
    (folder / "model.onnx").unlink()


def without_manifest(folder):
    (folder / "manifest.json").unlink()


def not_a_manifest(folder):
    (folder / "manifest.json").write_bytes(b"{}")


@pytest.mark.parametrize(
    ("damage", "reason", "message"),
    [
        pytest.param(truncated, "DigestMismatch", "model.onnx has 5 bytes", id="a file is cut off"),
        pytest.param(
            swapped, "DigestMismatch", "profile.json has", id="a file has other bytes of the same size"
        ),
        pytest.param(removed, "ArtifactNotFound", "model.onnx: No such file", id="a file is gone"),
        pytest.param(
            without_manifest, "ArtifactNotFound", "manifest.json: No such file", id="there is no manifest"
        ),
        pytest.param(
            not_a_manifest, "ManifestInvalid", "manifest.json cannot be read", id="it is no manifest"
        ),
    ],
)
def test_a_damaged_artifact_is_refused(damage, reason, message, classifier, tmp_path):
    sample_artifacts.write(tmp_path, *classifier)
    damage(tmp_path)
    with pytest.raises(LoadError, match=message) as caught:
        loading.open_artifact(tmp_path, SAFE_FORMATS)
    assert caught.value.reason == reason


def test_a_format_that_is_not_allowed_is_refused(classifier, tmp_path):
    sample_artifacts.write(tmp_path, *classifier)
    with pytest.raises(LoadError, match="the artifact is ONNX; allowed are Skops") as caught:
        loading.open_artifact(tmp_path, ("Skops",))
    assert caught.value.reason == "FormatNotAllowed"


def test_reference_rows_without_answers_are_refused(classifier, tmp_path):
    manifest, files = classifier
    reference = manifests.decode_reference(files[manifests.REFERENCE])
    halved = manifests.encode(msgspec.structs.replace(reference, answers=reference.answers[:3]))
    sample_artifacts.write(
        tmp_path, *sample_artifacts.with_files(manifest, files | {manifests.REFERENCE: halved})
    )
    with pytest.raises(LoadError, match="has 32 rows and 3 answers"):
        loading.open_artifact(tmp_path, SAFE_FORMATS)


def test_without_reference_rows_an_artifact_is_refused(classifier, tmp_path):
    manifest, files = classifier
    left = {name: content for name, content in files.items() if name != manifests.REFERENCE}
    sample_artifacts.write(tmp_path, *sample_artifacts.with_files(manifest, left))
    with pytest.raises(LoadError, match=r"names no reference\.json"):
        loading.open_artifact(tmp_path, SAFE_FORMATS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"not a graph", "model.onnx: ", id="no graph at all"),
        pytest.param(b"", "model.onnx: ", id="empty"),
    ],
)
def test_a_model_that_cannot_be_loaded_says_so(content, message, classifier, tmp_path):
    manifest, files = classifier
    sample_artifacts.write(tmp_path, *sample_artifacts.with_files(manifest, files | {"model.onnx": content}))
    artifact = loading.open_artifact(tmp_path, SAFE_FORMATS)
    with pytest.raises(LoadError, match=message) as caught:
        inference.load(artifact)
    assert caught.value.reason == "ModelNotLoaded"
