"""The operator's process: `python -m redstart.kube.operator [SETTINGS FILE]`.

Every replica watches and keeps its cache warm; the one that holds the Lease reconciles. The process ends with
0 after SIGTERM or a change of settings that are read at the start only, and with 1 when it lost the Lease or
something failed that only a new process mends.
"""

import asyncio
import dataclasses
import logging
import os
import signal
import socket
import sys
import time
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import aiohttp

from redstart import settings as settings_file
from redstart.kube import credentials, errors, logs, metrics
from redstart.kube.client import Client, session_over
from redstart.kube.cluster import Cluster
from redstart.kube.controller import Context, Controller, drain, work
from redstart.kube.credentials import Credentials, CredentialsError
from redstart.kube.events import Events
from redstart.kube.health import Health, serve
from redstart.kube.informer import Informer, Related, missing_kinds
from redstart.kube.kinds import WATCHED_KINDS, Key, Kind
from redstart.kube.leader import Leadership, Timing
from redstart.kube.queue import WorkQueue
from redstart.kube.store import Store
from redstart.kube.watch import streams, watch
from redstart.settings import DEFAULT_PATH, ENVIRONMENT, Settings, SettingsError

LEASE_NAME = "redstart-operator"
POD_ENVIRONMENT = "REDSTART_POD"  # the name of the pod that the process runs in, from the downward API
REQUESTS_AT_ONCE = 20  # connections to the API server besides the watches
DRAIN_SECONDS = 20.0  # within a pod's default terminationGracePeriodSeconds of 30
POLL_SECONDS = 2.0  # for the settings file, and for custom resources that are not installed yet
RELIST_SETTLES = 2.0  # seconds from a LIST of kopf's until the cache is compared with one of our own

T = TypeVar("T")

log = logging.getLogger(__name__)


class Operator:
    """One process's parts, wired together."""

    def __init__(
        self,
        controllers: Sequence[Controller],
        *,
        settings: Settings,
        settings_path: Path,
        account: Credentials,
        connector: aiohttp.BaseConnector,
        session: aiohttp.ClientSession,
        http: aiohttp.ClientSession,
    ) -> None:
        election = settings.leader_election
        timing = Timing(election.lease_duration, election.renew_deadline, election.retry_period)
        self._settings_path = settings_path
        self._account = account
        self._connector = connector
        self._namespaces = settings.watch_namespaces
        self._reconciles = {controller.kind: controller.reconcile for controller in controllers}
        self._queue: WorkQueue[Key] = WorkQueue()
        # A renewal that hangs leaves time for another before the deadline.
        self._reader = Client(session, account.server, write_timeout=timing.renew_deadline / 2)
        self._leadership: Leadership | None = None
        writer = Client(session, account.server)
        if election.enabled:
            self._leadership = Leadership(
                self._reader,
                namespace=account.namespace,
                name=LEASE_NAME,
                identity=_identity(),
                timing=timing,
                pod=os.environ.get(POD_ENVIRONMENT),
            )
            writer = Client(
                session,
                account.server,
                before_write=self._leadership.check,
                write_timeout=timing.write_timeout,
            )
        store = Store()
        cluster = Cluster(writer, store, Events(writer))
        self._informer = Informer(store, self._queue, cluster, self._reconciles, _related(controllers))
        self._context = Context(
            cluster=cluster, settings=settings, now=time.time, http=http, namespace=account.namespace
        )
        self._stopping = asyncio.Event()
        self._synced = asyncio.Event()
        self._leading = asyncio.Event()
        self._listed: dict[str, float] = {}  # when kopf last did, by plural
        self.health = Health(self._queue)

    def stop(self) -> None:
        """Finish the reconciles that run, release the Lease, and return from `run`."""
        self._stopping.set()

    async def run(self) -> None:
        """Until `stop`; raises LeadershipLost, or what made a part fail."""
        self._take_signals()
        stopping = asyncio.create_task(self._wait_for_stop())
        workers = [asyncio.create_task(self._work()) for _ in range(self._context.settings.workers)]
        lead = asyncio.create_task(self._lead())
        parts = [
            lead,
            asyncio.create_task(self._keep_in_sync()),
            asyncio.create_task(self._follow_settings()),
            asyncio.create_task(self._watch()),
        ]
        try:
            await asyncio.wait((stopping, *workers, *parts), return_when=asyncio.FIRST_COMPLETED)
            for task in (*workers, *parts):
                if task.done():
                    task.result()
            await self._hand_over(workers, lead)
        finally:
            for task in (stopping, *workers, *parts):
                task.cancel()
            await asyncio.gather(stopping, *workers, *parts, return_exceptions=True)

    def _take_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for signal_ in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signal_, self.stop)

    async def _wait_for_stop(self) -> None:
        await self._stopping.wait()

    async def _work(self) -> None:
        await self._leading.wait()
        await work(self._queue, self._reconciles, lambda: self._context)

    async def _lead(self) -> None:
        await self._synced.wait()
        if self._leadership is not None:
            await self._leadership.acquire()
        self.health.leading = True
        self._leading.set()
        if self._leadership is not None:
            await self._leadership.keep()
        await self._stopping.wait()

    async def _hand_over(self, workers: list[asyncio.Task[None]], lead: asyncio.Task[None]) -> None:
        log.info("stopping")
        self._queue.close()
        self._leading.set()  # workers that never led find the queue closed
        await drain(workers, DRAIN_SECONDS)
        lead.cancel()  # a renewal must not cross the release
        await asyncio.wait((lead,))
        if self._leadership is not None and self.health.leading:
            try:
                await self._leadership.release()
            except errors.ApiError as error:
                log.warning("the Lease is not released and runs out by itself: %s", error)

    async def _watch(self) -> None:
        await self._synced.wait()  # by then it is known that every kind may be listed
        await watch(
            self._connector,
            self._account,
            self._namespaces,
            self._informer,
            listing=self._note_listing,
            started=self._take_signals,
        )

    def _note_listing(self, plural: str) -> None:
        self._listed[plural] = time.monotonic()

    async def _keep_in_sync(self) -> None:
        while missing := await _persist(lambda: missing_kinds(self._reader)):
            names = ", ".join(f"{kind.plural}.{kind.group}" for kind in missing)
            self.health.waiting_for = f"the custom resources {names} to be installed"
            log.warning("waiting for %s", self.health.waiting_for)
            await asyncio.sleep(POLL_SECONDS)
        for kind in WATCHED_KINDS:
            await self._resync(kind)
        self._synced.set()
        self.health.synced = True
        log.info("the cache is in sync")
        synced_at = dict.fromkeys(WATCHED_KINDS, time.monotonic())
        while True:
            await asyncio.sleep(RELIST_SETTLES / 2)
            for kind in WATCHED_KINDS:
                now, listed = time.monotonic(), self._listed.get(kind.plural, float("inf"))
                due = now - synced_at[kind] >= self._context.settings.resync_interval
                if due or now - listed >= RELIST_SETTLES:
                    self._listed.pop(kind.plural, None)
                    await self._resync(kind)
                    synced_at[kind] = now

    async def _resync(self, kind: Kind) -> None:
        for namespace in self._namespaces or (None,):
            await _persist(partial(self._informer.resync, self._reader, kind, namespace))

    async def _follow_settings(self) -> None:
        """Take a changed settings file, or refuse it and keep what we have."""
        text = await _read(self._settings_path)
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if (changed := await _read(self._settings_path)) == text:
                continue
            text = changed
            try:
                new = settings_file.load(self._settings_path)
            except SettingsError as error:
                metrics.SETTINGS_REFUSED.set(1)
                log.error("the changed settings are refused, the former ones stay: %s", error)
                continue
            metrics.SETTINGS_REFUSED.set(0)
            if restart := settings_file.needs_restart(self._context.settings, new):
                log.info("restarting, as %s changed in the settings", ", ".join(restart))
                self.stop()
                return
            logs.configure(new.log)
            self._context = dataclasses.replace(self._context, settings=new)
            self._informer.enqueue_all()
            log.info("the changed settings are in force")


