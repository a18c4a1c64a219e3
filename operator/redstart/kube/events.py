"""Kubernetes events: what changed and why, said once, on the object that it is about.

An event's name is derived from what it says, so that the same sentence is the same event, also for the next
process: it is counted up at most every ten minutes, and not written again in between.
"""

import hashlib
import logging
import socket
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime

from redstart.kube import errors
from redstart.kube.client import Client
from redstart.kube.kinds import EVENT, MANAGER, Object

AGAIN_AFTER = 600.0  # seconds
REMEMBERED = 4096
MESSAGE_LIMIT = 1024  # characters; the API server refuses a longer one

log = logging.getLogger(__name__)


class Events:
    """`now` gives seconds since the epoch."""

    def __init__(self, client: Client, now: Callable[[], float] = time.time) -> None:
        self._client = client
        self._now = now
        self._said: OrderedDict[str, float] = OrderedDict()

    async def say(self, about: Object, type_: str, reason: str, message: str) -> None:
        event = describe(about, type_, reason, message, self._now())
        name = event["metadata"]["name"]
        if self._now() - self._said.get(name, float("-inf")) < AGAIN_AFTER:
            return
        try:
            await self._write(event)
        except errors.ApiError as error:
            log.warning("event %s not written: %s", reason, error)
            return
        log.log(logging.WARNING if type_ == "Warning" else logging.INFO, "%s: %s", reason, message)
        self._said[name] = self._now()
        self._said.move_to_end(name)
        if len(self._said) > REMEMBERED:
            self._said.popitem(last=False)

    async def _write(self, event: Object) -> None:
        metadata = event["metadata"]
        try:
            await self._client.create(event)
            return
        except errors.AlreadyExists:
            known = await self._client.get(EVENT, metadata["namespace"], metadata["name"])
        if known is None or self._now() - _seconds(known.get("lastTimestamp")) < AGAIN_AFTER:
            return
        again = {"count": known.get("count", 1) + 1, "lastTimestamp": event["lastTimestamp"]}
        await self._client.merge_patch(event, again)


def describe(about: Object, type_: str, reason: str, message: str, now: float) -> Object:
    """The core/v1 Event; its name says what it is about, its suffix what it says."""
    metadata = about["metadata"]
    message = message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"
    said = "\n".join((metadata["uid"], type_, reason, message))
    suffix = hashlib.sha256(said.encode()).hexdigest()[:16]
    timestamp = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.kind,
        "metadata": {"name": f"{metadata['name'][:230]}.{suffix}", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": about["apiVersion"],
            "kind": about["kind"],
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
        },
        "type": type_,
        "reason": reason,
        "message": message,
        "count": 1,
        "firstTimestamp": timestamp,
        "lastTimestamp": timestamp,
        "source": {"component": MANAGER},
        "reportingComponent": MANAGER,
        "reportingInstance": socket.gethostname(),
    }


def _seconds(timestamp: str | None) -> float:
    return datetime.fromisoformat(timestamp).timestamp() if timestamp else float("-inf")
