"""A file that is being read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Opened:
    """`name` is the file's, as its store or server tells it; `media` the type that a server tells, in small letters
    and without parameters."""

    name: str
    media: str | None
    chunks: Iterator[memoryview]
