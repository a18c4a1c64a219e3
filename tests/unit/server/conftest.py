"""Artifacts that the tests of the server share; converting a pipeline takes a second, so it happens once."""

from __future__ import annotations

import pytest
from tests.unit.server import sample_artifacts

from redstart.server import inference, loading
from redstart.server.service import Service
from redstart.server.settings import SAFE_FORMATS


@pytest.fixture(scope="session")
def classifier():
    return sample_artifacts.classifier()


@pytest.fixture(scope="session")
def make_service(tmp_path_factory):
    """A loaded service of an artifact, under the name `machine-failure` and the version `machine-failure-v3`."""

    def make(manifest, files):
        folder = tmp_path_factory.mktemp("artifact")
        sample_artifacts.write(folder, manifest, files)
        artifact = loading.open_artifact(folder, SAFE_FORMATS)
        return Service(artifact, inference.load(artifact), "machine-failure", "machine-failure-v3")

    return make


@pytest.fixture(scope="session")
def service(classifier, make_service):
    return make_service(*classifier)
