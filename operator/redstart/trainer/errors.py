"""The one way in which training fails on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class TrainingError(Exception):
    """A decision about data or spec that would be the same again: `reason` in one CamelCase word, and a sentence
    for a data scientist that names the column or field, the rule and the count."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def last_line(error: BaseException) -> str:
    """The exception as the last line of its traceback would show it, at most 500 characters."""
    text = str(error).strip().splitlines()
    name = type(error).__name__
    return f"{name}: {text[0]}"[:500] if text else name


@contextmanager
def reported(reason: str, what: str) -> Iterator[None]:
    """Report what scikit-learn raises within as a TrainingError: `what`, and the exception's last line."""
    try:
        yield
    except (MemoryError, TrainingError):
        raise
    except Exception as error:
        raise TrainingError(reason, f"{what}: {last_line(error)}") from error
