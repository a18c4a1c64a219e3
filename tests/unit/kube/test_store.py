"""What the cache believes when answers and watch events come in any order."""

import pytest

from redstart.kube.kinds import CONFIG_MAP, MODEL_VERSION, PERSISTENT_VOLUME_CLAIM, POD, Kind, Object
from redstart.kube.store import Store

OWNER = "00000000-0000-0000-0000-000000000001"


def obj(
    version: int, *, name: str = "a", uid: str = "1", owner: str = "", kind: Kind = CONFIG_MAP, **more: object
) -> Object:
    metadata: Object = {
        "name": name,
        "namespace": "default",
        "uid": uid,
        "resourceVersion": str(version),
        "labels": {"app.kubernetes.io/managed-by": "redstart"},
    }
    if owner:
        reference = {"apiVersion": "redstart.dev/v1alpha1", "kind": "ModelVersion", "name": "m", "uid": owner}
        metadata["ownerReferences"] = [reference | {"controller": True}]
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **more}


@pytest.fixture
def store() -> Store:
    return Store()


def version(store: Store) -> str | None:
    known = store.get(CONFIG_MAP, "default", "a")
    return known["metadata"]["resourceVersion"] if known else None


def test_a_late_event_does_not_put_an_older_object_back(store: Store) -> None:
    store.wrote(obj(10))
    assert not store.saw(obj(9))
    assert version(store) == "10"


def test_versions_are_numbers_and_not_text(store: Store) -> None:
    store.saw(obj(9))
    assert store.saw(obj(10))
    assert version(store) == "10"


def test_the_first_sight_of_an_own_write_is_news_and_the_second_is_not(store: Store) -> None:
    store.wrote(obj(10))
    assert store.saw(obj(10))
    assert not store.saw(obj(10))


def test_an_older_event_does_not_pass_for_the_sight_of_an_own_write(store: Store) -> None:
    store.saw(obj(8))
    store.wrote(obj(10))
    assert not store.saw(obj(9))
    assert store.saw(obj(10))


def test_a_late_answer_to_a_write_does_not_bring_a_deleted_object_back(store: Store) -> None:
    store.saw(obj(9))
    assert store.gone(obj(12))
    store.wrote(obj(10))
    assert version(store) is None


def test_an_object_made_anew_under_the_name_is_another_one(store: Store) -> None:
    store.saw(obj(9, uid="old", owner=OWNER))
    store.saw(obj(12, uid="new"))
    assert not store.gone(obj(11, uid="old", owner=OWNER))
    assert version(store) == "12"
    assert store.owned(CONFIG_MAP, OWNER) == []


def test_deleting_what_is_not_known_is_no_news(store: Store) -> None:
    assert not store.gone(obj(9))


def test_children_are_found_by_the_uid_of_their_controller(store: Store) -> None:
    store.saw(obj(1, owner=OWNER))
    store.saw(obj(2, name="b", uid="2", owner="somebody else"))
    assert [child["metadata"]["name"] for child in store.owned(CONFIG_MAP, OWNER)] == ["a"]
    store.saw(obj(3))
    assert store.owned(CONFIG_MAP, OWNER) == []


def test_ghosts_are_what_a_list_no_longer_has(store: Store) -> None:
    store.saw(obj(5))
    store.saw(obj(6, name="b", uid="2"))
    store.saw(obj(20, name="c", uid="3"))
    ghosts = store.ghosts(CONFIG_MAP, None, [obj(6, name="b", uid="2")], at=10)
    assert [ghost["metadata"]["name"] for ghost in ghosts] == ["a"]


def test_ghosts_of_other_namespaces_are_not_asked_for(store: Store) -> None:
    store.saw(obj(5))
    assert store.ghosts(CONFIG_MAP, "elsewhere", [], at=10) == []


def test_a_deletion_is_remembered_until_it_is_older_than_a_list(store: Store) -> None:
    store.saw(obj(5))
    store.gone(obj(8))
    store.forget_deletions(CONFIG_MAP, 8)
    store.wrote(obj(7))
    assert version(store) is None
    store.forget_deletions(CONFIG_MAP, 9)
    store.wrote(obj(7))
    assert version(store) == "7"


def test_what_the_watch_does_not_show_is_not_kept(store: Store) -> None:
    foreign = obj(5)
    foreign["metadata"]["labels"] = {}
    store.wrote(foreign)
    assert version(store) is None
    store.wrote({**obj(5), "kind": "Lease", "apiVersion": "coordination.k8s.io/v1"})
    mine = obj(5, kind=MODEL_VERSION)
    mine["metadata"].pop("labels")
    store.wrote(mine)
    assert store.get(MODEL_VERSION, "default", "a") is not None


def test_only_what_is_asked_for_is_kept(store: Store) -> None:
    ours = {"manager": "redstart", "operation": "Apply", "fieldsV1": {}}
    theirs = {"manager": "kubectl", "operation": "Update", "fieldsV1": {}}
    pod = obj(5, kind=POD, spec={"nodeName": "n", "containers": [{"name": "c"}], "tolerations": [{}]})
    pod["metadata"]["managedFields"] = [ours, theirs]
    pod["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "mine": "yes"}
    store.saw(pod)
    kept = store.get(POD, "default", "a")
    assert kept is not None
    assert kept["metadata"]["managedFields"] == [ours]
    assert kept["metadata"]["annotations"] == {"mine": "yes"}
    assert kept["spec"] == {"nodeName": "n", "containers": [{"name": "c"}]}
    assert pod["metadata"]["managedFields"] == [ours, theirs]  # what was given is as it was
    claim = obj(5, kind=PERSISTENT_VOLUME_CLAIM)
    claim["metadata"]["managedFields"] = [theirs]
    store.saw(claim)
    kept = store.get(PERSISTENT_VOLUME_CLAIM, "default", "a")
    assert kept is not None
    assert "managedFields" not in kept["metadata"]
