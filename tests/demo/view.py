"""The board as one sees it: live in a terminal, as lines elsewhere. Pure, but for `Lines`, which prints."""

from __future__ import annotations

import time
from collections.abc import Mapping

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from redstart.cli.views.parts import BAD, BUSY, GOOD, NAME, QUIET, bar, evidence_share, grid, number, percent
from redstart.routing.counters import Counts
from tests.demo import resources
from tests.demo.board import Board, Outcome, Phase, per_second, shares, unanswered
from tests.e2e.kubernetes import KUBECONFIG, Object

STABLE, CANARY = "cyan", "yellow"
WIDTH = 32
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_SYMBOLS = {"Waiting": (" ", QUIET), "Done": ("✓", GOOD), "Failed": ("✗", BAD)}


def board(shown: Board, now: float) -> RenderableType:
    """The whole picture; `now` on the clock of the phases."""
    title = Table.grid(expand=True)
    title.add_column()
    title.add_column(justify="right")
    title.add_row(
        Text.assemble(("Redstart", NAME), ("  the life of a model, live", QUIET)),
        Text(duration(now - shown.began), style=QUIET),
    )
    parts: list[RenderableType] = [title, Text(), _phases(shown, now)]
    if shown.clients:
        parts += [Text(), _traffic(shown)]
    return Padding(Group(*parts), (0, 1))


def _phases(shown: Board, now: float) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(width=1)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column(justify="right", no_wrap=True)
    for phase in shown.phases:
        waiting = phase.state == "Waiting"
        table.add_row(
            _symbol(phase, now),
            Text(phase.title, style=QUIET if waiting else NAME),
            Text(short(phase.detail), style=BUSY if phase.state == "Running" else ""),
            Text("" if waiting else duration(phase.seconds(now)), style=QUIET),
        )
    return table


def _symbol(phase: Phase, now: float) -> Text:
    if phase.state == "Running":
        return Text(_SPINNER[int(now * 8) % len(_SPINNER)], style=BUSY)
    return Text(*_SYMBOLS[phase.state])


def _traffic(shown: Board) -> Table:
    status = shown.service.get("status") or {}
    stable, canary = status.get("stable") or {}, status.get("canary") or {}
    weight = canary.get("weight", 0)
    rows: list[tuple[RenderableType, ...]] = [
        ("weights", _bar(weight), _arms(stable, canary, weight)),
        ("answers", _answers(shares(shown.clients), canary.get("version")), _answered(shown.clients)),
    ]
    if weight and shown.evidence:
        rows.append(("failures", *_failures(shown.attempts, stable, canary)))
        rows.append(_evidence(shown.evidence))
    rows.append(("clients", *_clients(shown.clients[-1])))
    return grid([(Text(str(name), style=QUIET), *rest) for name, *rest in rows], 3)


def _bar(weight: int) -> Text:
    part = round(weight / 100 * WIDTH)
    return Text.assemble(("█" * (WIDTH - part), STABLE), ("█" * part, CANARY))


def _arms(stable: Object, canary: Object, weight: int) -> Text:
    line = Text.assemble((f"{short(stable.get('version', ''))} {100 - weight} %", STABLE))
    if canary:
        line.append("  ").append(f"{short(canary['version'])} {weight} %", style=CANARY)
    return line


def _answers(of: Mapping[str, float], canary: str | None) -> Text:
    return _bar(round(100 * of.get(canary or "", 0.0)))


def _answered(lines: list[Object]) -> Text:
    found = [
        f"{short(version)} {share:.0%}".replace("%", " %") for version, share in sorted(shares(lines).items())
    ]
    return Text("  ".join(found) + f"  of {per_second(lines):.0f}/s")


def _failures(attempts: Mapping[str, Counts], stable: Object, canary: Object) -> tuple[Text, Text]:
    theirs = attempts.get(canary["revision"], Counts())
    ours = attempts.get(stable["revision"], Counts())
    return (
        Text(f"{short(canary['version'])}: {_rate(theirs)}", style=BAD if theirs.errors else ""),
        Text(f"{short(stable['version'])}: {_rate(ours)}"),
    )


def _rate(counts: Counts) -> str:
    share = percent(counts.errors / counts.requests) if counts.requests else "–"
    return f"{counts.errors} of {counts.requests} failed, {share}"


def _evidence(line: Object) -> tuple[RenderableType, ...]:
    width = WIDTH - 14
    return (
        "evidence",
        Text.assemble(
            bar(evidence_share(line["evidence"], line["needed"]), BAD, width),
            f" {number(line['evidence'])} of {number(line['needed'])}",
        ),
        Text.assemble(
            "against it;  for it ",
            (f"{number(line['passEvidence'])} of {number(line['passNeeded'])}", GOOD),
        ),
    )


