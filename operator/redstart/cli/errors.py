"""What the user is told instead of a traceback."""

from __future__ import annotations


class CliError(Exception):
    """A sentence for the user, and what to do about it. The command ends with exit code 1."""

    def __init__(self, message: str, mend: str = "") -> None:
        super().__init__(message)
        self.mend = mend
