"""What runs in the server's worker process: loads the model beside the application that will ask it."""

from __future__ import annotations

import logging
import os
import threading

from redstart.artifacts import termination
from redstart.artifacts.termination import Report
from redstart.server import inference, loading, reference, settings
from redstart.server.application import Application
from redstart.server.counts import Recorder
from redstart.server.loading import LoadError
from redstart.server.reporter import Reporter
from redstart.server.service import Service
from redstart.server.settings import Settings
from redstart.sidecar.report import State

logger = logging.getLogger(__name__)


def application() -> Application:
    """The WSGI application that Granian loads: it answers health checks at once, and rows when they may be asked."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    options = settings.read()
    recorder = Recorder()
    reporter = Reporter(options.socket, recorder)
    reporter.start()
    app = Application(recorder, options.model, options.version)
    threading.Thread(
        target=_load, args=(options, app, recorder, reporter), name="loader", daemon=True
    ).start()
    return app


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
    app.service = service
    return State(ready=True, digest=artifact.digest, reference=found)
