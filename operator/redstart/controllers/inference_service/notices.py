"""Events that tell of a change of conditions, once for each change. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from redstart.controllers.conditions import Condition, news
from redstart.controllers.inference_service.transitions import Notice


def changes(wanted: Iterable[Condition], previous: Sequence[Mapping[str, Any]]) -> list[Notice]:
    """What has got worse from the conditions that status holds to those that it is given now."""
    wanted = list(wanted)
    before = {condition["type"]: condition for condition in previous}
    found = []
    for condition in wanted:
        was = before.get(condition.type, {}).get("status")
        if condition.type == "Ready" and was == "True" and condition.status == "False":
            if condition.reason != "Stopped":
                found.append(Notice("Warning", "Degraded", condition.message))
        elif condition.type == "MetricsAvailable" and condition.status == "False" and was != "False":
            found.append(Notice("Warning", "MetricsUnavailable", condition.message))
        elif condition.type in _TOLD and news(wanted, previous, condition.type) is not None:
            found.append(Notice("Warning", condition.reason, condition.message))
    return found


_TOLD = frozenset({"BaselineUnhealthy", "PodsBlocked", "Stalled"})
"""Conditions whose reason is an event of its own."""
