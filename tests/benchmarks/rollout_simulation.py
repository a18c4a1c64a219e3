"""The rollout decision, simulated: false rollbacks, false promotions and times to decide, as tables.

    python -m tests.benchmarks.rollout_simulation [--rollouts 10000] [--docs docs/how-rollout-decides.md]

--docs writes the tables between the page's markers, and the plot beside it into images/.
"""

import argparse
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tests.benchmarks.error_rate_vectorised import Floats
from tests.benchmarks.rollout_streams import RULES, Base, Stream, detection, rollouts, rule_detection

from redstart.rollout.policy import RolloutPolicy, Step

POLICY = RolloutPolicy(steps=(Step(5), Step(25), Step(50)))
HALF = RolloutPolicy(steps=(Step(50),))
ALLOWED = POLICY.max_increase
REDSTART = "Redstart"


def constant(rate: float) -> Base:
    return lambda second, chance: np.full(len(chance), rate)


def wave(second: int, chance: Floats) -> Floats:
    """Between 0.2 and 1.8 % within ten minutes, each rollout at its own phase."""
    return 0.01 * (1 + 0.8 * np.sin(2 * np.pi * (second / 600 + chance)))


def ramp(second: int, chance: Floats) -> Floats:
    return np.full(len(chance), 0.05 * second / POLICY.deadline)


def incident(second: int, chance: Floats) -> Floats:
    """40 % for a minute that begins somewhere in the first five minutes."""
    start = 300 * chance
    return np.where((start <= second) & (second < start + 60), 0.4, 0.001)


def poison(second: int, chance: Floats) -> Floats:
    """Each minute, ten seconds in which a fifth of the rows fails on any version."""
    return np.where((second + 60 * chance) % 60 < 10, 0.2, 0.001)


@dataclass(frozen=True)
class Scenario:
    name: str
    stream: Stream
    policy: RolloutPolicy = POLICY
    restart_every: int = 0


def scenarios() -> list[Scenario]:
    """Canaries that must not be rolled back: as good as stable, or worse by exactly what is allowed."""
    streams = {f"base {100 * rate:g} %": constant(rate) for rate in (0.0, 0.001, 0.01, 0.05)}
    streams |= {
        "base in waves of 0.2 to 1.8 %": wave,
        "base ramps from 0 to 5 %": ramp,
        "incident shared by both arms": incident,
        "poison rows in bursts": poison,
    }
    found = [
        Scenario(f"{name}, {gap}", Stream(base, value))
        for gap, value in (("as good as stable", 0.0), ("worse by maxIncrease", ALLOWED))
        for name, base in streams.items()
    ]
    return [
        *found,
        *(
            Scenario(
                f"base 1 %, worse by maxIncrease, {rate} requests/s",
                Stream(constant(0.01), ALLOWED, requests_per_second=rate),
            )
            for rate in (10, 1000)
        ),
        *(
            Scenario(f"{name}, 1 request/s at 50 %", Stream(base, gap, requests_per_second=1), policy=HALF)
            for name, base, gap in (
                ("base 1 %, as good as stable", constant(0.01), 0.0),
                ("incident shared by both arms, as good as stable", incident, 0.0),
                ("poison rows in bursts, as good as stable", poison, 0.0),
                ("base 0.1 %, worse by maxIncrease", constant(0.001), ALLOWED),
                ("base 1 %, worse by maxIncrease", constant(0.01), ALLOWED),
                ("poison rows in bursts, worse by maxIncrease", poison, ALLOWED),
            )
        ),
        Scenario(
            "base 1 %, worse by maxIncrease, operator restarts each minute",
            Stream(constant(0.01), ALLOWED),
            restart_every=60,
        ),
    ]


def share(hits: Iterable[bool]) -> str:
    return f"{100 * np.mean(list(hits)):.2f} %"


