"""The store as index: which inputs were trained, under which number, with which artifact.

`numbers/<n>` is created only where it is absent and names the input that took it; `runs/<input>.json` is written
last. Killed anywhere, the next run of the same input finds the number it had taken and finishes.
"""

from __future__ import annotations

from typing import Any

import msgspec

from redstart.artifacts import storage
from redstart.artifacts.manifest import MANIFEST, Manifest, ManifestError, decode, sha256
from redstart.artifacts.storage import Location, StoreError
from redstart.artifacts.termination import Artifact

CONTRACT = 1


class Entry(msgspec.Struct, frozen=True, rename="camel"):
    """`runs/<input>.json`: what came of one input. `artifact.uri` is where it was written; `details` are those of
    the log's last line."""

    contract: int
    number: int
    input_digest: str
    data_digest: str
    rows: int
    artifact: Artifact
    details: dict[str, Any]


def find(folder: Location, input_digest: str) -> Entry | None:
    """What the store holds of this input: None also when the artifact it names is no longer there, or damaged: when
    the manifest is another, or a file that it names is missing or of another size.

    Raises:
        StoreError: the store cannot be read.
    """
    entry = _entry(folder, input_digest)
    manifest = _manifest(folder, entry) if entry is not None else None
    if entry is None or manifest is None:
        return None
    sizes = storage.sizes(_artifact(folder, entry))
    return entry if all(sizes.get(file.name) == file.size for file in manifest.files) else None


def predecessor(folder: Location, input_digest: str) -> tuple[int, Manifest] | None:
    """Number and manifest of the version before that of this input: the newest one whose manifest can be read, and of
    those before it where this input was trained already.

    Raises:
        StoreError: the store cannot be read.
    """
    own = _entry(folder, input_digest)
    numbers = folder.child("numbers")
    for number in _taken(numbers):
        if own is not None and number >= own.number:
            continue
        holder = storage.read(numbers.child(str(number))).decode(errors="replace")
        entry = _entry(folder, holder) if holder != input_digest else None
        if entry is not None and (manifest := _manifest(folder, entry)) is not None:
            return number, manifest
    return None


def _taken(numbers: Location) -> list[int]:
    """The numbers that are taken, the newest first."""
    return sorted((int(name) for name in storage.names(numbers) if name.isdecimal()), reverse=True)


def _entry(folder: Location, input_digest: str) -> Entry | None:
    content = _content(_run(folder, input_digest))
    try:
        return None if content is None else msgspec.json.decode(content, type=Entry)
    except msgspec.DecodeError:
        return None


def _manifest(folder: Location, entry: Entry) -> Manifest | None:
    """The manifest of an entry's artifact, None where it is not there or is another."""
    content = _content(_artifact(folder, entry).child(MANIFEST))
    if content is None or sha256(content) != entry.artifact.digest:
        return None
    try:
        return decode(content)
    except ManifestError:
        return None


def _content(location: Location) -> bytes | None:
    try:
        return storage.read(location)
    except StoreError as error:
        if error.reason == "NotFound":
            return None
        raise


def _artifact(folder: Location, entry: Entry) -> Location:
    return folder.child(f"artifacts/{_hex(entry.artifact.digest)}")


def take_number(folder: Location, input_digest: str) -> int:
    """The number of this input: the one that it has, or the next free one.

    Two runs of one input get one number: numbers are tried in order, none is skipped, and whoever finds one taken
    reads by whom before trying the next.

    Raises:
        StoreError: the store cannot be read or written.
    """
    numbers = folder.child("numbers")
    taken = _taken(numbers)
    for number in taken:
        if storage.read(numbers.child(str(number))) == input_digest.encode():
            return number
    number = taken[0] + 1 if taken else 1
    while True:
        place = numbers.child(str(number))
        try:
            storage.write(place, input_digest.encode(), create=True)
        except StoreError as error:
            if error.reason != "AlreadyExists":
                raise
            if storage.read(place) != input_digest.encode():
                number += 1
                continue
        return number


def record(folder: Location, entry: Entry) -> Entry:
    """Write the entry, the last step of a run. When another run of the same input was faster, its entry stands.

    Returns:
        The entry that the index holds afterwards.

    Raises:
        StoreError: the store cannot be written.
    """
    place = _run(folder, entry.input_digest)
    content = msgspec.json.encode(entry)
    try:
        storage.write(place, content, create=True)
    except StoreError as error:
        if error.reason != "AlreadyExists":
            raise
        if (other := find(folder, entry.input_digest)) is not None:
            return other
        # What stands there names an artifact that is gone or damaged: this one takes its place.
        storage.write(place, content)
    return entry


def _run(folder: Location, input_digest: str) -> Location:
    return folder.child(f"runs/{_hex(input_digest)}.json")


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")
