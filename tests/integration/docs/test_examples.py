"""Every resource that the documents show is one that the API server takes."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from redstart.kube.kinds import kind_of
from tests.integration.api import Api

PAGES = [Path("README.md"), *sorted(Path("docs").rglob("*.md"))]
BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.DOTALL | re.MULTILINE)


def examples() -> Iterator[Any]:
    for page in PAGES:
        for number, block in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")), start=1):
            for obj in yaml.safe_load_all(block):
                if str(obj.get("apiVersion", "")).startswith("redstart.dev/"):
                    yield pytest.param(obj, id=f"{page}, block {number}: {obj['kind']}")


@pytest.mark.parametrize("example", list(examples()))
def test_an_example_is_accepted(api: Api, namespace: str, example: dict[str, Any]) -> None:
    """Strictly: a misspelt or unknown field is refused."""
    path = kind_of(example).path(namespace)
    api.request("POST", f"{path}?dryRun=All&fieldValidation=Strict", example)
