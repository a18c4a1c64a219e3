"""Where files are: a URI becomes a store and a path in it.

    pvc://claim/path          a folder of a mounted volume      <root>/volumes/claim
    configmap://name/key      a mounted key of a ConfigMap      <root>/configmaps/name
    https://host/path         also http://; read only; a token or a password from a Secret
    s3://bucket/path          also gs:// and az://; options from the keys of a Secret, <root>/secrets/<name>/<KEY>

`<root>` is /redstart in a pod; REDSTART_ROOT or an argument moves it. `stores` has what each scheme needs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from redstart.artifacts.stores import objects, secrets, uris
from redstart.artifacts.stores.errors import Reason, StoreError
from redstart.artifacts.stores.objects import Objects
from redstart.artifacts.stores.opened import Opened
from redstart.artifacts.stores.secrets import Secret

if TYPE_CHECKING:
    from obstore.store import RetryConfig

    from redstart.artifacts.stores.web import Web

__all__ = ["Location", "Opened", "Reason", "StoreError", "locate", "root_folder"]

_WILDCARD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Location:
    """A file or folder: a store, the path in it ("" for its root), and the URI for messages, which shows no query."""

    store: Objects | Web
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
        StoreError: BadLocation (the URI or an endpoint is wrong), StoreDenied (an option of the Secret is), NotFound
            (not mounted).
    """
    root = root if root is not None else root_folder()
    parsed = uris.parse(uri)
    held = secrets.read(root / "secrets" / secret) if secret else Secret()
    if parsed.web:
        # Only the trainer's image has what this takes: artifacts are in no web server.
        from redstart.artifacts.stores.web import Web  # noqa: PLC0415

        web = Web(parsed, held)
        web.check()
        return Location(web, parsed.path, web.text)
    if parsed.scheme in ("pvc", "configmap"):
        return Location(objects.mounted(parsed, root), parsed.path, uri)
    return Location(objects.remote(parsed, uri, held, retry), parsed.path, uri)


def matches(location: Location) -> list[Location]:
    """The files that the location's path names, in order of path; `*`, `?` and `[...]` match within a segment. A path
    without them is not looked up: reading it tells whether it is there.

    Raises:
        StoreError: NotFound, when nothing matches.
    """
    if not isinstance(location.store, Objects):
        if "*" in location.path:
            raise _unlisted(location)
        return [location]
    if not _WILDCARD.search(location.path):
        return [location]
    base = location.uri[: len(location.uri.rstrip("/")) - len(location.path)]
    found = sorted(_matching(location.store, "", location.path.split("/"), location.uri))
    if not found:
        raise StoreError("NotFound", f"{location.uri}: no file matches")
    return [replace(location, path=path, uri=base + path) for path in found]


def _matching(store: Objects, folder: str, pattern: list[str], uri: str) -> Iterator[str]:
    """The paths below a folder that match, one segment after the other: a folder that does not match, such as a
    volume's lost+found, is never opened."""
    segment, rest = pattern[0], pattern[1:]
    if rest and not _WILDCARD.search(segment):
        yield from _matching(store, f"{folder}/{segment}".lstrip("/"), rest, uri)
        return
    listed = store.listed(folder, uri)
    for path in listed.folders if rest else listed.files:
        if fnmatchcase(path.rsplit("/", 1)[-1], segment):
            if rest:
                yield from _matching(store, path, rest, uri)
            else:
                yield path


def opened(location: Location) -> Opened:
    """A file to read, with the name that tells its kind.

    Raises:
        StoreError: also while its chunks are read.
    """
    if isinstance(location.store, Objects):
        return location.store.opened(location.path, location.uri)
    return location.store.opened()


def read(location: Location, limit: int = 64 * 1024 * 1024) -> bytes:
    """The bytes of a small file.

    Raises:
        StoreError: NotFound, or BadLocation when it is larger than `limit` bytes.
    """
    content = bytearray()
    for chunk in stream(location):
        content += chunk
        if len(content) > limit:
            raise StoreError("BadLocation", f"{location.uri} is larger than {limit} bytes", of_uri=True)
    return bytes(content)


def stream(location: Location) -> Iterator[memoryview]:
    """The bytes of a file, in chunks."""
    yield from opened(location).chunks


def write(location: Location, content: bytes | Path, *, create: bool = False) -> None:
    """Write a file whole or not at all. `create` refuses with AlreadyExists when there is one."""
    _objects(location).write(location.path, content, location.uri, create=create)


def names(folder: Location) -> list[str]:
    """The names of the files directly in a folder, none when there is no such folder."""
    return sorted(sizes(folder))


def sizes(folder: Location) -> dict[str, int]:
    """The bytes of each file directly in a folder, by name; none when there is no such folder."""
    files = _objects(folder).listed(folder.path, folder.uri).files
    return {path.rsplit("/", 1)[-1]: size for path, size in files.items()}


def _objects(location: Location) -> Objects:
    if not isinstance(location.store, Objects):
        raise _unlisted(location)
    return location.store


def _unlisted(location: Location) -> StoreError:
    return StoreError(
        "BadLocation",
        f"{location.uri}: https can be neither listed nor written; name each file as a source",
        of_uri=True,
    )
