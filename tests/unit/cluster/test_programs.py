"""Where the programs come from that `make` runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(
    tmp_path: Path, module: str, *arguments: str, own: tuple[str, ...]
) -> subprocess.CompletedProcess[str]:
    """`python -m MODULE` on a machine that has these programs, and neither Go nor a cache."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in own:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    environment = os.environ | {"PATH": str(folder), "REDSTART_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["helm", "kubectl"])
def test_without_go_the_machines_own_is_used(tmp_path: Path, name: str) -> None:
    found = run(tmp_path, "tests.cluster.programs", name, own=("helm", "kubectl"))
    assert (found.returncode, found.stdout) == (0, f"{tmp_path}/bin/{name}\n"), found.stderr


@pytest.mark.parametrize("names", [("helm",), ()], ids=["one that is not there", "all that a cluster needs"])
def test_without_go_what_is_missing_asks_for_it(tmp_path: Path, names: tuple[str, ...]) -> None:
    found = run(tmp_path, "tests.cluster.programs", *names, own=("kubectl",))
    assert found.returncode == 1
    assert "Go is needed to build the cluster's programs" in found.stderr


def test_without_go_the_machines_own_stay_first_on_the_path(tmp_path: Path) -> None:
    found = run(tmp_path, "tests.cluster", "env", own=("helm", "kubectl"))
    assert found.returncode == 0, found.stderr
    assert [line.partition("=")[0] for line in found.stdout.splitlines()] == ["export KUBECONFIG"]
