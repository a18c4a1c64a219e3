"""Which keys a change in the cluster enqueues."""

from collections.abc import Iterable

import pytest

from redstart.kube.cluster import Cluster
from redstart.kube.informer import Informer
from redstart.kube.kinds import (
    CONFIG_MAP,
    INFERENCE_SERVICE,
    JOB,
    MODEL_VERSION,
    POD,
    TRAINING_JOB,
    Key,
    Kind,
    Object,
)
from redstart.kube.queue import Priority, WorkQueue
from redstart.kube.store import Store

VERSION = Key(MODEL_VERSION, "default", "m-v1")
SERVICE = Key(INFERENCE_SERVICE, "default", "m")


class Listing:
    """Answers every LIST with the same."""

    def __init__(self, objects: list[Object], at: int) -> None:
        self._answer = (objects, str(at))

    async def list(self, kind: Kind, namespace: str | None, labels: str) -> tuple[list[Object], str]:
        return self._answer


def obj(kind: Kind, name: str, version: int = 1, owner: Object | None = None) -> Object:
    metadata: Object = {
        "name": name,
        "namespace": "default",
        "uid": f"{kind.kind}/{name}",
        "resourceVersion": str(version),
        "labels": {"app.kubernetes.io/managed-by": "redstart"},
    }
    if owner is not None:
        reference = {name: owner[name] for name in ("apiVersion", "kind")}
        reference |= {"name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"], "controller": True}
        metadata["ownerReferences"] = [reference]
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}


def services_of(version: Object, cluster: Cluster) -> Iterable[Key]:
    yield Key(INFERENCE_SERVICE, version["metadata"]["namespace"], version["metadata"]["name"].split("-")[0])


def failing(version: Object, cluster: Cluster) -> Iterable[Key]:
    raise KeyError(version["metadata"]["name"])


@pytest.fixture
def queue() -> WorkQueue[Key]:
    return WorkQueue()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def informer(queue: WorkQueue[Key], store: Store) -> Informer:
    cluster = Cluster(None, store, None)  # type: ignore[arg-type]
    reconciled = (MODEL_VERSION, INFERENCE_SERVICE, TRAINING_JOB)
    return Informer(store, queue, cluster, reconciled, {MODEL_VERSION: [failing, services_of]})


def taken(queue: WorkQueue[Key]) -> list[Key]:
    keys = []
    while (key := queue.take()) is not None:
        queue.done(key)
        keys.append(key)
    return keys


def test_an_object_enqueues_itself_and_what_it_is_mapped_to_even_after_a_failed_mapping(
    informer: Informer, queue: WorkQueue[Key]
) -> None:
    informer.saw(obj(MODEL_VERSION, "m-v1"))
    assert taken(queue) == [VERSION, SERVICE]


def test_a_child_enqueues_its_owner(informer: Informer, queue: WorkQueue[Key]) -> None:
    informer.saw(obj(CONFIG_MAP, "child", owner=obj(INFERENCE_SERVICE, "m")))
    assert taken(queue) == [SERVICE]


def test_a_pod_enqueues_the_owner_of_its_job(informer: Informer, queue: WorkQueue[Key], store: Store) -> None:
    job = obj(JOB, "run", owner=obj(MODEL_VERSION, "m-v1"))
    store.saw(job)
    informer.saw(obj(POD, "run-x", owner=job))
    assert taken(queue) == [VERSION]


@pytest.mark.parametrize(
    "owner",
    [
        pytest.param(None, id="nothing"),
        pytest.param(obj(JOB, "unknown"), id="a job that is not known"),
        pytest.param(
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "r", "uid": "r"}},
            id="a kind that is not known",
        ),
    ],
)
def test_a_pod_enqueues_nobody_when_it_is_controlled_by(
    informer: Informer, queue: WorkQueue[Key], owner: Object | None
) -> None:
    informer.saw(obj(POD, "pod", owner=owner))
    assert taken(queue) == []


def test_the_same_version_again_enqueues_nobody(informer: Informer, queue: WorkQueue[Key]) -> None:
    informer.saw(obj(MODEL_VERSION, "m-v1"))
    taken(queue)
    informer.saw(obj(MODEL_VERSION, "m-v1"))
    assert taken(queue) == []


def test_the_watchs_first_sight_of_an_own_write_enqueues(
    informer: Informer, queue: WorkQueue[Key], store: Store
) -> None:
    store.wrote(obj(MODEL_VERSION, "m-v1", 5))
    informer.saw(obj(MODEL_VERSION, "m-v1", 5))
    assert taken(queue) == [VERSION, SERVICE]


def test_a_deletion_enqueues_the_owner(informer: Informer, queue: WorkQueue[Key]) -> None:
    child = obj(CONFIG_MAP, "child", owner=obj(INFERENCE_SERVICE, "m"))
    informer.saw(child)
    taken(queue)
    informer.gone(obj(CONFIG_MAP, "child", 2, owner=obj(INFERENCE_SERVICE, "m")))
    assert taken(queue) == [SERVICE]


async def test_a_resync_finds_what_the_watch_did_not_tell(
    informer: Informer, queue: WorkQueue[Key], store: Store
) -> None:
    owner, other = obj(INFERENCE_SERVICE, "m"), obj(INFERENCE_SERVICE, "other")
    informer.saw(obj(CONFIG_MAP, "ghost", 3, owner=owner))
    informer.saw(obj(CONFIG_MAP, "newer-than-the-list", 30, owner=owner))
    taken(queue)
    queue.add(Key(INFERENCE_SERVICE, "default", "low"), Priority.LOW)
    listed = [obj(CONFIG_MAP, "unseen", 7, owner=other)]
    await informer.resync(Listing(listed, 20), CONFIG_MAP, None)  # type: ignore[arg-type]
    names = {item["metadata"]["name"] for item in store.list(CONFIG_MAP)}
    assert names == {"newer-than-the-list", "unseen"}
    assert [key.name for key in taken(queue)] == ["m", "low", "other"]


def test_all_is_every_object_that_has_a_controller(informer: Informer, queue: WorkQueue[Key]) -> None:
    informer.saw(obj(MODEL_VERSION, "m-v1"))
    informer.saw(obj(CONFIG_MAP, "child"))
    taken(queue)
    informer.enqueue_all()
    assert taken(queue) == [VERSION]
