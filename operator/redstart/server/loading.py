"""Opens a fetched artifact: every byte is checked against the manifest before anything is loaded from it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from redstart.artifacts.manifest import (
    MANIFEST,
    PROFILE,
    REFERENCE,
    File,
    Format,
    Manifest,
    ManifestError,
    Profile,
    Reference,
    decode,
    decode_profile,
    decode_reference,
    sha256,
)


class LoadError(Exception):
    """The artifact cannot be served; `reason` says in one CamelCase word why."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Artifact:
    """A folder whose files are what its manifest says."""

    folder: Path
    digest: str
    manifest: Manifest
    reference: Reference
    profile: Profile | None

    @property
    def model_path(self) -> Path:
        """The file that holds the model."""
        return self.folder / self.manifest.model_file


def open_artifact(folder: Path, allowed: tuple[Format, ...]) -> Artifact:
    """Read and check the artifact in `folder`; the model itself is not loaded.

    Raises:
        LoadError: ArtifactNotFound, ManifestInvalid, DigestMismatch, FormatNotAllowed.
    """
    content = _read(folder / MANIFEST)
    try:
        manifest = decode(content)
        for file in manifest.files:
            _check(folder / file.name, file)
        names = {file.name for file in manifest.files}
        if REFERENCE not in names:
            raise LoadError("ManifestInvalid", f"the manifest names no {REFERENCE}")
        reference = decode_reference(_read(folder / REFERENCE))
        profile = decode_profile(_read(folder / PROFILE)) if PROFILE in names else None
    except ManifestError as error:
        raise LoadError("ManifestInvalid", str(error)) from error
    if len(reference.rows) != len(reference.answers):
        raise LoadError(
            "ManifestInvalid",
            f"{REFERENCE} has {len(reference.rows)} rows and {len(reference.answers)} answers",
        )
    if manifest.format not in allowed:
        raise LoadError(
            "FormatNotAllowed",
            f"the artifact is {manifest.format}; allowed are {', '.join(allowed) or 'none'}",
        )
    return Artifact(folder, sha256(content), manifest, reference, profile)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LoadError("ArtifactNotFound", f"{path}: {error.strerror}") from error


def _check(path: Path, file: File) -> None:
    try:
        with path.open("rb") as content:
            found = f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"
            size = content.tell()
    except OSError as error:
        raise LoadError("ArtifactNotFound", f"{path}: {error.strerror}") from error
    if (size, found) != (file.size, file.sha256):
        raise LoadError(
            "DigestMismatch",
            f"{file.name} has {size} bytes and {found}, the manifest says {file.size} bytes and {file.sha256}",
        )