def seconds(values: Floats) -> str:
    """Median and 90th percentile; a dash when that share was not found at all."""
    return " / ".join(
        "–" if np.isinf(value) else f"{value:.0f}"
        for value in np.quantile(values, [0.5, 0.9], method="higher")
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


@dataclass
class Figures:
    """What the plot shows: shares of healthy canaries rolled back, and seconds to decide by gap."""

    false_rollbacks: dict[str, dict[str, float]]
    times: dict[str, dict[float, float]]


def false_decisions(number: int, figures: Figures) -> str:
    """The scenarios at base 1 % with all rollouts, the others with a fifth of them."""
    rows = []
    for scenario in scenarios():
        headline = scenario.name in ("base 1 %, as good as stable", "base 1 %, worse by maxIncrease")
        count = number if headline else max(1, number // 5)
        got = rollouts(scenario.policy, scenario.stream, count, restart_every=scenario.restart_every)
        failed = np.isfinite(got.failed_at)
        by_rule = {rule.name: np.isfinite(got.rules[rule.name]) for rule in RULES}
        figures.false_rollbacks[scenario.name] = {REDSTART: float(failed.mean())} | {
            name: float(hits.mean()) for name, hits in by_rule.items()
        }
        worse = scenario.stream.gap > 0
        rows.append(
            [
                scenario.name,
                f"{count:,}",
                share(got.rolled_back),
                share(failed),
                *("" if worse else share(hits) for hits in by_rule.values()),
                share(got.proven),
                share(np.isfinite(got.promoted_at)),
                "" if worse else seconds(got.promoted_at),
            ]
        )
        print(f"  {scenario.name}: {rows[-1][2:]}", flush=True)
    header = [
        "canary",
        "rollouts",
        "Redstart",
        "Redstart, watched 30 min",
        *(rule.name for rule in RULES),
        "promoted by proof",
        "promoted by proof or at the deadline",
        "seconds to promotion",
    ]
    return table(header, rows)


def fixed(weight: int) -> RolloutPolicy:
    return RolloutPolicy(steps=(Step(weight, math.inf),))


GAPS = (1.0, 0.19, 0.04, 0.01)  # above stable + maxIncrease


def times_by_onset(number: int, figures: Figures) -> str:
    rows = []
    base = constant(0.001)
    for gap in GAPS:
        cells = [
            seconds(detection(fixed(20), Stream(base, min(1.0, ALLOWED + gap), onset), number))
            for onset in (0, 60, 600)
        ]
        # At many phases of the rules' intervals: how soon they measure after the fault is their luck.
        onsets = range(600, 900, 37)
        per_rule: dict[str, Floats] = {}
        for phase in onsets:
            stream = Stream(base, min(1.0, ALLOWED + gap), phase)
            for name, values in rule_detection(stream, 20, number // 5, 3600, seed=phase).items():
                per_rule[name] = np.concatenate([per_rule.get(name, np.array([])), values])
        rows.append(
            [
                f"{100 * min(1.0, ALLOWED + gap):g} points above stable",
                *cells,
                *(seconds(v) for v in per_rule.values()),
            ]
        )
        figures.times.setdefault(REDSTART, {})[gap] = float(
            np.median(detection(fixed(20), Stream(base, min(1.0, ALLOWED + gap), 600), number))
        )
        for name, values in per_rule.items():
            figures.times.setdefault(name, {})[gap] = float(np.median(values))
        print(f"  {rows[-1]}", flush=True)
    header = [
        "canary's errors",
        "from the start",
        "after 60 s of health",
        "after 600 s",
        *(f"{r.name}, after 600 s" for r in RULES),
    ]
    return table(header, rows)


def times_by_traffic(number: int) -> str:
    rows = []
    for rate in (10, 100, 1000):
        for weight in (1, 5, 20, 50):
            cells = [
                seconds(
                    detection(
                        fixed(weight),
                        Stream(constant(0.001), min(1.0, ALLOWED + gap), 60, requests_per_second=rate),
                        number,
                    )
                )
                for gap in GAPS
            ]
            rows.append([str(rate), f"{weight} %", *cells])
            print(f"  {rows[-1]}", flush=True)
    header = ["requests/s", "weight", *(f"{100 * min(1.0, ALLOWED + gap):g} points above" for gap in GAPS)]
    return table(header, rows)


def times_at_little_traffic(number: int) -> str:
    rows = []
    streams = (
        ("100 points above, evenly spaced", 1.0, True),
        ("100 points above, at random", 1.0, False),
        ("20 points above, at random", ALLOWED + 0.19, False),
    )
    for rate in (0.3, 0.5, 1.0):
        for weight in (5, 20, 50):
            cells = [
                seconds(
                    detection(
                        fixed(weight),
                        Stream(constant(0.001), gap, 60, requests_per_second=rate, steady=steady),
                        number,
                    )
                )
                for _, gap, steady in streams
            ]
            rows.append([f"{rate:g}", f"{weight} %", *cells])
            print(f"  {rows[-1]}", flush=True)
    return table(["requests/s", "weight", *(name for name, _, _ in streams)], rows)


def plot(figures: Figures, path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams.update({"svg.hashsalt": "redstart", "font.size": 9})
    import matplotlib.pyplot as plt

    colours = dict(zip(figures.times, ("#c0392b", "#7f8c8d", "#2c3e50", "#2980b9"), strict=True))
    fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), width_ratios=(1, 1.15), layout="constrained")
    for name, times in figures.times.items():
        found = {100 * min(1.0, ALLOWED + gap): value for gap, value in times.items() if np.isfinite(value)}
        left.plot(list(found), list(found.values()), "o-", color=colours[name], label=name)
    left.set(xscale="log", yscale="log", xlabel="canary's errors above stable's, points (1 allowed)")
    left.set(
        ylabel="median seconds from fault to rollback",
        title="20 % weight, 100 requests/s, fault after 10 min",
    )
    left.set_xticks([2, 5, 20, 100], ["2", "5", "20", "100"])
    left.minorticks_off()
    left.set_yticks([1, 3, 10, 30, 100, 300, 1000], ["1", "3", "10", "30", "100", "300", "1000"])
    left.grid(alpha=0.3)
    names = [name for name in figures.false_rollbacks if name.endswith("as good as stable")]
    at = np.arange(len(names), dtype=float)
    for offset, name in enumerate(colours):
        shares = [100 * figures.false_rollbacks[scenario][name] for scenario in names]
        bars = right.barh(at + 0.2 * (offset - 1.5), shares, 0.19, color=colours[name])
        if name == REDSTART:
            right.bar_label(
                bars, [f"{value:.2g} %" for value in shares], padding=2, fontsize=7, color=colours[name]
            )
    right.axvline(100 * (1 - POLICY.confidence), color=colours[REDSTART], linestyle=":", linewidth=1)
    right.set_yticks(at, [name.replace(", as good as stable", "") for name in names])
    right.invert_yaxis()
    right.set(xlabel="rolled back within 30 min, % (dotted: Redstart's bound, 1 %)", xlim=(0, 105))
    right.set(title="canaries as good as stable")
    fig.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    fig.savefig(path, metadata={"Date": None})
    plt.close(fig)


def write(page: Path, tables: dict[str, str]) -> None:
    """Put each table between <!-- name --> and <!-- /name -->."""
    text = page.read_text()
    for name, content in tables.items():
        before, rest = text.split(f"<!-- {name} -->")
        _, after = rest.split(f"<!-- /{name} -->")
        text = f"{before}<!-- {name} -->\n{content}\n<!-- /{name} -->{after}"
    page.write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rollouts", type=int, default=10_000, help="rollouts of the two headline scenarios")
    parser.add_argument("--docs", type=Path, help="page to write the tables and the plot into")
    arguments = parser.parse_args()
    number = arguments.rollouts
    figures = Figures({}, {})
    started = time.monotonic()
    parts: dict[str, Callable[[], str]] = {
        "false decisions": lambda: false_decisions(number, figures),
        "times by onset": lambda: times_by_onset(max(5, number // 10), figures),
        "times by traffic": lambda: times_by_traffic(max(5, number // 20)),
        "times at little traffic": lambda: times_at_little_traffic(max(5, number // 10)),
    }
    tables = {}
    for name, part in parts.items():
        print(f"{name}:", flush=True)
        tables[name] = part()
    for name, content in tables.items():
        print(f"\n{name}\n{content}")
    print(f"\n{time.monotonic() - started:.0f} s")
    if arguments.docs:
        write(arguments.docs, tables)
        images = arguments.docs.parent / "images"
        images.mkdir(exist_ok=True)
        plot(figures, images / "rollout-decision.svg")


if __name__ == "__main__":
    main()
