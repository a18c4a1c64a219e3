"""Where files are: a URI becomes an object store and a path in it.

    pvc://claim/path          a folder of a mounted volume      <root>/volumes/claim
    configmap://name/key      a mounted key of a ConfigMap      <root>/configmaps/name
    https://host/path         read only
    s3://bucket/path          also gs:// and az://; options from the keys of a Secret, <root>/secrets/<name>/<KEY>

`<root>` is /redstart in a pod; REDSTART_ROOT or an argument moves it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import obstore
from obstore import exceptions
from obstore.store import AzureStore, GCSStore, HTTPStore, LocalStore, S3Store

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

Reason = Literal["StoreUnreachable", "StoreDenied", "NotFound", "AlreadyExists", "DiskFull", "BadLocation"]

_URI = re.compile(r"(pvc|configmap|https|s3|gs|az)://([^/\s]+)(?:/(.*))?")
_WILDCARD = re.compile(r"[*?\[]")
_CHUNK = 4 * 1024 * 1024
_CLIENT: ClientConfig = {"connect_timeout": "5s", "read_timeout": "30s", "timeout": "6h"}
_RETRY: RetryConfig = {
    "max_retries": 5,
    "retry_timeout": timedelta(seconds=60),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=5), "base": 2},
}


class StoreError(Exception):
    """A store did not do what was asked; `reason` says in one word why, the text in a sentence."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason


@dataclass(frozen=True)
class Location:
    """A file or folder: a store, the path in it ("" for its root), and the URI for messages."""

    store: ObjectStore
    path: str
    uri: str

    def child(self, name: str) -> Location:
        """A file or folder below this one."""
        return replace(self, path=f"{self.path}/{name}".lstrip("/"), uri=f"{self.uri.rstrip('/')}/{name}")


def root_folder() -> Path:
    """The folder that volumes, ConfigMaps and Secrets are mounted under."""
    return Path(os.environ.get("REDSTART_ROOT", "/redstart"))


def locate(
    uri: str, *, secret: str | None = None, root: Path | None = None, retry: RetryConfig | None = None
) -> Location:
    """Open the store that holds `uri`; nothing is read yet.

    Raises:
        StoreError: BadLocation (the URI is wrong), StoreDenied (an option of the Secret is), NotFound (not mounted).
    """
    root = root if root is not None else root_folder()
    match = _URI.fullmatch(uri)
    if match is None:
        raise StoreError(
            "BadLocation",
            f"{uri!r} is no location: use pvc://claim/path, configmap://name/key, https://host/path, "
            "s3://bucket/path, gs://bucket/path or az://container/path",
        )
    scheme, place, path = match.group(1), match.group(2), (match.group(3) or "").strip("/")
    if ".." in place or any(segment in ("..", ".") for segment in path.split("/")):
        raise StoreError("BadLocation", f"{uri!r}: '..' is not allowed; name the folder itself")
    if scheme == "https" and re.search(r"[?#]", path):
        raise StoreError(
            "BadLocation", f"{uri!r}: a query is not supported; name the bucket as s3:// with a secretRef"
        )
    options = _options(root / "secrets" / secret) if secret else {}
    with store_errors(uri):
        return Location(_store(scheme, place, root, options, retry or _RETRY), path, uri)


def _store(scheme: str, place: str, root: Path, options: dict[str, str], retry: RetryConfig) -> ObjectStore:
    config: Any = options
    match scheme:
        case "pvc" | "configmap":
            folder = root / ("volumes" if scheme == "pvc" else "configmaps") / place
            if not folder.is_dir():
                raise StoreError("NotFound", f"{scheme}://{place} is not mounted at {folder}")
            return LocalStore(folder)
        case "https":
            return HTTPStore(f"https://{place}", client_options=_CLIENT, retry_config=retry)
        case "s3":
            return S3Store(place, config=config, client_options=_CLIENT, retry_config=retry)
        case "gs":
            return GCSStore(place, config=config, client_options=_CLIENT, retry_config=retry)
        case _:
            return AzureStore(place, config=config, client_options=_CLIENT, retry_config=retry)


def _options(folder: Path) -> dict[str, str]:
    if not folder.is_dir():
        raise StoreError("NotFound", f"secret {folder.name} is not mounted at {folder}")
    # A mounted Secret also holds ..data and a dated folder, the targets of the keys' symbolic links.
    files = (file for file in folder.iterdir() if not file.name.startswith("..") and file.is_file())
    return {file.name.lower(): file.read_text().strip() for file in files}


