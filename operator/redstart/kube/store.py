"""What the operator knows of the cluster: objects by kind, namespace and name, fed by the watch.

Versions decide what is newer. They are decimal numbers that grow within a kind (promised since Kubernetes
1.35, KEP-5504; true of etcd before), so a late watch event never puts an older object back over the answer to
a write of our own, and a write's late answer never brings a deleted object back.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from redstart.kube.kinds import (
    CHILD_KINDS,
    MANAGED_BY_LABEL,
    MANAGER,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    WATCHED_KINDS,
    Kind,
    Object,
    Objects,
    controller_of,
    kind_of,
)
from redstart.kube.ownership import is_our_entry

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class Store:
    """Objects in it are shared: nobody may change one."""

    def __init__(self) -> None:
        self._objects: dict[Kind, dict[str, dict[str, Object]]] = defaultdict(lambda: defaultdict(dict))
        self._owned: dict[tuple[Kind, str], dict[str, Object]] = defaultdict(dict)
        self._deleted: dict[tuple[Kind, str, str], int] = {}
        self._unseen: dict[
            str, int
        ] = {}  # versions that our writes made and the watch has not shown yet, by uid

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        return self._objects[kind][namespace].get(name) if namespace in self._objects[kind] else None

    def list(self, kind: Kind, namespace: str | None = None) -> Iterator[Object]:
        namespaces = self._objects[kind]
        for name in (namespace,) if namespace is not None else tuple(namespaces):
            yield from tuple(namespaces.get(name, {}).values())

    def owned(self, kind: Kind, uid: str) -> Objects:
        """The objects of a kind that are controlled by the owner of this uid."""
        return list(self._owned.get((kind, uid), {}).values())

    def saw(self, obj: Object) -> bool:
        """Take an object from the watch or a LIST. True when that is news: also when it is the first sight
        of a write of our own, which others may have to hear of.
        """
        uid = obj["metadata"]["uid"]
        first_sight = uid in self._unseen and version(obj) >= self._unseen[uid]
        if first_sight:
            del self._unseen[uid]
        return self._put(obj) or first_sight

    def wrote(self, obj: Object) -> None:
        """Take the answer to a request of our own, so that the next read shows it."""
        if is_watched(obj) and self._put(obj):
            self._unseen[obj["metadata"]["uid"]] = version(obj)

    def gone(self, obj: Object) -> bool:
        """Take a deletion; `obj` carries the version of the deletion. True when that is news."""
        kind, metadata = kind_of(obj), obj["metadata"]
        where = (kind, metadata.get("namespace", ""), metadata["name"])
        self._deleted[where] = max(version(obj), self._deleted.get(where, 0))
        known = self.get(*where)
        self._unseen.pop(metadata["uid"], None)
        if known is None or known["metadata"]["uid"] != metadata["uid"]:
            return False
        self._remove(known)
        return True

    def ghosts(self, kind: Kind, namespace: str | None, listed: Objects, at: int) -> Objects:
        """The objects that a LIST at version `at` shows to be deleted."""
        present = {obj["metadata"]["uid"] for obj in listed}
        return [
            obj
            for obj in self.list(kind, namespace)
            if obj["metadata"]["uid"] not in present and version(obj) <= at
        ]

    def forget_deletions(self, kind: Kind, at: int) -> None:
        """Drop the memory of deletions older than version `at`: no write so old is still under way."""
        for where in [where for where, then in self._deleted.items() if where[0] == kind and then < at]:
            del self._deleted[where]

    def _put(self, obj: Object) -> bool:
        kind, metadata = kind_of(obj), obj["metadata"]
        where = (kind, metadata.get("namespace", ""), metadata["name"])
        known = self.get(*where)
        if version(obj) <= max(version(known) if known else 0, self._deleted.get(where, 0)):
            return False
        if known is not None:
            self._remove(known)
        kept = slim(kind, obj)
        self._objects[kind][where[1]][where[2]] = kept
        if (controller := controller_of(kept)) is not None:
            self._owned[kind, controller["uid"]][metadata["uid"]] = kept
        return True

    def _remove(self, obj: Object) -> None:
        kind, metadata = kind_of(obj), obj["metadata"]
        del self._objects[kind][metadata.get("namespace", "")][metadata["name"]]
        if (controller := controller_of(obj)) is not None:
            owned = self._owned[kind, controller["uid"]]
            owned.pop(metadata["uid"], None)
            if not owned:
                del self._owned[kind, controller["uid"]]


def version(obj: Object) -> int:
    return int(obj["metadata"]["resourceVersion"])


def is_watched(obj: Object) -> bool:
    """Whether the watch would show the object: what it does not show would grow old in the cache."""
    kind = kind_of(obj)
    if kind in CHILD_KINDS:
        return (obj["metadata"].get("labels") or {}).get(MANAGED_BY_LABEL) == MANAGER
    return kind in WATCHED_KINDS


def slim(kind: Kind, obj: Object) -> Object:
    """The part of an object that is kept: of managed fields our own, of pods and claims what is asked of them."""
    metadata: dict[str, Any] = dict(obj["metadata"])
    if "managedFields" in metadata:
        metadata["managedFields"] = [entry for entry in metadata["managedFields"] if is_our_entry(entry)]
    if _LAST_APPLIED in (metadata.get("annotations") or {}):
        metadata["annotations"] = {
            name: value for name, value in metadata["annotations"].items() if name != _LAST_APPLIED
        }
    kept = {**obj, "metadata": metadata}
    if kind == POD:
        spec = obj.get("spec") or {}
        kept["spec"] = {
            name: spec[name]
            for name in ("nodeName", "containers", "initContainers", "restartPolicy")
            if name in spec
        }
    if kind == PERSISTENT_VOLUME_CLAIM:
        metadata.pop("managedFields", None)
    return kept
