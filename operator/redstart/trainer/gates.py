"""Gates: bounds that metrics on the held-out rows must keep. An undefined metric is an error, never a pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from redstart.api.v1alpha1.common import Gate
from redstart.trainer.errors import TrainingError


class GateResult(msgspec.Struct, frozen=True):
    """A gate and what came of it."""

    metric: str
    value: float
    bound: float
    direction: Literal["AtLeast", "AtMost"]
    passed: bool

    def text(self) -> str:
        """For instance `f1 0.62 < 0.75`: the value, and how it stands to the bound."""
        at_least = self.direction == "AtLeast"
        sign = (">=" if self.passed else "<") if at_least else ("<=" if self.passed else ">")
        value, bound = f"{self.value:.4g}", f"{self.bound:.4g}"
        if value == bound and not self.passed:
            value, bound = repr(self.value), repr(self.bound)
        return f"{self.metric} {value} {sign} {bound}"


def evaluate(gates: Sequence[Gate], metrics: Mapping[str, float]) -> list[GateResult]:
    """Judge every gate.

    Raises:
        TrainingError: MetricUndefined, naming the metric and why it may be undefined.
    """
    results = []
    for gate in gates:
        value = metrics.get(gate.metric)
        if value is None:
            raise TrainingError(
                "MetricUndefined",
                f"gates: {gate.metric} is not defined on the held-out rows: {_why(gate.metric)}",
            )
        if gate.at_least is not None:
            results.append(GateResult(gate.metric, value, gate.at_least, "AtLeast", value >= gate.at_least))
        elif gate.at_most is not None:
            results.append(GateResult(gate.metric, value, gate.at_most, "AtMost", value <= gate.at_most))
    return results


def _why(metric: str) -> str:
    match metric:
        case "rocAuc":
            return "it needs rows of every class among them, and an estimator with probabilities or decision values"
        case "precision" | "recall" | "f1":
            return (
                "with more than two classes it needs evaluation.positiveClass; else no row of the positive class "
                "is among them, or none is predicted"
            )
        case "precisionMacro" | "recallMacro" | "f1Macro":
            return "some class is never predicted"
        case _:
            return "the target is constant among them"
