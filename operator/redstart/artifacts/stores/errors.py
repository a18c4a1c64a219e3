"""The one error of all stores."""

from __future__ import annotations

from typing import Literal

Reason = Literal[
    "StoreUnreachable",
    "StoreDenied",
    "StoreUnsupported",
    "CertificateUntrusted",
    "NotFound",
    "AlreadyExists",
    "DiskFull",
    "BadLocation",
]

_PASSING = ("StoreUnreachable", "AlreadyExists", "DiskFull")


class StoreError(Exception):
    """A store did not do what was asked; `reason` says in one word why, the text in a sentence that says what mends it.

    `of_uri`: the URI is at fault, or the file that it names; no other Secret, volume or setting mends it.
    """

    def __init__(self, reason: Reason, message: str, *, of_uri: bool = False) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.of_uri = of_uri

    @property
    def lasting(self) -> bool:
        """Whether it would come back until somebody changes something."""
        return self.reason not in _PASSING
