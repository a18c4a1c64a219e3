"""From what happens in the cluster to the keys that need a reconcile.

An object enqueues itself when a controller reconciles its kind, else the first such object up its chain of
controllers (a pod its Job's TrainingJob); besides, what the controllers' own mappings name.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from redstart.kube import metrics
from redstart.kube.client import Client
from redstart.kube.kinds import (
    CHILD_KINDS,
    MANAGED_BY_SELECTOR,
    WATCHED_KINDS,
    Key,
    Kind,
    Object,
    by_api,
    controller_of,
    key_of,
    kind_of,
)
from redstart.kube.queue import Priority, WorkQueue
from redstart.kube.store import Store

if TYPE_CHECKING:
    from redstart.kube.cluster import Cluster

Related = Callable[[Object, "Cluster"], Iterable[Key]]

log = logging.getLogger(__name__)


def selector(kind: Kind) -> str:
    """The label selector under which a kind is listed and watched."""
    return MANAGED_BY_SELECTOR if kind in CHILD_KINDS else ""


class Informer:
    """`reconciled` are the kinds that have a controller; `related` the mappings, by the kind that they map."""

    def __init__(
        self,
        store: Store,
        queue: WorkQueue[Key],
        cluster: "Cluster",
        reconciled: Iterable[Kind],
        related: Mapping[Kind, Iterable[Related]],
    ) -> None:
        self._store = store
        self._queue = queue
        self._cluster = cluster
        self._reconciled = frozenset(reconciled)
        self._related = related

    def saw(self, obj: Object, priority: Priority = Priority.HIGH) -> None:
        """An object as the watch or a LIST shows it."""
        if self._store.saw(obj):
            self._enqueue(obj, priority)

    def gone(self, obj: Object) -> None:
        if self._store.gone(obj):
            self._enqueue(obj, Priority.HIGH)

    def enqueue_all(self) -> None:
        """Every object that has a controller, at low priority."""
        for kind in self._reconciled:
            for obj in self._store.list(kind):
                self._queue.add(key_of(obj), Priority.LOW)

    async def resync(self, client: Client, kind: Kind, namespace: str | None) -> None:
        """Compare the cache with a LIST: a watch that had to start anew (410) never tells what was deleted
        meanwhile.
        """
        listed, at = await client.list(kind, namespace, selector(kind))
        for obj in listed:
            self.saw(obj, Priority.LOW)
        for obj in self._store.ghosts(kind, namespace, listed, int(at)):
            metrics.GHOSTS.labels(kind.kind).inc()
            log.info("%s was deleted unseen", key_of(obj))
            self.gone(obj)
        self._store.forget_deletions(kind, int(at))

    def _enqueue(self, obj: Object, priority: Priority) -> None:
        for key in self._keys(obj):
            self._queue.add(key, priority)

    def _keys(self, obj: Object) -> Iterable[Key]:
        if (key := self._reconciled_by(obj)) is not None:
            yield key
        for related in self._related.get(kind_of(obj), ()):
            try:
                yield from related(obj, self._cluster)
            except Exception:
                # One odd object must not keep the watch from all others; the mapping's author reads this.
                log.exception("mapping %s to what it is related to failed", key_of(obj))

    def _reconciled_by(self, obj: Object) -> Key | None:
        current: Object | None = obj
        while current is not None:
            key = key_of(current)
            if key.kind in self._reconciled:
                return key
            reference = controller_of(current)
            if reference is None:
                return None
            try:
                kind = by_api(reference["apiVersion"], reference["kind"])
            except KeyError:
                return None
            if kind in self._reconciled:
                return Key(kind, key.namespace, reference["name"])
            current = self._store.get(kind, key.namespace, reference["name"])
        return None


async def missing_kinds(client: Client) -> list[Kind]:
    """The watched kinds that the API server does not serve: custom resources that are not installed."""
    served: dict[tuple[str, str], set[str]] = {}
    for kind in WATCHED_KINDS:
        group_version = (kind.group, kind.version)
        if group_version not in served:
            served[group_version] = await client.resources(*group_version)
    return [kind for kind in WATCHED_KINDS if kind.plural not in served[kind.group, kind.version]]
