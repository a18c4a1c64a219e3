"""Inputs that clients may go on sending though this model does not use them: an earlier version of the service did.

They are taken, not looked at, and counted, so that it can be seen who has not noticed yet.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from redstart.artifacts.manifest import Manifest
from redstart.server.counts import OTHER

MAX_COUNTED = 50
"""Names with a count of their own; the others share `(other)`."""


class IgnoredInputs:
    """The ignored inputs of one model, in the order in which the operator gave them."""

    def __init__(self, names: Collection[str], manifest: Manifest) -> None:
        own = {feature.name for feature in manifest.inputs}
        self.names = tuple(name for name in dict.fromkeys(names) if name not in own)
        self._counted_as = {
            name: name if place < MAX_COUNTED else OTHER for place, name in enumerate(self.names)
        }

    def __contains__(self, name: str) -> bool:
        return name in self._counted_as

    def counted(self, rows: Mapping[str, int]) -> dict[str, int]:
        """Rows that held each name, under the names that are counted."""
        found: dict[str, int] = {}
        for name, count in rows.items():
            label = self._counted_as[name]
            found[label] = found.get(label, 0) + count
        return found
