# ruff: noqa: N818 (the names are those of the reasons that the API server gives)
"""What the API server answers when it does not do what was asked.

A controller reads the class: Transient and Conflict are tried again by the queue, Invalid and NotOurs are
for the user to mend, NotFound and AlreadyExists are facts.
"""

from typing import Any


class ApiError(Exception):
    """status: the HTTP status (0 when no answer came); reason: CamelCase; message: a sentence."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{message} ({status} {reason})")
        self.status = status
        self.reason = reason
        self.message = message


class NotFound(ApiError):
    pass


class AlreadyExists(ApiError):
    pass


class Conflict(ApiError):
    """A write carried a stale resourceVersion or another object's uid: observe again."""


class Invalid(ApiError):
    """The object breaks the schema or a rule; the same write fails for ever."""


class Forbidden(ApiError):
    """RBAC or admission says no, or the namespace is going away."""


class Transient(ApiError):
    """No answer, or one that says to come back later. `retry_after` is in seconds when the server gave it."""

    def __init__(self, status: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(status, reason, message)
        self.retry_after = retry_after


class NotOurs(ApiError):
    """An object of this name exists and is controlled by somebody else; nothing was written."""

    def __init__(self, kind: str, namespace: str, name: str, controller: str | None) -> None:
        by = f"is controlled by {controller}" if controller else "was not created by Redstart"
        super().__init__(409, "NameConflict", f"{kind} {namespace}/{name} exists already and {by}")


REFUSED = (Invalid, Forbidden, NotOurs)
"""What comes back until somebody mends the spec, a quota, a rule or a name."""


class LeadershipLost(Exception):
    """This process may not write any more: another one may be leading."""


def from_response(status: int, body: Any, retry_after: str | None = None) -> ApiError:
    """The error for a failed answer: `body` is a metav1.Status, or text when a proxy answered."""
    if isinstance(body, dict):
        reason, message = body.get("reason") or "", body.get("message") or ""
    else:
        reason, message = "", str(body)[:500]
    reason = reason or f"HTTP{status}"
    message = message or f"the API server answered {status}"
    if status == 404:
        return NotFound(status, reason, message)
    if status == 409:
        return (AlreadyExists if reason == "AlreadyExists" else Conflict)(status, reason, message)
    if status == 422:
        return Invalid(status, reason, message)
    if status == 403:
        return Forbidden(status, reason, message)
    if status in (401, 408, 429) or status >= 500:
        seconds = float(retry_after) if retry_after and retry_after.isdigit() else None
        return Transient(status, reason, message, seconds)
    return ApiError(status, reason, message)
