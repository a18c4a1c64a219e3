"""Unpacks request bodies, within the limit that holds for those that come as they are."""

from __future__ import annotations

import zlib

from redstart.server.rows import InputError

ACCEPTED = "gzip, deflate"
_GZIP = 16 + zlib.MAX_WBITS
_NAMES = {
    b"gzip": "gzip",
    b"x-gzip": "gzip",
    b"deflate": "deflate",
    b"identity": None,
    b"": None,
}
_MAX_MEMBERS = 16
"""Of one gzip body, each of which may hold nothing: their number would be bounded by the body's length alone."""


def named(header: bytes) -> str | None:
    """The encoding that a Content-Encoding header names; None for none.

    Raises:
        InputError: 415 for one that is not taken.
    """
    try:
        return _NAMES[header.strip().lower()]
    except KeyError:
        shown = header[:100].decode("latin-1")
        raise InputError(
            415,
            f"the content-encoding {shown!r} is not taken; send {ACCEPTED.replace(', ', ' or ')}, or none",
        ) from None


def unpack(body: bytes, encoding: str, limit: int) -> bytes:
    """The body as it was before it was packed.

    Raises:
        InputError: 400 when it is not so encoded, 413 when it holds more than `limit` bytes.
    """
    # Many clients send deflate without zlib's frame around it.
    window = _GZIP if encoding == "gzip" else _deflate_window(body)
    parts: list[bytes] = []
    left = limit + 1
    try:
        for _ in range(_MAX_MEMBERS):
            unpacker = zlib.decompressobj(window)
            part = unpacker.decompress(body, left)
            parts.append(part)
            left -= len(part)
            if left <= 0:
                raise InputError(413, f"the body has more than {limit} bytes when it is unpacked")
            if not unpacker.eof:
                raise InputError(400, f"the body ends before its {encoding} encoding does")
            body = unpacker.unused_data
            if not body or encoding != "gzip":
                break
    except zlib.error as error:
        raise InputError(400, f"the body is not encoded in {encoding}: {error}") from None
    if body:
        raise InputError(400, f"bytes follow the end of the body's {encoding} encoding")
    return b"".join(parts)


def _deflate_window(body: bytes) -> int:
    framed = len(body) >= 2 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
    return zlib.MAX_WBITS if framed else -zlib.MAX_WBITS
