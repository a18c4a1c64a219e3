"""Copies an artifact from its store into a folder, and proves on the way that it is the one that was asked for."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from redstart.artifacts import storage
from redstart.artifacts.manifest import MANIFEST, File, Manifest, ManifestError, decode, sha256
from redstart.artifacts.storage import Location, StoreError

_STAGING = ".fetching-"
_MANIFEST_LIMIT = 64 * 1024 * 1024


class FetchError(Exception):
    """The artifact cannot be had; `reason` says in one word why. `lasting` faults are the artifact's own, or its
    URI's; what store, credentials and volume say may be mended without a change of either."""

    def __init__(self, reason: str, message: str, *, lasting: bool) -> None:
        super().__init__(message)
        self.reason = reason
        self.lasting = lasting

    @classmethod
    def of_store(cls, error: StoreError) -> FetchError:
        """What a store's error means for an artifact."""
        reason = "ArtifactNotFound" if error.reason == "NotFound" else error.reason
        return cls(reason, str(error), lasting=error.of_uri)


def fetch(
    location: Location,
    digest: str,
    into: Path,
    *,
    attempts: int = 5,
    sleep: Callable[[float], None] = time.sleep,
) -> Manifest:
    """Copy the artifact at `location` into the folder `into`, which holds it whole afterwards and nothing else.

    Files are written to a staging folder inside `into`, checked against the manifest's sizes and sha256 while
    they stream, and renamed into place, `manifest.json` last. A store that cannot be reached is tried again
    with back-off.

    Raises:
        FetchError: DigestMismatch, ManifestInvalid, ArtifactNotFound, StoreUnreachable, StoreDenied, DiskFull.
    """
    for attempt in range(attempts):
        try:
            return _fetch(location, digest, into)
        except StoreError as error:
            if error.reason != "StoreUnreachable" or attempt + 1 == attempts:
                raise FetchError.of_store(error) from error
            sleep(min(10.0, 0.5 * 2**attempt))
        except OSError as error:
            reason = "DiskFull" if error.errno in (28, 122) else "WriteFailed"
            raise FetchError(reason, f"{into}: {error.strerror or error}", lasting=False) from error
    raise ValueError("attempts must be at least 1")


def _fetch(location: Location, digest: str, into: Path) -> Manifest:
    into.mkdir(parents=True, exist_ok=True)
    content = storage.read(location.child(MANIFEST), _MANIFEST_LIMIT)
    if sha256(content) != digest:
        raise FetchError(
            "DigestMismatch", f"{MANIFEST} has {sha256(content)}, {digest} was asked for", lasting=True
        )
    try:
        manifest = decode(content)
    except ManifestError as error:
        raise FetchError("ManifestInvalid", str(error), lasting=True) from error
    _clear(into)
    # The target is a mount point in a pod, so it cannot be renamed as a whole.
    staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=into))
    for file in manifest.files:
        _copy(location.child(file.name), file, staging / file.name)
    (staging / MANIFEST).write_bytes(content)
    for name in [*(file.name for file in manifest.files), MANIFEST]:
        os.rename(staging / name, into / name)
    staging.rmdir()
    return manifest


def _clear(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _copy(source: Location, file: File, target: Path) -> None:
    hasher, size = hashlib.sha256(), 0
    with target.open("wb") as out:
        for chunk in storage.stream(source):
            size += len(chunk)
            if size > file.size:
                break
            hasher.update(chunk)
            out.write(chunk)
    if size != file.size:
        raise FetchError(
            "DigestMismatch",
            f"{file.name} has {'more than ' if size > file.size else ''}{min(size, file.size)} bytes, "
            f"the manifest says {file.size}",
            lasting=True,
        )
    found = f"sha256:{hasher.hexdigest()}"
    if found != file.sha256:
        raise FetchError(
            "DigestMismatch", f"{file.name} has {found}, the manifest says {file.sha256}", lasting=True
        )
