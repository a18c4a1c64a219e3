"""The headline of the simulated rollout decision; rollout_simulation has every scenario."""

from __future__ import annotations

import sys

import numpy as np
from tests.benchmarks.rollout_simulation import ALLOWED, POLICY, constant, fixed, seconds, share, table
from tests.benchmarks.rollout_streams import RULES, Stream, detection, rollouts, rule_detection

WEIGHT = 20
ONSET = 600
BASE = constant(0.001)
PHASES = range(ONSET, ONSET + 300, 37)
"""Of a fault between two measurements of a rule: how soon it measures is its luck."""


def measure(number: int) -> str:
    """Two tables in Markdown: false decisions in so many whole rollouts, and times to decide in a tenth of them."""
    return f"{_false_decisions(number)}\n\n{_times(number)}"


def _false_decisions(number: int) -> str:
    rows = []
    bounds = {0.0: "rolled back ≤ 1 %", ALLOWED: "rolled back ≤ 1 %, proven ≤ 5 %"}
    for gap, bound in bounds.items():
        got = rollouts(POLICY, Stream(constant(0.01), gap), number)
        name = "worse by maxIncrease, which is allowed" if gap else "as good as stable"
        rules = [share(np.isfinite(got.rules[rule.name])) if not gap else "" for rule in RULES]
        rows.append([name, share(np.isfinite(got.failed_at)), *rules, share(got.proven), bound])
        print(f"  {name}: {rows[-1][1:]}", file=sys.stderr, flush=True)
    header = [
        "canary; stable fails 1 %",
        "rolled back by Redstart",
        *(f"by {rule.name}" for rule in RULES),
        "promoted by proof",
        "to reach",
    ]
    return table(header, rows)


def _times(number: int) -> str:
    rows = []
    for gap in (1.0, 0.19):
        worse = min(1.0, ALLOWED + gap)
        redstart = [
            seconds(detection(fixed(WEIGHT), Stream(BASE, worse, onset), number // 10))
            for onset in (0, ONSET)
        ]
        rules: dict[str, list[np.ndarray[tuple[int], np.dtype[np.float64]]]] = {}
        for phase in PHASES:
            found = rule_detection(Stream(BASE, worse, phase), WEIGHT, number // 50, 3600, seed=phase)
            for name, values in found.items():
                rules.setdefault(name, []).append(values)
        others = [seconds(np.concatenate(values)) for values in rules.values()]
        rows.append([f"{100 * worse:g} points above stable", *redstart, *others])
        print(f"  {rows[-1]}", file=sys.stderr, flush=True)
    header = [
        "seconds to the rollback, median / 90th percentile",
        "Redstart, fault from the start",
        "Redstart, after 600 s of health",
        *(f"{rule.name}, after 600 s" for rule in RULES),
    ]
    return table(header, rows)
