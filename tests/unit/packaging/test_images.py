"""What `docker build` and `buildah build` take from the work tree."""

import re
from pathlib import Path

import pytest

COPY = re.compile(r"^COPY (?!--from)(.+) \S+$", re.MULTILINE)


@pytest.mark.parametrize("file", sorted(Path("images").glob("*.Containerfile")), ids=lambda file: file.stem)
def test_what_an_image_copies_and_nothing_else_reaches_its_build(file: Path) -> None:
    first, *others = Path(".dockerignore").read_text().splitlines()
    assert first == "*"
    let_through = {line.removeprefix("!") for line in others if line.startswith("!")}
    copied = {name for names in COPY.findall(file.read_text()) for name in names.split()}
    assert copied <= let_through
    # buildah would read it and not .dockerignore.
    assert not Path(".containerignore").exists()
