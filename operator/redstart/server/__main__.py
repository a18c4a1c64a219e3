"""`python -m redstart.server` serves an artifact; `python -m redstart.server verify` checks one."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from redstart.server import settings


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "verify":
            from redstart.server.verify import verify  # noqa: PLC0415 - each command loads what it needs

            return verify(options.model_dir, settings.formats(options.formats))
        from redstart.server.worker import serve  # noqa: PLC0415

        return serve(settings.read())
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


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
