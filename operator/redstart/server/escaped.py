"""Names of inputs that a msgspec struct cannot hold (a quote, a backslash, a control character), in a form it can."""

from __future__ import annotations

import re
from typing import Any

import msgspec

_MARK = "\ue000"
_SPECIAL = re.compile(rf'["\\\x00-\x1f{_MARK}]')
_ESCAPED = re.compile(rf"{_MARK}([0-9a-f]{{4}})")


def needs_escape(name: str) -> bool:
    """Whether JSON writes this name with an escape, so that msgspec takes it as no field's name."""
    return re.search(r'["\\\x00-\x1f]', name) is not None


def escape(name: str) -> str:
    """The name without such characters; no two names have the same form, since the mark itself is escaped too."""
    return _SPECIAL.sub(lambda found: f"{_MARK}{ord(found.group()):04x}", name)


def unescape(text: str) -> str:
    """The text, with each escaped character as it was."""
    return _ESCAPED.sub(lambda found: chr(int(found.group(1), 16)), text)


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    rows: list[dict[str, msgspec.Raw]]


_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_Request)


def escape_keys(body: bytes) -> bytes:
    """A body with `rows` whose keys are escaped and whose values are as sent; any other body as it is.

    Raises:
        msgspec.DecodeError: the body is no JSON.
    """
    try:
        request = _DECODER.decode(body)
    except msgspec.ValidationError:
        return body
    return msgspec.json.encode({"rows": [{escape(key): row[key] for key in row} for row in request.rows]})
