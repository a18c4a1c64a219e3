"""CustomResourceDefinitions from the pydantic models.

Pydantic writes JSON Schema 2020-12; the API server wants a structural OpenAPI v3 schema without references.
Defaults of a spec are not stored in the cluster (they are the operator's, computed): they are told in the
description. The only stored default is `status.observedGeneration: -1`, without which kstatus takes a new object
for a finished one.

Run as `python -m redstart.api.crd FOLDER` to write one file for each kind.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from redstart.api.v1alpha1 import GROUP, VERSION, InferenceService, ModelVersion, TrainingJob
from redstart.api.v1alpha1.common import Model
from redstart.api.v1alpha1.scalars import UNTYPED

Schema = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0

    def entry(self) -> dict[str, Any]:
        """As a CRD wants it."""
        column: dict[str, Any] = {"name": self.name, "type": self.type, "jsonPath": self.path}
        return column | ({"priority": self.priority} if self.priority else {})


@dataclass(frozen=True)
class Definition:
    """What a CRD says beside its schema."""

    model: type[Model]
    plural: str
    short: str
    columns: tuple[Column, ...]
    name_length: int
    rules: tuple[dict[str, str], ...] = ()
    """CEL rules that need metadata.name."""
    scale: bool = False

    @property
    def kind(self) -> str:
        """The kind's name."""
        return self.model.__name__


_READY = Column("Ready", '.status.conditions[?(@.type=="Ready")].status')
_REASON = Column("Reason", '.status.conditions[?(@.type=="Ready")].reason', priority=1)
_AGE = Column("Age", ".metadata.creationTimestamp", "date")

DEFINITIONS = (
    Definition(
        TrainingJob,
        "trainingjobs",
        "tjob",
        (
            _READY,
            Column("Phase", ".status.phase"),
            Column("Progress", ".status.progress.percent", "integer"),
            Column("Version", ".status.latestVersion"),
            _REASON,
            _AGE,
        ),
        name_length=40,
    ),
    Definition(
        ModelVersion,
        "modelversions",
        "mver",
        (
            _READY,
            Column("Model", ".spec.model"),
            Column("Number", ".spec.number", "integer"),
            Column("Format", ".spec.artifact.format"),
            Column("Phase", ".status.phase"),
            _REASON,
            _AGE,
        ),
        name_length=63,
        rules=(
            {
                # string(number) would be simpler, but the API server takes its length, and cost, for unbounded.
                "rule": "self.metadata.name.startsWith(self.spec.model + '-v') && "
                "self.metadata.name.substring(self.spec.model.size() + 2).matches('^[1-9][0-9]{0,9}$') && "
                "int(self.metadata.name.substring(self.spec.model.size() + 2)) == self.spec.number",
                "message": "metadata.name: must be <spec.model>-v<spec.number>, for instance machine-failure-v3",
            },
        ),
    ),
    Definition(
        InferenceService,
        "inferenceservices",
        "infsvc",
        (
            _READY,
            Column("Stable", ".status.stable.version"),
            Column("Canary", ".status.canary.version"),
            Column("Weight", ".status.canary.weight", "integer"),
            Column("Phase", ".status.phase"),
            _REASON,
            _AGE,
        ),
        name_length=40,
        scale=True,
    ),
)


def crd(definition: Definition) -> dict[str, Any]:
    """The whole CustomResourceDefinition of one kind."""
    kind = definition.kind
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": [column.entry() for column in definition.columns],
        "schema": {"openAPIV3Schema": schema(definition)},
        "subresources": {"status": {}},
    }
    if definition.scale:
        version["subresources"]["scale"] = {
            "specReplicasPath": ".spec.predictor.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{definition.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": definition.plural,
                "singular": kind.lower(),
                "shortNames": [definition.short],
                "categories": [GROUP.split(".", maxsplit=1)[0]],
            },
            "scope": "Namespaced",
            "versions": [version],
        },
    }


def schema(definition: Definition) -> Schema:
    """The structural schema of one kind."""
    source = definition.model.model_json_schema(by_alias=True)
    structural = _structural(source, source.get("$defs", {}), told=True)
    properties = structural["properties"]
    properties["status"].pop("nullable", None)
    properties["status"]["default"] = {"observedGeneration": -1}
    properties["status"]["properties"]["observedGeneration"]["default"] = -1
    most = definition.name_length
    return {
        "description": structural["description"],
        "type": "object",
        "required": ["spec"],
        "x-kubernetes-validations": [
            {
                "rule": f"self.metadata.name.size() <= {most} && "
                "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
                "message": f"metadata.name: at most {most} characters a-z, 0-9 and '-', beginning with a letter "
                "and ending with a letter or digit",
            },
            *definition.rules,
        ],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            # Bounded here too, or a rule about the name would cost too much by the API server's reckoning.
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": most}}},
        }
        | properties,
    }


_DROPPED = ("title", "examples", "deprecated", "propertyNames", "$defs", "default")


def _structural(node: Schema, definitions: Schema, *, told: bool) -> Schema:
    """`told`: whether defaults are told in the description (a status has none worth telling)."""
    node = _inlined(node, definitions)
    result = {key: value for key, value in node.items() if key not in _DROPPED}
    if result.pop(UNTYPED, False):
        # Bounds of text and of numbers still hold, each for what it is.
        result = {"x-kubernetes-preserve-unknown-fields": True} | {
            key: value for key, value in result.items() if key != "type"
        }
    default = node.get("default")
    # The fields of an object tell their own.
    if told and default not in (None, []) and not isinstance(default, dict):
        result["description"] = f"{node['description']} Default: {_default(default)}."
    if "description" in result:
        result["description"] = " ".join(result["description"].split())
    if "const" in result:
        result["enum"] = [result.pop("const")]
    if (message := result.pop("x-redstart-message", None)) and told:
        rule = {"rule": f"self.matches({json.dumps(result.pop('pattern'))})", "message": message}
        # Copies: YAML would write a rule that two fields share as an anchor and an alias.
        result["x-kubernetes-validations"] = [*map(dict, result.get("x-kubernetes-validations", [])), rule]
    for bound, flag in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if bound in result:
            result[flag] = result.pop(bound)
            result[bound] = True
    if "properties" in result:
        result.pop("additionalProperties", None)
        result["properties"] = {
            name: _structural(child, definitions, told=told and name != "status")
            for name, child in result["properties"].items()
        }
    elif isinstance(result.get("additionalProperties"), dict):
        result["additionalProperties"] = _structural(result["additionalProperties"], definitions, told=told)
    elif "additionalProperties" in result:
        result.pop("additionalProperties")
    if "items" in result:
        result["items"] = _structural(result["items"], definitions, told=told)
    return result


def _inlined(node: Schema, definitions: Schema) -> Schema:
    """Follows $ref and takes `anyOf [T, null]` for T; what stands beside them is about the field and wins."""
    while True:
        beside = {key: value for key, value in node.items() if key not in ("$ref", "anyOf", "allOf")}
        if "$ref" in node:
            target = definitions[node["$ref"].rsplit("/", maxsplit=1)[1]]
        elif "anyOf" in node:
            (target,) = (option for option in node["anyOf"] if option.get("type") != "null")
        else:
            return node
        node = target | beside


def _default(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def main() -> None:
    """Writes the CRDs into a folder, one file each."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for definition in DEFINITIONS:
        text = yaml.safe_dump(crd(definition), sort_keys=False, width=110)
        (folder / f"{GROUP}_{definition.plural}.yaml").write_text(text)


if __name__ == "__main__":
    main()
