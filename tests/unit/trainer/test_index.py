"""The index: one number for one input, whoever dies when, and however many run at once."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.artifacts.test_manifest import make

from redstart.artifacts import storage
from redstart.artifacts.manifest import encode, sha256
from redstart.artifacts.publish import file_entries, publish
from redstart.artifacts.storage import Location, StoreError
from redstart.artifacts.termination import Artifact
from redstart.trainer.index import CONTRACT, Entry, find, predecessor, record, take_number


def digest(name: str) -> str:
    return "sha256:" + name.encode().hex().ljust(64, "0")


@pytest.fixture
def folder(tmp_path: Path) -> Location:
    (tmp_path / "volumes/models").mkdir(parents=True)
    return storage.locate("pvc://models/m", root=tmp_path)


def artifact(folder: Location, content: bytes = b"graph") -> Artifact:
    contents = {"model.onnx": content}
    made = publish(folder, make(files=file_entries(contents)), contents)
    return Artifact(made.location.uri, made.digest, "ONNX")


def entry(name: str, number: int, made: Artifact) -> Entry:
    return Entry(CONTRACT, number, digest(name), digest("data"), 10, made, {"metrics": {"f1": 0.5}})


def test_numbers_rise_by_one_and_stay_with_their_input(folder: Location) -> None:
    assert [take_number(folder, digest(name)) for name in "abacbad"] == [1, 2, 1, 3, 2, 1, 4]


def test_a_run_that_died_before_the_index_finds_its_number_again(folder: Location) -> None:
    assert take_number(folder, digest("a")) == 1
    assert take_number(folder, digest("b")) == 2
    assert find(folder, digest("a")) is None
    assert take_number(folder, digest("a")) == 1


@pytest.mark.parametrize("seed", range(20))
def test_runs_at_once_get_one_number_for_each_input(
    folder: Location, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call of the store waits for its turn, drawn from the seed, so that runs interleave in any way."""
    names = ["a", "a", "b", "a", "b", "c"]
    got: dict[int, int] = {}
    turns = Turns(len(names), random.Random(seed))
    for name in ("names", "read", "write"):
        real = getattr(storage, name)
        monkeypatch.setattr(storage, name, turns.in_turn(real))

    def work(runner: int) -> None:
        turns.start(runner)
        try:
            got[runner] = take_number(folder, digest(names[runner]))
        finally:
            turns.leave(runner)

    threads = [threading.Thread(target=work, args=(runner,)) for runner in range(len(names))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    numbers = {name: {got[runner] for runner in range(len(names)) if names[runner] == name} for name in "abc"}
    assert all(len(found) == 1 for found in numbers.values())
    assert sorted(itertools.chain(*numbers.values())) == [1, 2, 3]


class Turns:
    """Lets one thread at a time through, chosen at random among those that wait, when all wait or have left."""

    def __init__(self, runners: int, chance: random.Random) -> None:
        self.condition = threading.Condition()
        self.active = set(range(runners))
        self.waiting: set[int] = set()
        self.chosen: int | None = None
        self.chance = chance
        self.local = threading.local()

    def start(self, runner: int) -> None:
        self.local.runner = runner

    def leave(self, runner: int) -> None:
        with self.condition:
            self.active.discard(runner)
            self._choose()

    def _choose(self) -> None:
        if self.chosen is None and self.active and self.waiting == self.active:
            self.chosen = self.chance.choice(sorted(self.waiting))
            self.condition.notify_all()

    def in_turn(self, real):  # type: ignore[no-untyped-def]
        def call(*arguments, **options):  # type: ignore[no-untyped-def]
            runner = self.local.runner
            with self.condition:
                self.waiting.add(runner)
                self._choose()
                assert self.condition.wait_for(lambda: self.chosen == runner, timeout=30)
                self.chosen = None
                self.waiting.discard(runner)
                return real(*arguments, **options)

        return call


def test_what_is_recorded_is_found(folder: Location) -> None:
    made = entry("a", 1, artifact(folder))
    assert record(folder, made) == made
    assert find(folder, digest("a")) == made
    assert find(folder, digest("b")) is None


def test_the_faster_of_two_runs_stands(folder: Location) -> None:
    first = record(folder, entry("a", 1, artifact(folder, b"first")))
    assert record(folder, entry("a", 1, artifact(folder, b"second"))) == first
    assert find(folder, digest("a")) == first


def test_an_entry_whose_artifact_is_gone_is_replaced(folder: Location, tmp_path: Path) -> None:
    lost = record(folder, entry("a", 1, artifact(folder, b"first")))
    name = lost.artifact.digest.removeprefix("sha256:")
    (tmp_path / f"volumes/models/m/artifacts/{name}/manifest.json").unlink()
    assert find(folder, digest("a")) is None
    again = entry("a", 1, artifact(folder, b"second"))
    assert record(folder, again) == again
    assert find(folder, digest("a")) == again


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("model.onnx", None, id="a file is gone"),
        pytest.param("model.onnx", b"gra", id="a file is cut"),
        pytest.param("manifest.json", b"{", id="the manifest is cut"),
    ],
)
def test_a_damaged_artifact_counts_as_none_and_is_repaired(
    folder: Location, tmp_path: Path, name: str, content: bytes | None
) -> None:
    made = record(folder, entry("a", 1, artifact(folder)))
    file = tmp_path / f"volumes/models/m/artifacts/{made.artifact.digest.removeprefix('sha256:')}" / name
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    assert find(folder, digest("a")) is None
    assert artifact(folder) == made.artifact
    assert find(folder, digest("a")) == made


