"""Skops files: scikit-learn pipelines without code, loaded only when every type in them is known to be harmless."""

from __future__ import annotations

import re
from importlib import import_module
from io import BytesIO
from typing import Any
from zipfile import ZipFile, ZipInfo

from skops.io import dumps, get_untrusted_types, loads

# What skops does not trust by itself, and scikit-learn's own estimators hold: plain data and compiled trees.
_PACKAGES = ("sklearn.", "numpy.", "scipy.")

# Functions that estimators take as a parameter. No others: a pipeline may call the functions that it holds.
_FUNCTIONS = ("sklearn.feature_selection.", "sklearn.metrics.")


_SCHEMA = "schema.json"
_ADDRESS = re.compile(r'(?<="__id__": )\d+|(?<="file": ")\d+(?=\.)|^\d+(?=\.\w+$)')


class UntrustedTypesError(ValueError):
    """The file holds types that are not scikit-learn's."""


def dump_pipeline(pipeline: Any) -> bytes:
    """The pipeline as the bytes of a Skops file; equal pipelines have equal bytes, so that their artifacts have one
    digest."""
    return _canonical(dumps(pipeline))


def _canonical(content: bytes) -> bytes:
    """Skops names objects by their addresses in memory, and dates the files within: number them in the order in which
    the schema names them, and leave the dates out."""
    with ZipFile(BytesIO(content)) as source:
        schema = source.read(_SCHEMA).decode()
        numbers: dict[str, str] = {}
        for address in _ADDRESS.findall(schema):
            numbers.setdefault(address, str(len(numbers) + 1))
        files = {_renamed(name, numbers): source.read(name) for name in source.namelist() if name != _SCHEMA}
    files[_SCHEMA] = _ADDRESS.sub(lambda found: numbers[found.group()], schema).encode()
    out = BytesIO()
    with ZipFile(out, "w") as target:
        for name in sorted(files):
            target.writestr(ZipInfo(name), files[name])
    return out.getvalue()


def _renamed(name: str, numbers: dict[str, str]) -> str:
    return _ADDRESS.sub(lambda found: numbers[found.group()], name)


def load_pipeline(content: bytes) -> Any:
    """Load a pipeline.

    Raises:
        UntrustedTypesError: naming the types that are refused.
    """
    types = get_untrusted_types(data=content)
    if refused := [name for name in types if not _harmless(name)]:
        raise UntrustedTypesError(f"the model holds types that are not allowed: {', '.join(sorted(refused))}")
    return loads(content, trusted=types)


def _harmless(name: str) -> bool:
    """Whether the name is a class, or one of the functions above, where it is defined.

    A module also holds what it imports: sklearn.utils._testing.check_output is subprocess's.
    """
    module, _, attribute = name.rpartition(".")
    if not name.startswith(_PACKAGES):
        return False
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError):
        return False
    home = f"{getattr(found, '__module__', '')}."
    return home.startswith(_PACKAGES if isinstance(found, type) else _FUNCTIONS)
