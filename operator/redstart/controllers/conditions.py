"""Conditions as kstatus reads them: Ready always, Reconciling and Stalled only while they are True. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

ConditionStatus = Literal["True", "False", "Unknown"]

# kstatus takes the mere presence of these for news, so that they are left out while they do not hold.
_ONLY_WHILE_TRUE = frozenset({"Reconciling", "Stalled"})
_LONGEST_MESSAGE = 4096
_LONGEST_REASON = 128


class Condition(NamedTuple):
    """What a controller says about one aspect; `message` is a sentence for the user."""

    type: str
    status: ConditionStatus
    reason: str
    message: str


def true(type_: str, reason: str, message: str) -> Condition:
    """A condition that holds."""
    return Condition(type_, "True", reason, message)


def false(type_: str, reason: str, message: str) -> Condition:
    """A condition that does not hold."""
    return Condition(type_, "False", reason, message)


def unknown(type_: str, reason: str, message: str) -> Condition:
    """A condition that cannot be told yet."""
    return Condition(type_, "Unknown", reason, message)


def written(
    wanted: Iterable[Condition],
    previous: Sequence[Mapping[str, Any]],
    *,
    generation: int,
    now: float,
) -> list[dict[str, Any]]:
    """The list as status holds it.

    `previous` is the list that status holds now: lastTransitionTime is kept while a condition's status is the
    same. `now` is in seconds since the epoch.
    """
    before = {condition["type"]: condition for condition in previous}
    return [
        {
            "type": condition.type,
            "status": condition.status,
            "reason": condition.reason[:_LONGEST_REASON],
            "message": clipped(condition.message),
            "lastTransitionTime": _since(condition, before.get(condition.type), now),
            "observedGeneration": generation,
        }
        for condition in wanted
        if condition.status == "True" or condition.type not in _ONLY_WHILE_TRUE
    ]


def news(wanted: Iterable[Condition], previous: Sequence[Mapping[str, Any]], type_: str) -> Condition | None:
    """The condition of that type where it has begun to be True, or is so for another reason than before."""
    found = next((condition for condition in wanted if condition.type == type_), None)
    if found is None or found.status != "True":
        return None
    before = next((condition for condition in previous if condition["type"] == type_), None)
    known = before is not None and (before["status"], before["reason"]) == ("True", found.reason)
    return None if known else found


def _since(condition: Condition, before: Mapping[str, Any] | None, now: float) -> str:
    if before is not None and before.get("status") == condition.status and "lastTransitionTime" in before:
        return str(before["lastTransitionTime"])
    return timestamp(now)


def clipped(message: str, longest: int = _LONGEST_MESSAGE) -> str:
    """The message, cut with an ellipsis where it is longer than a status field holds."""
    return message if len(message) <= longest else message[: longest - 1] + "…"


def timestamp(now: float) -> str:
    """Seconds since the epoch as Kubernetes writes a time: RFC 3339, UTC, whole seconds."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(timestamp: str) -> float:
    """A time as Kubernetes writes it, with or without a fraction, in seconds since the epoch."""
    return datetime.fromisoformat(timestamp).timestamp()