async def _read(path: Path) -> str | None:
    try:
        return await asyncio.to_thread(path.read_text, encoding="utf-8")
    except OSError:
        return None  # load says why


async def _persist(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until there is an answer."""
    delay = 0.5
    while True:
        try:
            return await ask()
        except errors.Transient as error:
            log.warning("the API server does not answer, again in %.1f s: %s", delay, error)
            await asyncio.sleep(delay)
            delay = min(delay * 2, 10.0)


def _identity() -> str:
    return f"{os.environ.get(POD_ENVIRONMENT) or socket.gethostname()}_{uuid.uuid4()}"


def _related(controllers: Sequence[Controller]) -> dict[Kind, list[Related]]:
    related: dict[Kind, list[Related]] = defaultdict(list)
    for controller in controllers:
        for kind, mapping in controller.related.items():
            related[kind].append(mapping)
    return dict(related)


async def serve_cluster(controllers: Sequence[Controller], settings_path: Path) -> None:
    """Run one operator process until SIGTERM."""
    settings = settings_file.load(settings_path)
    logs.configure(settings.log)
    account = credentials.load()
    connections = streams(settings.watch_namespaces) + REQUESTS_AT_ONCE
    async with (
        aiohttp.TCPConnector(limit=connections, ssl=account.ssl) as connector,
        session_over(connector, account) as session,
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=settings.scrape_connections),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=2),
        ) as http,
    ):
        operator = Operator(
            controllers,
            settings=settings,
            settings_path=settings_path,
            account=account,
            connector=connector,
            session=session,
            http=http,
        )
        async with serve(operator.health, settings.health_port, settings.metrics_port):
            await operator.run()


def main(controllers: Sequence[Controller], arguments: Sequence[str]) -> int:
    """The process's exit code. The settings file is the argument, else what REDSTART_SETTINGS names."""
    path = Path(arguments[0] if arguments else os.environ.get(ENVIRONMENT) or DEFAULT_PATH)
    try:
        asyncio.run(serve_cluster(controllers, path))
    except (SettingsError, CredentialsError) as error:
        print(f"redstart: {error}", file=sys.stderr)
        return 1
    except (errors.ApiError, errors.LeadershipLost, OSError) as error:
        log.error("ending: %s", error)
        return 1
    except Exception:
        log.exception("ending, as a part of the operator failed")
        return 1
    return 0


if __name__ == "__main__":
    from redstart.controllers.registry import CONTROLLERS

    sys.exit(main(CONTROLLERS, sys.argv[1:]))
