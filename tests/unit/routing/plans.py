"""Plans that several tests use."""

from typing import Any

from redstart.routing.plan import Arm, TrafficPlan

OLD = Arm("3f9a1c0b77aa", "model-3f9a1c0b77aa.default.svc.cluster.local.")
NEW = Arm("6fd9c4a1b2aa", "model-6fd9c4a1b2aa.default.svc.cluster.local.")


def make_plan(number: int = 12, **more: Any) -> TrafficPlan:
    """Stable alone unless told otherwise."""
    fields: dict[str, Any] = {"number": number, "service": "model", "namespace": "default", "stable": OLD}
    return TrafficPlan(**fields | more)


def make_canary_plan(number: int = 12, **more: Any) -> TrafficPlan:
    """A canary at 25 percent."""
    return make_plan(number, **{"canary": NEW, "weight": 25} | more)
