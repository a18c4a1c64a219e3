"""What the user asked of a rollout, as copied into status at its start."""

import math
from dataclasses import dataclass
from enum import StrEnum


class OnInconclusive(StrEnum):
    """What to do at the deadline when the evidence decides nothing."""

    HOLD = "Hold"
    PROMOTE = "Promote"
    ROLLBACK = "Rollback"


@dataclass(frozen=True, slots=True)
class Step:
    """weight in percent, 1 to 99; hold in seconds."""

    weight: int
    hold: float = 30.0


@dataclass(frozen=True, slots=True)
class RolloutPolicy:
    """ValueError, naming the field and the mend, when the values cannot make a rollout."""

    steps: tuple[Step, ...]
    max_increase: float = 0.01
    confidence: float = 0.99
    promotion_confidence: float = 0.95
    min_samples: int = 200
    deadline: float = 1800.0
    on_inconclusive: OnInconclusive = OnInconclusive.HOLD

    def __post_init__(self) -> None:
        weights = [step.weight for step in self.steps]
        if not weights or weights != sorted(set(weights)) or weights[0] < 1 or weights[-1] > 99:
            raise ValueError(f"steps: weights must rise from 1 to 99, at least one; got {weights}")
        if any(step.hold < 0 for step in self.steps):
            raise ValueError("steps: hold must not be negative")
        if not 0 < self.max_increase < 1:
            raise ValueError(
                f"analysis.errorRate.maxIncrease: must be between 0 and 1; got {self.max_increase}"
            )
        for name, value in (
            ("confidence", self.confidence),
            ("promotionConfidence", self.promotion_confidence),
        ):
            if not 0 < value < 1:
                raise ValueError(f"{name}: must be between 0 and 1; got {value}")
        if self.min_samples < 1:
            raise ValueError(f"minSamples: must be at least 1; got {self.min_samples}")
        if not self.deadline > 0:
            raise ValueError(f"deadline: must be longer than 0s; got {self.deadline}")


def canary_replicas(stable_replicas: int, weight: int) -> int:
    """Canary pods that carry weight percent with the same load for each pod as stable's."""
    return max(1, math.ceil(stable_replicas * weight / (100 - weight)))
