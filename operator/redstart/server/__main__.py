"""`python -m redstart.server` serves an artifact; `python -m redstart.server verify` checks one."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from redstart.server import settings

BACKLOG = 2048

KEEP_ALIVE = 2 * 60 * 60 * 1000
"""Milliseconds that an idle connection stays open: longer than Envoy's hour, so that the server never closes one
that the router is about to use."""

STOP_TIMEOUT = 60
"""Seconds for requests in flight at the end; the pod's grace period is what really bounds them."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "verify":
            # The supervising process of a server stays small: numpy and the rest are for its worker.
            from redstart.server.verify import verify  # noqa: PLC0415

            return verify(options.model_dir, settings.formats(options.formats))
        return serve(settings.read())
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def serve(options: settings.Settings) -> int:
    """Serve until SIGTERM, then finish the requests in flight."""
    from granian import Granian  # noqa: PLC0415
    from granian.constants import HTTPModes, Interfaces  # noqa: PLC0415
    from granian.http import HTTP1Settings  # noqa: PLC0415
    from granian.log import LogLevels  # noqa: PLC0415

    Granian(
        "redstart.server.worker:application",
        factory=True,
        address=options.host,
        port=options.port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        workers=1,
        blocking_threads=options.threads,
        backlog=BACKLOG,
        http1_settings=HTTP1Settings(header_read_timeout=KEEP_ALIVE),
        workers_kill_timeout=STOP_TIMEOUT,
        log_level=LogLevels.warning,
    ).serve()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m redstart.server", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    check = commands.add_parser("verify", help="load an artifact and ask it its reference rows")
    check.add_argument("--model-dir", type=Path, required=True, help="folder with the fetched artifact")
    check.add_argument(
        "--formats",
        default=os.environ.get("REDSTART_FORMATS", ",".join(settings.SAFE_FORMATS)),
        help="formats that may be loaded, separated by commas; Joblib runs code of whoever made the file",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
