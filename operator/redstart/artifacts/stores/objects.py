"""Object stores, volumes and ConfigMaps, by obstore."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import obstore
from obstore import exceptions
from obstore.store import AzureStore, GCSStore, LocalStore, S3Store

from redstart.artifacts.stores import options as store_options
from redstart.artifacts.stores.errors import StoreError
from redstart.artifacts.stores.failures import Context, Done, panicked, store_error
from redstart.artifacts.stores.opened import Opened
from redstart.artifacts.stores.options import KINDS, Kind
from redstart.artifacts.stores.secrets import CA, Secret
from redstart.artifacts.stores.uris import Uri

if TYPE_CHECKING:
    from obstore import BytesStream
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

_CHUNK = 4 * 1024 * 1024
_CLIENT: ClientConfig = {"connect_timeout": "5s", "read_timeout": "30s", "timeout": "6h"}
_RETRY: RetryConfig = {
    "max_retries": 5,
    "retry_timeout": timedelta(seconds=60),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=5), "base": 2},
}
_STORES: dict[str, Callable[..., ObjectStore]] = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}


class Listed(NamedTuple):
    """What is directly in a folder: the bytes of each file by its path, and the paths of folders."""

    files: dict[str, int]
    folders: list[str]


@dataclass(frozen=True)
class Objects:
    """A bucket, or a mounted folder. Every method raises StoreError; `uri` is for its message."""

    store: ObjectStore
    kind: Kind | None = None
    place: str = ""
    secret: Secret = field(default_factory=Secret)
    options: dict[str, str] = field(default_factory=dict, repr=False)

    def opened(self, path: str, uri: str) -> Opened:
        """A file to read."""
        with self._errors(uri, "read"):
            result = obstore.get(self.store, path)
            stream = result.stream(min_chunk_size=_CHUNK)
        return Opened(path.rsplit("/", 1)[-1], None, self._chunks(stream, uri))

    def _chunks(self, stream: BytesStream, uri: str) -> Iterator[memoryview]:
        with self._errors(uri, "read"):
            for chunk in stream:
                yield memoryview(chunk)

    def write(self, path: str, content: bytes | Path, uri: str, *, create: bool) -> None:
        """Write a file whole or not at all; `create` only where there is none."""
        with self._errors(uri, "created" if create else "written"):
            obstore.put(self.store, path, content, mode="create" if create else "overwrite")

    def listed(self, folder: str, uri: str) -> Listed:
        """What is directly in a folder; nothing when there is no such folder."""
        with self._errors(uri, "read"):
            found = obstore.list_with_delimiter(self.store, prefix=folder or None)
        return Listed(
            {item["path"]: item["size"] for item in found["objects"]}, list(found["common_prefixes"])
        )

    @contextmanager
    def _errors(self, uri: str, done: Done) -> Iterator[None]:
        context = Context(uri, done, self.kind, self.place, self.secret, self.options)
        with _told(context):
            yield


def mounted(uri: Uri, root: Path) -> Objects:
    """The volume or ConfigMap of a URI.

    Raises:
        StoreError: NotFound, when it is not mounted.
    """
    folder = root / ("volumes" if uri.scheme == "pvc" else "configmaps") / uri.place
    if not folder.is_dir():
        raise StoreError("NotFound", f"{uri.scheme}://{uri.place} is not mounted at {folder}")
    return Objects(LocalStore(folder))


def remote(uri: Uri, text: str, secret: Secret, retry: RetryConfig | None) -> Objects:
    """The bucket of a URI; nothing is asked of it yet.

    Raises:
        StoreError: StoreDenied (an option of the Secret), BadLocation (an endpoint).
    """
    kind = KINDS[uri.scheme]
    try:
        options = store_options.options(kind, uri.place, secret, lambda option: _known(kind, option))
    except StoreError as error:
        raise StoreError(error.reason, f"{text}: {error}") from error
    client: ClientConfig = {**_CLIENT}
    allow = options.pop(kind.allow_http.lower(), None)
    if allow is not None:
        client["allow_http"] = allow.lower() in store_options.YES
    if (authorities := secret.authorities()) is not None:
        client["root_certificate"] = authorities
    with _told(Context(text, "read", kind, uri.place, secret, options)):
        try:
            store = _build(kind, uri.place, options, client, retry or _RETRY)
        except (exceptions.BaseError, ValueError):
            _blame(kind, uri.place, options, client, secret)
            raise
    return Objects(store, kind, uri.place, secret, options)


def _build(
    kind: Kind, place: str, options: dict[str, str], client: ClientConfig, retry: RetryConfig
) -> ObjectStore:
    config: Any = options
    return _STORES[kind.scheme](place, config=config, client_options=client, retry_config=retry)


def _blame(kind: Kind, place: str, options: dict[str, str], client: ClientConfig, secret: Secret) -> None:
    """Name what is not valid, which the library does not always: it is what everything else is fine without."""
    if "root_certificate" in client and _fits(kind, place, options):
        raise secret.fault(f"{CA} holds a certificate that cannot be read; it must be PEM")
    for option in options:
        if _fits(kind, place, {name: value for name, value in options.items() if name != option}):
            raise secret.fault(f"the value of {option.upper()} is not valid")


def _fits(kind: Kind, place: str, options: dict[str, str]) -> bool:
    try:
        _build(kind, place, options, {}, _RETRY)
    except exceptions.BaseError:
        return False
    return True


def _known(kind: Kind, option: str) -> bool:
    """Whether the library has such an option; it alone knows all of them."""
    if option == kind.allow_http:
        return True
    config: Any = {option.lower(): "true"}
    try:
        _STORES[kind.scheme]("a", config=config)
    except exceptions.UnknownConfigurationKeyError:
        return False
    except exceptions.BaseError:
        pass  # of the value, which is not the user's
    return True


@contextmanager
def _told(context: Context) -> Iterator[None]:
    """Turn what obstore raises into StoreError."""
    try:
        yield
    except StoreError:
        raise
    except (exceptions.BaseError, OSError, ValueError) as error:
        raise store_error(error, context) from error
    except BaseException as error:
        if not panicked(error):
            raise
        raise store_error(error, context) from error
