"""Digests of specs: what must be equal for two trainings to be the same training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Set
from typing import Any

from redstart.api.v1alpha1.training_job import TrainingJobSpec

CANONICAL_FORM = 1
"""Version of the canonical form; part of every digest, so that a change of form is never a silent equality."""

# What decides where, when and whether a model trains, but not what it learns. Gates judge a model that exists.
_OPERATIONAL = frozenset({"suspend", "backoff_limit", "active_deadline", "gates"})

_TRAINER = frozenset({"image", "command", "args"})


def who_trains(template: dict[str, Any]) -> dict[str, Any]:
    """What of spec.template, as JSON, says who trains: another trainer may learn something else from the same rows.
    Redstart's own trainer is told apart by its semantics instead, so that an upgrade of the operator trains nothing
    again."""
    return {name: value for name, value in template.items() if name in _TRAINER}


def training_fields(spec: TrainingJobSpec) -> dict[str, Any]:
    """The fields that decide what is learned, without credentials.

    A field at its default is left out: one that a later version adds does not change the digest of what was
    trained before it."""
    fields = changed_fields(spec, without=_OPERATIONAL)
    for source in fields["data"]["sources"]:
        source.pop("secretRef", None)
        if source["uri"].startswith(("https://", "http://")):
            # A query may be a signature, which is another one each time; the rows themselves are in the data digest.
            source["uri"] = source["uri"].split("?", 1)[0]
    fields["output"].pop("secretRef", None)
    trainer = who_trains(fields.pop("template", {}))
    return fields | ({"template": trainer} if trainer else {})


def changed_fields(spec: TrainingJobSpec, *, without: Set[str]) -> dict[str, Any]:
    """The fields that are not at their defaults, for a digest."""
    fields = spec.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude_defaults=True, exclude=set(without)
    )
    if parameters := spec.algorithm.parameters:
        # scikit-learn tells null from absent and 1.0 from 1, which the canonical form does not.
        fields["algorithm"]["parameters"] = json.dumps(parameters, sort_keys=True)
    return fields


def digest(value: Any) -> str:
    """sha256 of the canonical JSON form: keys sorted, nulls dropped, 2.0 written as 2."""
    text = json.dumps(
        {"canonicalForm": CANONICAL_FORM, "value": _canonical(value)},
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    )
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value
