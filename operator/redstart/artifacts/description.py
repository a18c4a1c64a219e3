"""An artifact's inputs and outputs as a ModelVersion shows them: shortened where the manifest holds them whole."""

from __future__ import annotations

from typing import Any

from redstart.artifacts.manifest import Label, Manifest

MAX_INPUTS = 500
MAX_VALUES = 50
MAX_TEXT = 256


def inputs(manifest: Manifest) -> list[dict[str, Any]]:
    """At most 500 inputs with at most 50 values each."""
    found = []
    for feature in manifest.inputs[:MAX_INPUTS]:
        entry: dict[str, Any] = {"name": feature.name, "type": feature.type, "nullable": feature.nullable}
        if feature.values is not None:
            entry["values"] = _short(feature.values)
        found.append(entry)
    return found


def outputs(manifest: Manifest) -> list[dict[str, Any]]:
    """The prediction, and the probabilities where there are any."""
    found = []
    for output in manifest.outputs:
        entry: dict[str, Any] = {"name": output.name, "type": output.type}
        if output.size > 1:
            entry["size"] = output.size
        if output.values is not None:
            entry["values"] = _short([label_text(value) for value in output.values])
        found.append(entry)
    return found


def label_text(label: Label) -> str:
    """A label as text: strings as they are, all else as in JSON."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def _short(values: list[str]) -> list[str]:
    return [value for value in values if len(value) <= MAX_TEXT][:MAX_VALUES]
