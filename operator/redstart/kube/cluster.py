"""The cluster as a controller sees it: reads come from the cache, writes happen only when they change something."""

import logging
from collections.abc import Mapping
from typing import Literal

from redstart.kube import errors
from redstart.kube.client import Client
from redstart.kube.events import Events
from redstart.kube.kinds import EVENT, POD, Kind, Object, Objects, kind_of
from redstart.kube.ownership import (
    is_applied,
    is_ours,
    is_reported,
    not_ours,
    prepared,
    without_nulls,
)
from redstart.kube.store import Store

log = logging.getLogger(__name__)


class Cluster:
    """Objects that it returns are shared with the cache: nobody may change one.

    Every method that talks to the API server raises `errors.Transient` when it does not answer, and
    `errors.LeadershipLost` instead of a write that is no longer ours to make.
    """

    def __init__(self, client: Client, store: Store, events: Events) -> None:
        self._client = client
        self._store = store
        self._events = events

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """From the cache; shows the own writes of this process at once."""
        return self._store.get(kind, namespace, name)

    def list(
        self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> Objects:
        """From the cache: those of a namespace (None: all that are watched) that carry all the labels."""
        wanted = (labels or {}).items()
        return [
            obj
            for obj in self._store.list(kind, namespace)
            if wanted <= (obj["metadata"].get("labels") or {}).items()
        ]

    def children(self, kind: Kind, owner: Object) -> Objects:
        """From the cache: those whose controller is `owner`, by uid."""
        return self._store.owned(kind, owner["metadata"]["uid"])

    async def read(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """From the API server, and into the cache."""
        live = await self._client.get(kind, namespace, name)
        if live is not None:
            self._store.wrote(live)
        return live

    async def create(self, obj: Object, *, owner: Object | None = None) -> Object:
        """Create an object that must not exist yet; raises AlreadyExists.

        With an owner it is labelled as ours and controlled by it. Never followed by `apply` to the same object.
        """
        content = prepared(obj, owner) if owner is not None else without_nulls(obj)
        created = await self._client.create(content)
        self._store.wrote(created)
        _log("created", created)
        return created

    async def ensure_free(self, desired: Object, *, owner: Object) -> None:
        """Raise NotOurs when the name is taken by an object that `owner` does not control; writes nothing."""
        await self._live(desired, owner)

    async def apply(
        self, desired: Object, *, owner: Object | None = None, resource_version: str | None = None
    ) -> Object:
        """Make the object so, by server-side apply; nothing is sent when it is so already.

        Fields that were applied before and are not in `desired` go; fields of other managers stay. Raises
        NotOurs when the name is taken by an object that `owner` does not control, Conflict when
        `resource_version` is stale or the object went away meanwhile, Invalid when the server refuses it.
        """
        live = await self._live(desired, owner)
        content = prepared(desired, owner)
        if live is not None:
            if is_applied(content, live):
                return live
            content["metadata"]["uid"] = live["metadata"]["uid"]  # never another one of the same name
        if resource_version is not None:
            content["metadata"]["resourceVersion"] = resource_version
        applied = await self._client.apply(content)
        self._store.wrote(applied)
        _log("created" if live is None else "changed", applied)
        return applied

    async def _live(self, desired: Object, owner: Object | None) -> Object | None:
        """The object of that name, or None; raises NotOurs when it is somebody else's."""
        kind, metadata = kind_of(desired), desired["metadata"]
        namespace = owner["metadata"]["namespace"] if owner is not None else metadata["namespace"]
        live = self.get(kind, namespace, metadata["name"])
        if live is None or not is_ours(live, owner):
            # The cache holds only what carries our label; whether the name is free is for the server to say.
            live = await self.read(kind, namespace, metadata["name"])
        if live is not None and not is_ours(live, owner):
            raise not_ours(kind, live)
        return live

    async def patch_status(self, obj: Object, status: Object) -> Object | None:
        """Make `status` the whole status of `obj`, as `obj` was read; nothing is sent when it is so already.

        Returns the object, or None when it is gone. Raises Conflict when it changed since it was read.
        """
        content = without_nulls(status)
        if is_reported(content, obj):
            return obj
        metadata = obj["metadata"]
        patch = {
            "apiVersion": obj["apiVersion"],
            "kind": obj["kind"],
            "metadata": {
                name: metadata[name]
                for name in ("namespace", "name", "uid", "resourceVersion")
                if name in metadata
            },
            "status": content,
        }
        try:
            written = await self._client.apply(patch, "status")
        except errors.NotFound:
            return None
        self._store.wrote(written)
        return written

    async def delete(self, obj: Object, *, unchanged: bool = False) -> None:
        """Delete this very object (by uid), with its dependents in the background; that it is gone is fine.

        With `unchanged` only as it was read: raises Conflict when it changed since.
        """
        metadata = obj["metadata"]
        preconditions = {"uid": metadata["uid"]}
        if unchanged:
            preconditions["resourceVersion"] = metadata["resourceVersion"]
        try:
            await self._client.delete(obj, preconditions)
            _log("deleted", obj)
        except errors.NotFound:
            return
        except errors.Conflict:
            live = await self.read(kind_of(obj), metadata.get("namespace", ""), metadata["name"])
            if live is not None and live["metadata"]["uid"] == metadata["uid"]:
                raise

    async def annotate(
        self, kind: Kind, namespace: str, name: str, annotations: Mapping[str, str | None]
    ) -> None:
        """Set these annotations and touch nothing else; None removes one, and that it is gone is fine."""
        target = {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {"namespace": namespace, "name": name},
        }
        try:
            written = await self._client.merge_patch(target, {"metadata": {"annotations": dict(annotations)}})
        except errors.NotFound:
            return
        self._store.wrote(written)

    async def end(self, pod: Object) -> None:
        """Have the pod's node end it, with its logs and its containers' statuses kept; that it is gone is fine."""
        metadata = pod["metadata"]
        target = {
            "apiVersion": POD.api_version,
            "kind": POD.kind,
            "metadata": {"namespace": metadata["namespace"], "name": metadata["name"]},
        }
        patch = {"metadata": {"uid": metadata["uid"]}, "spec": {"activeDeadlineSeconds": 1}}
        try:
            written = await self._client.merge_patch(target, patch)
        except errors.NotFound:
            return
        self._store.wrote(written)
        _log("ended", written)

    async def logs(self, namespace: str, pod: str, container: str, tail_lines: int) -> str:
        """The last lines of a container's log; raises NotFound without the pod, ApiError (400) before it runs."""
        return await self._client.logs(namespace, pod, container, tail_lines)

    async def newest_event(self, about: Object) -> Object | None:
        """The newest event about an object, from the API server: some faults are told nowhere else."""
        metadata = about["metadata"]
        fields = f"involvedObject.uid={metadata['uid']}"
        found, _ = await self._client.list(EVENT, metadata["namespace"], fields=fields)
        return max(found, key=_last_seen, default=None)

    async def event(
        self, about: Object, type_: Literal["Normal", "Warning"], reason: str, message: str
    ) -> None:
        """Say once what happened to `about`; saying it again soon writes nothing. Never fails a reconcile."""
        await self._events.say(about, type_, reason, message)


def _log(done: str, obj: Object) -> None:
    log.info("%s %s %s", done, obj["kind"], obj["metadata"]["name"])


def _last_seen(event: Object) -> str:
    # The two generations of the events API: RFC 3339 in UTC either way, so that text compares as time does.
    series = event.get("series") or {}
    return str(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or "")
