"""URIs as users type them. Pure.

pvc://claim/path  configmap://name/key  s3://bucket/path  gs://bucket/path  az://container/path
    the path is the name of the file, letter by letter: blanks, umlauts, %, ? and # stand for themselves
https://host/path?query  http://host/path?query
    as in a browser: a blank or an umlaut is encoded, what is encoded already stays, # begins a fragment
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from redstart.artifacts.stores.errors import StoreError

_URI = re.compile(r"(pvc|configmap|s3|gs|az)://([^/\s]+)(?:/(.*))?")
_WEB = re.compile(r"(https?)://([^/?#\s]+)(/[^?#]*)?(\?[^#]*)?(#.*)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
# What RFC 3986 lets stand in a path and in a query; % too, which begins what is encoded already.
_IN_PATH = "/:@!$&'()*+,;=-._~%"
_IN_QUERY = _IN_PATH + "?[]"


@dataclass(frozen=True)
class Uri:
    """`place` is claim, ConfigMap, bucket, container, or host with port; `path` has no slash at either end, but that of
    a web server's, which is encoded, and has them as they are. `query` is a web server's, encoded, with its `?`."""

    scheme: str
    place: str
    path: str
    query: str = ""

    @property
    def web(self) -> bool:
        return self.scheme in ("http", "https")

    @property
    def url(self) -> str:
        """What a web server is asked; the query's values may be secrets."""
        return f"{self.scheme}://{self.place}{self.path}{self.query}"

    @property
    def name(self) -> str:
        """The last segment of the path, decoded."""
        last = self.path.rsplit("/", 1)[-1]
        return unquote(last) if self.web else last


def shown(text: str) -> str:
    """A URI for messages: queries and passwords, which may be secrets, are left out."""
    if not re.match(r"\s*https?:", text, re.IGNORECASE):
        return text
    return re.sub(r"\?.*", "?...", re.sub(r"//[^/?#]*@", "//...@", text), flags=re.DOTALL)


def parse(text: str) -> Uri:
    """Raises: StoreError: BadLocation."""
    if _CONTROL.search(text):
        raise _bad(text, "holds a control character, such as a line break; write it without")
    if match := _WEB.fullmatch(text):
        return _web(text, *match.groups())
    match = _URI.fullmatch(text)
    if match is None:
        raise _bad(
            text,
            "is no location: use pvc://claim/path, configmap://name/key, https://host/path, s3://bucket/path, "
            "gs://bucket/path or az://container/path",
        )
    scheme, place, path = match.group(1), match.group(2), (match.group(3) or "").strip("/")
    if ".." in place or any(segment in ("..", ".") for segment in path.split("/")):
        raise _bad(text, "'..' is not allowed; name the folder itself")
    if scheme in ("s3", "gs", "az") and not re.fullmatch(r"[A-Za-z0-9$][A-Za-z0-9._-]*", place):
        kind = "container" if scheme == "az" else "bucket"
        raise _bad(text, f"{place!r} is no name of a {kind}: use letters, digits, '.', '_' and '-'")
    return Uri(scheme, place, path)


def _web(
    text: str, scheme: str, place: str, path: str | None, query: str | None, fragment: str | None
) -> Uri:
    if "@" in place:
        raise _bad(
            text,
            "user and password do not belong into the URI, which anybody may read: put them into a Secret, as USERNAME "
            "and PASSWORD, and name it as secretRef",
        )
    if fragment is not None:
        raise _bad(
            text, "a # begins what no server is told: leave it out, or write %23 where it is part of a name"
        )
    try:
        parts = urlsplit(f"{scheme}://{place}")
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or re.search(r"[\s\"<>\\^`{|}]", place):
        raise _bad(text, f"{place!r} is no host: use host or host:port")
    return Uri(scheme, place, _encoded(path or "/", _IN_PATH), _encoded(query or "", _IN_QUERY))


def _encoded(text: str, safe: str) -> str:
    return quote(_STRAY_PERCENT.sub("%25", text), safe=safe)


def _bad(text: str, problem: str) -> StoreError:
    return StoreError("BadLocation", f"{shown(text)!r}: {problem}", of_uri=True)
