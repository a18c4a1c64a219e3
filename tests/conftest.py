"""What all tests share: golden files, rewritten with --update-golden."""

from collections.abc import Callable
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite golden files from what was got")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """golden(name, got): got equals the file golden/<name> beside the test."""
    folder = Path(request.path).parent / "golden"

    def compare(name: str, got: str) -> None:
        path = folder / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(got)
        assert path.is_file(), f"{path} is missing: run pytest --update-golden and review the file"
        assert got == path.read_text()

    return compare
