"""The binary tensor data extension of the Open Inference Protocol: tensors behind the JSON, in little endian.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from redstart.artifacts.description import label_text
from redstart.artifacts.manifest import Label

HEADER = "inference-header-content-length"
"""Names the length of the JSON in a body that goes on with tensors."""

_DTYPES: dict[str, str] = {
    "BOOL": "?",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
    **{f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
}
_LENGTH = struct.Struct("<I")


def read(data: memoryview, datatype: str, count: int) -> list[Any]:
    """`count` values; NaN, the only way to say so here, is a missing one (None).

    Raises:
        ValueError: the data are not so many values of this type.
    """
    if datatype == "BYTES":
        return _texts(data, count)
    dtype = np.dtype(_DTYPES[datatype])
    if len(data) != count * dtype.itemsize:
        raise ValueError(f"{count} values of {datatype} take {count * dtype.itemsize} bytes, not {len(data)}")
    values = np.frombuffer(data, dtype=dtype)
    if dtype.kind == "f" and np.isnan(values).any():
        return np.where(np.isnan(values), None, values.astype(object)).tolist()  # type: ignore[call-overload,no-any-return]
    found: list[Any] = values.tolist()
    return found


def _texts(data: memoryview, count: int) -> list[Any]:
    texts: list[Any] = []
    at = 0
    while len(texts) < count and at + _LENGTH.size <= len(data):
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if at + length > len(data):
            break
        texts.append(str(data[at : at + length], "utf-8"))
        at += length
    if len(texts) != count or at != len(data):
        raise ValueError(f"{count} values of BYTES, each behind its length in 4 bytes, are not what was sent")
    return texts


def write(values: Sequence[Label], datatype: str) -> bytes:
    """Values as a client reads them back."""
    if datatype != "BYTES":
        return np.array(values, dtype=_DTYPES[datatype]).tobytes()
    texts = [label_text(value).encode() for value in values]
    return b"".join(_LENGTH.pack(len(text)) + text for text in texts)
