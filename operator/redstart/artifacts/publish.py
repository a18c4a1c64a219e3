"""Writes an artifact under its digest, the manifest last: no manifest, no artifact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from redstart.artifacts import storage
from redstart.artifacts.manifest import MANIFEST, File, Manifest, encode, sha256
from redstart.artifacts.storage import Location


@dataclass(frozen=True)
class Published:
    """Where an artifact is, and its digest."""

    location: Location
    digest: str


def file_entries(contents: Mapping[str, bytes]) -> list[File]:
    """The manifest's `files` for some contents by name."""
    return [File(name, len(content), sha256(content)) for name, content in sorted(contents.items())]


def publish(folder: Location, manifest: Manifest, contents: Mapping[str, bytes]) -> Published:
    """Write `contents` and then the manifest to `<folder>/artifacts/<digest hex>/`.

    Safe to repeat and to run twice at once: equal artifacts have equal paths and equal bytes.

    Raises:
        StoreError: the store did not take it; what was written before is no artifact.
    """
    document = encode(manifest)
    digest = sha256(document)
    target = folder.child(f"artifacts/{digest.removeprefix('sha256:')}")
    # Also where there is one already: it may be damaged.
    for name, content in contents.items():
        storage.write(target.child(name), content)
    storage.write(target.child(MANIFEST), document)
    return Published(target, digest)
