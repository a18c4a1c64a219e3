"""The server's process: an event loop that answers, a thread that loads the model, one that reports."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import socket
import threading
from time import perf_counter, thread_time

import msgspec
import uvloop

from redstart.artifacts import termination
from redstart.artifacts.termination import Report
from redstart.server import inference, loading, reference
from redstart.server.admission import Costs
from redstart.server.application import Application
from redstart.server.counts import Recorder
from redstart.server.http import Clock, Connection
from redstart.server.loading import LoadError
from redstart.server.reporter import Reporter
from redstart.server.service import Service
from redstart.server.settings import Settings
from redstart.sidecar.report import State

logger = logging.getLogger(__name__)


BACKLOG = 2048
CHECK_SECONDS = 1.0

STOP_SECONDS = 60.0
"""For requests in flight at the end; the pod's grace period is what really bounds them."""


def serve(options: Settings) -> int:
    """Serve until SIGTERM, then finish the requests in flight."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    recorder = Recorder()
    reporter = Reporter(options.socket, recorder)
    app = Application(recorder, options.model, options.version, options.threads)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(options, app, recorder, reporter))
    reporter.stop()
    return 0


async def _serve(options: Settings, app: Application, recorder: Recorder, reporter: Reporter) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    _allow_many_connections()
    reporter.start()
    app.schedule.start(loop)
    listener = Listener(loop, app, listening(options.host, options.port))
    # Health checks are answered while the model loads.
    threading.Thread(
        target=_load, args=(options, app, recorder, reporter), name="loader", daemon=True
    ).start()
    checking = asyncio.create_task(_check(app))
    await stopped.wait()
    listener.close()
    app.stop()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STOP_SECONDS):
            await app.closed.wait()
    checking.cancel()


async def _check(app: Application) -> None:
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        Clock.tick()
        app.check()


class Listener:
    """Takes all connections that have come in each turn of the loop.

    uvloop's own server takes one a turn. Where a turn of a server at its limit takes half a second, a probe behind a
    hundred new connections would wait for a minute."""

    def __init__(self, loop: asyncio.AbstractEventLoop, app: Application, listener: socket.socket) -> None:
        listener.setblocking(False)
        self._loop, self._app, self._listener = loop, app, listener
        self._joining: set[asyncio.Task[object]] = set()
        loop.add_reader(listener, self._accept)

    def close(self) -> None:
        """Take no more."""
        self._loop.remove_reader(self._listener)
        self._listener.close()

    def _accept(self) -> None:
        for _ in range(BACKLOG):
            try:
                accepted, _ = self._listener.accept()
            except BlockingIOError:
                return
            except ConnectionError:  # gone before it was taken
                continue
            except OSError:
                logger.exception("no more connections can be taken")
                self._loop.remove_reader(self._listener)
                self._loop.call_later(CHECK_SECONDS, self._resume)
                return
            accepted.setblocking(False)
            joining = self._loop.create_task(
                self._loop.connect_accepted_socket(lambda: Connection(self._app), accepted)
            )
            self._joining.add(joining)
            joining.add_done_callback(self._joining.discard)

    def _resume(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.add_reader(self._listener, self._accept)


def listening(host: str, port: int) -> socket.socket:
    """A listener; on :: it takes both families."""
    six = ":" in host
    return socket.create_server(
        (host, port),
        family=socket.AF_INET6 if six else socket.AF_INET,
        backlog=BACKLOG,
        dualstack_ipv6=six and socket.has_dualstack_ipv6(),
    )


def _allow_many_connections() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _load(options: Settings, app: Application, recorder: Recorder, reporter: Reporter) -> None:
    try:
        state = load(options, app, recorder)
    except Exception as error:
        reason = error.reason if isinstance(error, LoadError) else "ModelNotLoaded"
        message = str(error) if isinstance(error, LoadError) else repr(error)
        logger.exception("the model cannot be loaded")
        reporter.state = State(message=f"{reason}: {message}")
        reporter.flush()
        termination.write(Report("Failed", reason, message))
        # Loading again may help (a full node) or not; the kubelet's back-off is there for both.
        os._exit(1)
    if state.ready:
        logger.info("ready: %s, %s", options.version, state.digest)
    else:
        logger.error("not ready: %s", state.message)
    reporter.state = state
    reporter.flush()


def load(options: Settings, app: Application, recorder: Recorder) -> State:
    """Load the model, check it, and give it to the application when it may be asked.

    Raises:
        LoadError: there is no model to check.
    """
    artifact = loading.open_artifact(options.model_dir, options.formats)
    if options.digest and artifact.digest != options.digest:
        message = f"the artifact's digest is {artifact.digest}, expected {options.digest}"
        app.unready = message
        return State(digest=artifact.digest, message=message)
    model = inference.load(artifact)
    service = Service(artifact, model, options.model, options.version, options.ignored_inputs)
    found = reference.check(artifact.manifest, model, service.rows, artifact.reference)
    if found.mismatched:
        message = f"{found.mismatched} of {found.rows} reference rows are answered wrongly: {found.first}"
        app.unready = message
        return State(digest=artifact.digest, message=message, reference=found)
    recorder.profile(artifact.manifest, artifact.profile)
    # What is there now stays: the collector need not look at it again and again, for tens of milliseconds.
    gc.collect()
    gc.freeze()
    _measure(app.schedule.costs, service)
    app.service = service
    return State(ready=True, digest=artifact.digest, reference=found)


def _measure(costs: Costs, service: Service) -> None:
    """Ask one reference row, and all of them, to learn what the model's answers cost."""
    rows = service.artifact.reference.rows
    for asked in (rows[:1], rows):
        if asked:
            body = msgspec.json.encode({"rows": asked})
            begun, before = perf_counter(), thread_time()
            service.predict(body)
            costs.observe_processor(len(body), thread_time() - before)
            costs.observe_elapsed(len(body), perf_counter() - begun)
