"""Events that tell of a change of conditions, once for each change. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from redstart.api.v1alpha1.inference_service import InferenceServiceStatus
from redstart.controllers.conditions import Condition, news
from redstart.controllers.inference_service.observe import PROMOTE_ANNOTATION
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
        elif condition.type == "PolicyUpToDate" and was is None:
            found.append(Notice("Normal", condition.reason, condition.message))
        elif condition.type == "MetricsAvailable" and condition.status == "False" and was != "False":
            found.append(Notice("Warning", "MetricsUnavailable", condition.message))
        elif condition.type in _TOLD and news(wanted, previous, condition.type) is not None:
            found.append(Notice("Warning", condition.reason, condition.message))
    return found


def unknown_rollout(asked: str, status: InferenceServiceStatus) -> Notice | None:
    """A promotion that is asked of a rollout that is not, and was not."""
    current = status.canary
    if not asked or current is None or asked in (current.rollout, *(entry.id for entry in status.rollouts)):
        return None
    return Notice(
        "Warning",
        "PromoteIgnored",
        f"annotation {PROMOTE_ANNOTATION} names {asked[:64]}, and the rollout that is under way is {current.rollout}",
    )


_TOLD = frozenset({"BaselineUnhealthy", "PodsBlocked", "RolloutsSuperseded", "Stalled", "VersionDeleted"})
"""Conditions whose reason is an event of its own."""
