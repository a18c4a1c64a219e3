"""The command line: `redstart`, and as a plugin `kubectl redstart`."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line and ends the process with its exit code."""
    try:
        # Typer and rich only here: what else imports this package (the sample data) needs neither.
        from redstart.cli.app import run  # noqa: PLC0415
    except ImportError as error:
        sys.exit(f"redstart: {error.name} is not installed: pip install 'redstart[cli]'")
    sys.exit(run(sys.argv))
