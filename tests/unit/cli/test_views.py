"""What `redstart status` shows, as text in golden files."""

import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.tree import Tree
from tests.unit.cli import objects

from redstart.cli.views import inference_service, model_version, parts, training_job

VIEWS: dict[str, tuple[Callable[..., Tree], dict[str, Any], Sequence[dict[str, Any]] | None]] = {
    "service-in-canary": (inference_service.view, objects.IN_CANARY, objects.EVENTS),
    "service-rolled-back": (inference_service.view, objects.ROLLED_BACK, []),
    "service-incompatible": (inference_service.view, objects.INCOMPATIBLE, []),
    "service-without-events": (inference_service.view, objects.ROLLED_BACK, None),
    "service-just-created": (
        inference_service.view,
        objects.inference_service(observedGeneration=-1),
        [],
    ),
    "job-running": (training_job.view, objects.RUNNING, objects.EVENTS[:1]),
    "job-rejected": (training_job.view, objects.REJECTED, objects.MARKUP),
    "version-ready": (model_version.view, objects.MODEL_VERSION, []),
}


def text_of(tree: Tree, width: int = 110) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    with console.capture() as captured:
        console.print(tree)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


@pytest.mark.parametrize("name", VIEWS)
def test_it_is_shown_as_reviewed(name: str, golden: Callable[[str, str], None]) -> None:
    view, obj, events = VIEWS[name]
    golden(f"{name}.txt", text_of(view(obj, events, objects.NOW)))


def test_the_guide_shows_what_is_really_printed() -> None:
    shown = text_of(inference_service.view(objects.IN_CANARY, objects.EVENTS, objects.NOW))
    assert shown in Path("docs/cli.md").read_text()


@pytest.mark.parametrize("name", VIEWS)
def test_nothing_is_cut_off_in_a_narrow_terminal(name: str) -> None:
    view, obj, events = VIEWS[name]
    lines = text_of(view(obj, events, objects.NOW), width=60)
    assert not re.search(r"\w…", lines)
    assert max(map(len, lines.splitlines())) <= 60


def test_what_a_newer_operator_writes_is_shown_too() -> None:
    newer = {"number": 9, "result": "Postponed", "reason": "Later", "finishedAt": None}
    shown = text_of(training_job.view(objects.training_job(history=[newer]), [], objects.NOW))
    assert "Postponed  Later" in shown


def test_a_bad_condition_that_is_false_is_no_news() -> None:
    calm = [objects.condition("Suspended", "False", "NotSuspended", "nothing is held back")]
    shown = text_of(training_job.view(objects.training_job(conditions=calm), [], objects.NOW))
    assert "Suspended" not in shown


@pytest.mark.parametrize(
    ("evidence", "needed", "share"),
    [(1.0, 100.0, 0.0), (0.2, 100.0, 0.0), (10.0, 100.0, 0.5), (100.0, 100.0, 1.0), (1e9, 100.0, 1.0)],
)
def test_a_bar_of_evidence_grows_with_its_logarithm(evidence: float, needed: float, share: float) -> None:
    assert parts.evidence_share(evidence, needed) == pytest.approx(share)


@pytest.mark.parametrize(
    ("timestamp", "age"),
    [
        ("2026-03-01T11:59:59Z", "1s"),
        ("2026-03-01T11:58:01.500000Z", "118s"),
        ("2026-03-01T11:55:00Z", "5m"),
        ("2026-03-01T09:59:00Z", "2h"),
        ("2026-02-26T12:00:00Z", "3d"),
        ("2026-03-01T12:00:05Z", "0s"),
        (None, "–"),
    ],
)
def test_ages_read_as_in_kubectl(timestamp: str | None, age: str) -> None:
    assert parts.age(timestamp, objects.NOW) == age


@pytest.mark.parametrize(
    ("value", "text"), [(0.00123456, "0.00123"), (12.0, "12"), (51234.4, "51,234"), (None, "–"), (0.0, "0")]
)
def test_numbers_have_three_digits(value: float | None, text: str) -> None:
    assert parts.number(value) == text
