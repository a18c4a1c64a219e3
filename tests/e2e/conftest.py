"""What the tests on the real cluster share; the operator has to be installed (`make install`)."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from tests.cluster.programs import locked
from tests.e2e import report, store, training
from tests.e2e.kubernetes import Kubernetes, Object
from tests.e2e.store import Store
from tests.e2e.training import Artifact


@pytest.fixture(scope="session")
def kubernetes() -> Kubernetes:
    """The cluster's default namespace; `within` leads to others."""
    return Kubernetes("default")


@pytest.fixture
def cluster(kubernetes: Kubernetes, request: pytest.FixtureRequest) -> Iterator[Kubernetes]:
    """A new namespace, deleted at the end."""
    test = re.sub("[^a-z0-9]+", "-", request.node.name.lower())[:40].strip("-")
    name = f"{test}-{uuid.uuid4().hex[:6]}"
    kubernetes.apply(store.namespace(name))
    try:
        yield kubernetes.within(name)
    finally:
        kubernetes.delete("Namespace", name)


@pytest.fixture(scope="session", name="store")
def _store(kubernetes: Kubernetes, shared: Path) -> Iterator[Store]:
    """An S3 server, one for all workers of a run."""

    def start() -> Object:
        return {"namespace": store.start(kubernetes).namespace}

    def stop(made: Object) -> None:
        kubernetes.delete("Namespace", made["namespace"])

    with one_for_all(shared / "store.json", start, stop) as made:
        yield Store(**made)


@pytest.fixture(scope="session")
def artifact(kubernetes: Kubernetes, store: Store, shared: Path) -> Iterator[Artifact]:
    """A model of the breast cancer data, trained once for all workers of a run."""
    inside = kubernetes.within(store.namespace)
    with one_for_all(shared / "artifact.json", lambda: dict(training.artifact(inside, store))) as made:
        yield cast(Artifact, made)


@pytest.fixture
def register(store: Store, artifact: Artifact) -> Callable[..., None]:
    """register(cluster, name="m-v1", number=1, model="m"): a version of that model, ready to be served."""

    def written(cluster: Kubernetes, **version: Any) -> None:
        training.register(cluster, store, artifact, **version)

    return written


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all workers of a run see."""
    own = tmp_path_factory.getbasetemp()
    return own if worker_id == "master" else own.parent


@contextmanager
def one_for_all(
    record: Path, make: Callable[[], Object], discard: Callable[[Object], None] | None = None
) -> Iterator[Object]:
    """What `make` returned to the first worker that came here; the last one to leave discards it."""
    lock = record.with_suffix(".lock")
    with locked(lock):
        made, users = json.loads(record.read_text()) if record.exists() else (make(), 0)
        record.write_text(json.dumps([made, users + 1]))
    try:
        yield made
    finally:
        with locked(lock):
            made, users = json.loads(record.read_text())
            record.write_text(json.dumps([made, users - 1]))
            if users == 1:
                record.unlink()
                if discard:
                    discard(made)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to a failure what a user would look at."""
    found = yield
    used = getattr(item, "funcargs", {})
    if found.failed and found.when != "teardown":
        if isinstance(cluster := used.get("cluster"), Kubernetes):
            found.sections.append((f"namespace {cluster.namespace}", report.of(cluster)))
        elif isinstance(running := used.get("store"), Store):
            found.sections.append(("the store's namespace", report.of(Kubernetes(running.namespace))))
    return found