def _clients(line: Object) -> tuple[Text, Text]:
    failed = line["failed"]
    return (
        Text(f"{line['sent']:,} requests, p99 {1000 * (line['p99'] or 0):.0f} ms"),
        Text(f"{failed} failed", style=f"bold {BAD if failed else GOOD}"),
    )


def short(text: str) -> str:
    """Versions by their number alone, as the model is always the same."""
    return text.replace(f"{resources.MODEL}-v", "v")


def duration(seconds: float) -> str:
    """8.4 s, 1 min 12 s."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:2} s" if minutes else f"{rest} s"


def outcome(found: Outcome, seconds: float) -> RenderableType:
    """The final table."""
    table = Table(
        title=f"Redstart's demo, {duration(seconds)}", title_style=NAME, min_width=60, show_header=False
    )
    table.add_column()
    table.add_column(justify="right")
    seen = found.clients
    failed = unanswered(seen)
    versions = ", ".join(f"{short(version)} {count:,}" for version, count in sorted(found.versions.items()))
    table.add_row("client requests sent", f"{seen['sent']:,}")
    table.add_row("client requests failed", _good(failed))
    table.add_row("answers by a version that had no weight then", _good(found.wrong_version))
    table.add_row("answers by version", versions)
    table.add_row(
        "latency seen by clients, p50 / p99", f"{1000 * seen['p50']:.1f} / {1000 * seen['p99']:.1f} ms"
    )
    table.add_section()
    table.add_row(
        f"first attempts on {short(found.rollout['to'])}, the failing canary",
        f"{found.canary.requests:,}, {found.canary.errors:,} failed",
    )
    if not failed:
        table.add_row("answered by stable before a client saw it", f"{found.canary.errors:,}")
    for evidence in found.rollout.get("evidence", []):
        table.add_row(
            "evidence against it / needed", f"{number(evidence['evidence'])} / {number(evidence['needed'])}"
        )
    table.add_row(
        "first failing response to weight 0 in force",
        Text(f"{found.detection.at_most:.2f} s", style=f"bold {GOOD}"),
    )
    told = Text(
        f"{short(found.rollout['to'])}: {found.rollout['reason']}: {found.rollout['message']}", style=QUIET
    )
    return Group(table, told)


def _good(count: int) -> Text:
    return Text(f"{count:,}", style=f"bold {BAD if count else GOOD}")


def try_next(kubectl: bool) -> RenderableType:
    """Commands that work now. `kubectl`: whether the machine has its own kubectl."""
    select = (
        f"export KUBECONFIG={KUBECONFIG}" if kubectl else 'eval "$(.venv/bin/python -m tests.cluster env)"'
    )
    lines = [
        select,
        f"kubectl get tjob,mver,infsvc -n {resources.NAMESPACE}",
        f"kubectl describe infsvc {resources.SERVICE} -n {resources.NAMESPACE}",
        f".venv/bin/redstart status {resources.SERVICE} -n {resources.NAMESPACE}",
        f".venv/bin/redstart status mver/{resources.MODEL}-v3 -n {resources.NAMESPACE}",
        f".venv/bin/redstart sample-data --rows 5 | .venv/bin/redstart predict {resources.SERVICE}"
        f" -n {resources.NAMESPACE}",
    ]
    return Group(
        Text("Everything is left running. Try next:", style=NAME), *(Text(f"  {line}") for line in lines)
    )


class Lines:
    """What changed since the last look, line by line, for logs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: dict[str, tuple[str, str]] = {}
        self._traffic = 0.0

    def show(self, shown: Board, now: float) -> None:
        """Prints what is new."""
        at = f"{now - shown.began:6.1f} s"
        for phase in shown.phases:
            news = (phase.state, phase.detail if phase.state != "Running" else "")
            if phase.state != "Waiting" and self._said.get(phase.title) != news:
                self._said[phase.title] = news
                symbol = {"Running": "…", "Done": "✓", "Failed": "✗"}[phase.state]
                self._print(f"{at}  {symbol} {phase.title}: {short(phase.detail)}".removesuffix(": "))
        if shown.clients and now - self._traffic >= 5:
            self._traffic = now
            status = shown.service.get("status") or {}
            weight = (status.get("canary") or {}).get("weight", 0)
            clients = shown.clients[-1]
            told = f"{_answered(shown.clients)}, {clients['sent']:,} sent, {clients['failed']} failed"
            self._print(f"{at}    canary weight {weight} %, answers {told}")

    def _print(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)


def clock() -> float:
    """The clock of the phases."""
    return time.monotonic()
