"""Lease leader election: one process writes, and one that lost its Lease never does again.

Times of other machines are never compared with ours: a Lease is free when its record has not changed for its
duration on our own clock (as in client-go). A leader counts itself as leading for `renew_deadline` from the
moment it *sent* its last successful renewal, and a write may be under way for lease_duration - renew_deadline
at most, so that the last write of a frozen leader has ended before another one starts.
A Lease that a former process of the same pod holds is taken at once: a pod's container is started again only when its
process is dead, and the Lease's resourceVersion shows that nobody has led in between.
https://github.com/kubernetes/client-go/blob/master/tools/leaderelection/leaderelection.go
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from redstart.kube import errors, metrics
from redstart.kube.client import Client
from redstart.kube.kinds import LEASE, MANAGED_BY_LABEL, MANAGER, Object

log = logging.getLogger(__name__)


def boot_time() -> float:
    """Seconds that also pass while the machine sleeps, unlike CLOCK_MONOTONIC on Linux."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True)
class Timing:
    """In seconds."""

    lease_duration: float
    renew_deadline: float
    retry_period: float

    @property
    def write_timeout(self) -> float:
        return self.lease_duration - self.renew_deadline


class Leadership:
    """One process's claim on the Lease `namespace/name`. `clock` gives seconds that only grow.

    `pod`: the process's pod, whose name and an underscore every identity of its processes begins with; None outside
    a pod, where several may run beside each other.

    The client must not have `check` as its `before_write`.
    """

    def __init__(
        self,
        client: Client,
        *,
        namespace: str,
        name: str,
        identity: str,
        timing: Timing,
        pod: str | None = None,
        clock: Callable[[], float] = boot_time,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._timing = timing
        self._pod = pod
        self._clock = clock
        self._held_until = float("-inf")
        self._seen_record: Object | None = None
        self._seen_at = float("-inf")

    def check(self) -> None:
        """Raise LeadershipLost unless this process leads right now."""
        if self._clock() >= self._held_until:
            metrics.LEADER.set(0)
            raise errors.LeadershipLost(f"{self._identity} does not hold the Lease {self._name} any more")

    async def acquire(self) -> None:
        """Wait until this process leads."""
        while not await self._attempt():  # noqa: ASYNC110 (a Lease has to be asked)
            await asyncio.sleep(self._timing.retry_period)
        metrics.LEADER.set(1)
        log.info("leading as %s", self._identity)

    async def keep(self) -> None:
        """Renew until that fails for too long; then raise LeadershipLost."""
        while True:
            await asyncio.sleep(self._timing.retry_period)
            self.check()  # woken up after a freeze: lost, whatever the Lease says
            if not await self._attempt():
                self.check()
                if self._holder(self._seen_record) != self._identity:
                    self._held_until = float("-inf")
                    self.check()

    async def release(self) -> None:
        """Let another process lead at once; after this nothing may be written."""
        self._held_until = float("-inf")
        metrics.LEADER.set(0)
        lease = await self._client.get(LEASE, self._namespace, self._name)
        if lease is not None and self._holder(lease) == self._identity:
            spec = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
            await self._client.replace({**lease, "spec": spec})
            log.info("released the Lease %s", self._name)

    async def _attempt(self) -> bool:
        """Take or renew the Lease once; False when it is another's or there was no answer in time."""
        sent = self._clock()
        try:
            async with asyncio.timeout(self._timing.renew_deadline):
                taken = await self._write()
        except (errors.ApiError, TimeoutError) as error:
            log.warning("Lease %s/%s: %s", self._namespace, self._name, error or "no answer")
            return False
        if taken:
            self._held_until = sent + self._timing.renew_deadline
        return taken

    async def _write(self) -> bool:
        lease = await self._client.get(LEASE, self._namespace, self._name)
        if lease is None:
            self._observe(await self._client.create(self._lease()))
            return True
        self._observe(lease)
        if self._holder(lease) != self._identity and not self._is_free(lease):
            return False
        self._observe(await self._client.replace(self._lease(lease)))
        return True

    def _observe(self, lease: Object) -> None:
        record = {"spec": lease["spec"], "resourceVersion": lease["metadata"]["resourceVersion"]}
        if record != self._seen_record:
            self._seen_record, self._seen_at = record, self._clock()

    def _is_free(self, lease: Object) -> bool:
        holder = self._holder(lease)
        if not holder or (self._pod is not None and holder.startswith(f"{self._pod}_")):
            return True
        duration = lease["spec"].get("leaseDurationSeconds") or self._timing.lease_duration
        return self._clock() >= self._seen_at + duration

    @staticmethod
    def _holder(lease: Object | None) -> str:
        return ((lease or {}).get("spec") or {}).get("holderIdentity") or ""

    def _lease(self, current: Object | None = None) -> Object:
        """The Lease with us as holder; on top of `current` with its resourceVersion, so that of two that
        try at once one gets a Conflict.
        """
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = dict((current or {}).get("spec") or {})
        if self._holder(current) != self._identity:
            spec["acquireTime"] = now
            spec["leaseTransitions"] = spec.get("leaseTransitions", 0) + (1 if current else 0)
        spec |= {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(self._timing.lease_duration),
            "renewTime": now,
        }
        metadata = (
            current["metadata"]
            if current
            else {
                "name": self._name,
                "namespace": self._namespace,
                "labels": {MANAGED_BY_LABEL: MANAGER},
            }
        )
        return {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": metadata, "spec": spec}