def matches(location: Location) -> list[Location]:
    """The files that the location's path names, in order of path; `*`, `?` and `[...]` match within a segment.

    Raises:
        StoreError: NotFound, when there is none.
    """
    if not _WILDCARD.search(location.path):
        with store_errors(location.uri):
            obstore.head(location.store, location.path)
        return [location]
    if location.uri.startswith("https://"):
        raise StoreError("BadLocation", f"{location.uri}: https cannot be listed; name each file as a source")
    base = location.uri[: len(location.uri.rstrip("/")) - len(location.path)]
    with store_errors(location.uri):
        found = sorted(_matching(location.store, "", location.path.split("/")))
    if not found:
        raise StoreError("NotFound", f"{location.uri}: no file matches")
    return [replace(location, path=path, uri=base + path) for path in found]


def _matching(store: ObjectStore, folder: str, pattern: list[str]) -> Iterator[str]:
    """The paths below a folder that match, one segment after the other: a folder that does not match, such as a
    volume's lost+found, is never opened."""
    segment, rest = pattern[0], pattern[1:]
    if rest and not _WILDCARD.search(segment):
        yield from _matching(store, f"{folder}/{segment}".lstrip("/"), rest)
        return
    listed = obstore.list_with_delimiter(store, prefix=folder or None)
    paths = listed["common_prefixes"] if rest else [item["path"] for item in listed["objects"]]
    for path in paths:
        if fnmatchcase(path.rsplit("/", 1)[-1], segment):
            if rest:
                yield from _matching(store, path, rest)
            else:
                yield path


def read(location: Location, limit: int = 64 * 1024 * 1024) -> bytes:
    """The bytes of a small file.

    Raises:
        StoreError: NotFound, or BadLocation when it is larger than `limit` bytes.
    """
    with store_errors(location.uri):
        result = obstore.get(location.store, location.path)
        if result.meta["size"] > limit:
            raise StoreError("BadLocation", f"{location.uri} is larger than {limit} bytes")
        return bytes(result.bytes())


def stream(location: Location) -> Iterator[memoryview]:
    """The bytes of a file, in chunks."""
    with store_errors(location.uri):
        for chunk in obstore.get(location.store, location.path).stream(min_chunk_size=_CHUNK):
            yield memoryview(chunk)


def write(location: Location, content: bytes | Path, *, create: bool = False) -> None:
    """Write a file whole or not at all. `create` refuses with AlreadyExists when there is one."""
    with store_errors(location.uri, "written"):
        obstore.put(location.store, location.path, content, mode="create" if create else "overwrite")


def names(folder: Location) -> list[str]:
    """The names of the files directly in a folder, none when there is no such folder."""
    return sorted(sizes(folder))


def sizes(folder: Location) -> dict[str, int]:
    """The bytes of each file directly in a folder, by name; none when there is no such folder."""
    with store_errors(folder.uri):
        listed = obstore.list_with_delimiter(folder.store, prefix=folder.path or None)
    return {item["path"].rsplit("/", 1)[-1]: item["size"] for item in listed["objects"]}


@contextmanager
def store_errors(uri: str, done: Literal["read", "written"] = "read") -> Iterator[None]:
    """Turn what obstore raises into StoreError, with the first line of its message; `done` is what was to be done."""
    try:
        yield
    except StoreError:
        raise
    except (exceptions.BaseError, OSError, ValueError) as error:
        raise _store_error(uri, error, done) from error


def _store_error(uri: str, error: Exception, done: str) -> StoreError:
    detail = str(error)
    text = detail.split("\n", 1)[0].strip()
    if isinstance(error, FileNotFoundError | exceptions.NotFoundError) or "NoSuchBucket" in detail:
        return StoreError("NotFound", f"{uri} is not there: {text}")
    if isinstance(error, exceptions.AlreadyExistsError | exceptions.PreconditionError):
        return StoreError("AlreadyExists", f"{uri} is already there")
    if isinstance(
        error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError | PermissionError
    ):
        return StoreError("StoreDenied", f"{uri}: access denied: {text}")
    if isinstance(error, exceptions.UnknownConfigurationKeyError):
        return StoreError("StoreDenied", f"{uri}: the secretRef's Secret has an unknown option: {text}")
    if isinstance(error, ValueError | exceptions.InvalidPathError | exceptions.NotSupportedError):
        return StoreError("BadLocation", f"{uri}: {text}")
    if "os error 28" in detail or "os error 122" in detail or "StorageFull" in detail:
        return StoreError("DiskFull", f"{uri}: no space left on the volume")
    if "os error 13" in detail or "os error 30" in detail:
        return StoreError("StoreDenied", f"{uri}: the volume cannot be {done}: {text}")
    if "403 Forbidden" in detail or "401 Unauthorized" in detail:
        return StoreError("StoreDenied", f"{uri}: access denied: {text}")
    return StoreError("StoreUnreachable", f"{uri}: {text}")