def registered(folder: Location, name: str) -> Entry:
    """A whole run of that input, whose model's bytes are its name."""
    made = artifact(folder, name.encode())
    return record(folder, entry(name, take_number(folder, digest(name)), made))


def _nothing(folder: Location) -> None:
    pass


def _unfinished(folder: Location) -> None:
    take_number(folder, digest("c"))


def _damaged(folder: Location) -> None:
    made = registered(folder, "c")
    name = made.artifact.digest.removeprefix("sha256:")
    storage.write(folder.child(f"artifacts/{name}/manifest.json"), b"{")


def _nobody(folder: Location) -> None:
    storage.write(folder.child("numbers/3"), b"\xff")


@pytest.mark.parametrize(
    ("of", "harm", "number"),
    [
        pytest.param("d", _nothing, 2, id="the newest"),
        pytest.param("d", _unfinished, 2, id="not one that is being trained"),
        pytest.param("d", _damaged, 2, id="not one whose manifest cannot be read"),
        pytest.param("d", _nobody, 2, id="not a number that nobody holds"),
        pytest.param("b", _nothing, 1, id="of an input that is trained again: the one before it"),
        pytest.param("a", _nothing, None, id="of the first one: none"),
        pytest.param("c", _unfinished, 2, id="of one that was killed after it took a number"),
    ],
)
def test_the_version_before(
    folder: Location, of: str, harm: Callable[[Location], None], number: int | None
) -> None:
    assert predecessor(folder, digest(of)) is None
    entries = [registered(folder, name) for name in "ab"]
    harm(folder)
    found = predecessor(folder, digest(of))
    assert (found and found[0]) == number
    if found is not None and number is not None:
        assert sha256(encode(found[1])) == entries[number - 1].artifact.digest


@pytest.mark.parametrize("content", [b"", b"{", b'{"contract": 1}'])
def test_a_damaged_entry_counts_as_none(folder: Location, content: bytes) -> None:
    storage.write(folder.child(f"runs/{digest('a').removeprefix('sha256:')}.json"), content)
    assert find(folder, digest("a")) is None
    made = entry("a", 1, artifact(folder))
    assert record(folder, made) == made


def test_a_store_that_does_not_answer_is_no_absence(
    folder: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(location: Location, limit: int = 0) -> bytes:
        raise StoreError("StoreUnreachable", "no route")

    take_number(folder, digest("b"))
    monkeypatch.setattr(storage, "read", read)
    for look in (find, predecessor):
        with pytest.raises(StoreError, match="no route"):
            look(folder, digest("a"))
