"""Whom a running trainer answers."""

from __future__ import annotations

import json
from urllib.request import urlopen

import pytest

from redstart.trainer.progress import Progress, served


@pytest.mark.parametrize(
    ("listen_on", "asked"),
    [("::", "127.0.0.1"), ("::", "[::1]"), ("0.0.0.0", "127.0.0.1")],
    ids=["IPv4 on both", "IPv6 on both", "IPv4 alone"],
)
def test_progress_is_told_over_either_family(
    listen_on: str, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDSTART_HOST", listen_on)
    progress = Progress()
    progress.step(40, "fitting")
    with served(progress, 0) as port, urlopen(f"http://{asked}:{port}/progress") as answer:
        assert json.load(answer)["percent"] == 40
