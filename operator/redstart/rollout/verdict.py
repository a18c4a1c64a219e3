"""What every decision of a rollout answers: an outcome, a reason for machines, a sentence for people."""

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """Of one metric or structural sign."""

    PASS = "Pass"  # noqa: S105
    FAIL = "Fail"
    UNDECIDED = "Undecided"
    ACCEPTABLE = "Acceptable"


@dataclass(frozen=True, slots=True)
class Verdict:
    """reason is CamelCase and fit for a condition; message is a sentence."""

    outcome: Outcome
    reason: str
    message: str
