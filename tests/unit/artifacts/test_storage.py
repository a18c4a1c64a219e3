"""Locations: which URI is which file, and what is refused."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from redstart.artifacts import storage
from redstart.artifacts.storage import StoreError

NO_RETRY = {"max_retries": 0, "retry_timeout": timedelta(seconds=2)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("volumes/data/2026-01", "volumes/data/2026-02", "configmaps/rows", "secrets/keys"):
        (tmp_path / name).mkdir(parents=True)
    for name in (
        "2026-01/b.csv",
        "2026-01/a.csv",
        "2026-02/a.csv",
        "2026-02/a.csv.bak",
        "top.csv",
        "deep/x/rows/b.csv",
    ):
        (tmp_path / "volumes/data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "volumes/data" / name).write_text(name)
    (tmp_path / "configmaps/rows/rows.csv").write_text("a\n1\n")
    return tmp_path


@pytest.mark.parametrize(
    ("uri", "found"),
    [
        pytest.param("pvc://data/top.csv", ["pvc://data/top.csv"], id="a file of a volume"),
        pytest.param("configmap://rows/rows.csv", ["configmap://rows/rows.csv"], id="a key of a ConfigMap"),
        pytest.param(
            "pvc://data/2026-*/a.csv",
            ["pvc://data/2026-01/a.csv", "pvc://data/2026-02/a.csv"],
            id="a star in a folder's name",
        ),
        pytest.param(
            "pvc://data/*/*.csv",
            ["pvc://data/2026-01/a.csv", "pvc://data/2026-01/b.csv", "pvc://data/2026-02/a.csv"],
            id="stars match within a segment, in the order of the paths",
        ),
        pytest.param("pvc://data/*.csv", ["pvc://data/top.csv"], id="a star does not match a slash"),
        pytest.param(
            "pvc://data/2026-0[2-9]/?.csv", ["pvc://data/2026-02/a.csv"], id="one character, and a range"
        ),
        pytest.param(
            "pvc://data/deep/*/rows/b.csv",
            ["pvc://data/deep/x/rows/b.csv"],
            id="fixed folders before and after a star",
        ),
    ],
)
def test_files_that_a_location_names(root: Path, uri: str, found: list[str]) -> None:
    locations = storage.matches(storage.locate(uri, root=root))
    assert [location.uri for location in locations] == found
    assert all(storage.read(location) for location in locations)


@pytest.mark.parametrize(
    ("uri", "reason", "message"),
    [
        pytest.param(
            "pvc://data/../secrets/keys", "BadLocation", "'..' is not allowed", id="no way out by .."
        ),
        pytest.param("pvc://../data/x", "BadLocation", "'..' is not allowed", id="no claim named .."),
        pytest.param("ftp://host/x.csv", "BadLocation", "use pvc://", id="another scheme"),
        pytest.param("/etc/passwd", "BadLocation", "use pvc://", id="a path"),
        pytest.param("https://host/*.csv", "BadLocation", "neither listed", id="a star over https"),
        pytest.param("pvc://data/none.csv", "NotFound", "none.csv", id="no such file"),
        pytest.param("pvc://data/2026-01", "BadLocation", "this is a folder", id="a folder"),
        pytest.param("pvc://data/none*.csv", "NotFound", "no file matches", id="a star that matches nothing"),
        pytest.param("pvc://other/x.csv", "NotFound", "not mounted", id="a claim that is not mounted"),
    ],
)
def test_what_cannot_be_located(root: Path, uri: str, reason: str, message: str) -> None:
    with pytest.raises(StoreError, match=message) as caught:
        [storage.read(location) for location in storage.matches(storage.locate(uri, root=root))]
    assert caught.value.reason == reason


@pytest.fixture
def other_users() -> Iterator[Path]:
    """A root whose volume holds a folder that this process cannot read: for a while it is not root."""
    with tempfile.TemporaryDirectory() as name:
        volume = Path(name) / "volumes/data"
        for folder in (volume / "lost+found", volume / "rows"):
            folder.mkdir(parents=True)
            (folder / "a.csv").write_text("a\n1\n")
        (volume / "top.csv").write_text("a\n1\n")
        Path(name).chmod(0o755)
        (volume / "lost+found").chmod(0)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        yield Path(name)
        os.seteuid(user)
        (volume / "lost+found").chmod(0o755)


@pytest.mark.parametrize(
    ("uri", "found"),
    [
        pytest.param("pvc://data/*.csv", ["pvc://data/top.csv"], id="beside the files"),
        pytest.param("pvc://data/r*/*.csv", ["pvc://data/rows/a.csv"], id="beside the folders"),
    ],
)
def test_a_folder_that_cannot_be_read_and_does_not_match(
    other_users: Path, uri: str, found: list[str]
) -> None:
    assert [location.uri for location in storage.matches(storage.locate(uri, root=other_users))] == found


def test_a_volume_says_what_is_denied(other_users: Path) -> None:
    with pytest.raises(StoreError, match=r"the volume cannot be read: .*/lost\+found") as caught:
        storage.matches(storage.locate("pvc://data/*/*.csv", root=other_users))
    assert caught.value.reason == "StoreDenied"
    folder = storage.locate("pvc://data/lost+found/x", root=other_users)
    with pytest.raises(StoreError, match="the volume cannot be written: ") as caught:
        storage.write(folder, b"x")
    assert caught.value.reason == "StoreDenied"


def test_an_option_that_no_store_knows_is_named(root: Path) -> None:
    (root / "secrets/keys/AWS_ACCES_KEY").write_text("x")
    with pytest.raises(StoreError, match="AWS_ACCES_KEY is an unknown option") as caught:
        storage.locate("s3://bucket/x", secret="keys", root=root)
    assert caught.value.reason == "StoreDenied"


def test_a_secret_that_is_not_mounted_is_named(root: Path) -> None:
    with pytest.raises(StoreError, match="secret other is not mounted"):
        storage.locate("s3://bucket/x", secret="other", root=root)


def test_a_store_that_does_not_answer_is_unreachable(root: Path) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_REGION": "r",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ALLOW_HTTP": "true\n",
    }.items():
        (root / "secrets/keys" / name).write_text(value)
    location = storage.locate("s3://bucket/x.csv", secret="keys", root=root, retry=NO_RETRY)  # type: ignore[arg-type]
    with pytest.raises(StoreError) as caught:
        storage.read(location)
    assert caught.value.reason == "StoreUnreachable"
    assert "\n" not in str(caught.value)


def test_creating_twice_is_refused(root: Path) -> None:
    place = storage.locate("pvc://data", root=root).child("numbers/1")
    storage.write(place, b"mine", create=True)
    with pytest.raises(StoreError) as caught:
        storage.write(place, b"yours", create=True)
    assert caught.value.reason == "AlreadyExists"
    assert storage.read(place) == b"mine"


def test_names_and_sizes_of_a_folder(root: Path) -> None:
    volume = storage.locate("pvc://data", root=root)
    assert storage.sizes(volume.child("2026-02")) == {"a.csv": 13, "a.csv.bak": 17}
    assert storage.names(volume.child("2026-02")) == ["a.csv", "a.csv.bak"]
    assert storage.names(volume.child("none")) == []


def test_a_small_file_that_is_large_is_refused(root: Path) -> None:
    with pytest.raises(StoreError, match="larger than 3 bytes"):
        storage.read(storage.locate("pvc://data/top.csv", root=root), limit=3)
