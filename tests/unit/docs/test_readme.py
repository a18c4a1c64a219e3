"""What README shows is what manifests/samples holds, which tests apply to a real API server."""

import re
from pathlib import Path

import pytest

README = Path("README.md")
SAMPLE = re.compile(r"<!-- (manifests/samples/\S+) -->\n```yaml\n(.*?)```", re.DOTALL)


def shown() -> list[tuple[str, str]]:
    return SAMPLE.findall(README.read_text(encoding="utf-8"))


def test_each_kind_is_shown() -> None:
    assert [path for path, _ in shown()] == [
        f"manifests/samples/{kind}.yaml" for kind in ("trainingjob", "modelversion", "inferenceservice")
    ]


@pytest.mark.parametrize(("path", "block"), shown(), ids=[path for path, _ in shown()])
def test_a_block_is_the_sample_that_it_names(path: str, block: str) -> None:
    assert block == Path(path).read_text(encoding="utf-8"), f"copy {path} into README.md"
