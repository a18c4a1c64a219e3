"""Whether an apply would change anything, decided without asking the API server.

The server keeps, for each field manager, the set of fields it owns (`metadata.managedFields`): whoever
changes the value of a field takes it from the other managers, whoever removes it takes it from all. So an
object carries what we want exactly when the annotation says that this very content was applied and we still
own every field of it. Comparing the values instead would see a difference in each quantity ("0.5" and
"500m"), each default and each change by a mutating webhook, and would write for ever.

https://kubernetes.io/docs/reference/using-api/server-side-apply/
https://github.com/kubernetes-sigs/structured-merge-diff (the form of `fieldsV1`)
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from redstart.kube import errors
from redstart.kube.kinds import MANAGED_BY_LABEL, MANAGER, Kind, Object, controller_of

APPLIED_ANNOTATION = "redstart.dev/applied"

# The server keeps no owner for what identifies an object.
_UNOWNED = {"apiVersion", "kind"}
_UNOWNED_METADATA = {"name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp"}


def prepared(desired: Object, owner: Object | None) -> Object:
    """What is sent: `desired` without its nulls, labelled as ours, controlled by `owner`, with its own hash."""
    content: Object = without_nulls(desired)
    metadata = content.setdefault("metadata", {})
    metadata.setdefault("labels", {})[MANAGED_BY_LABEL] = MANAGER
    if owner is not None:
        metadata["namespace"] = owner["metadata"]["namespace"]
        metadata["ownerReferences"] = [owner_reference(owner)]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
    metadata.setdefault("annotations", {})[APPLIED_ANNOTATION] = digest
    return content


def owner_reference(owner: Object) -> Object:
    metadata = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def without_nulls(value: Any) -> Any:
    """A deep copy in which a null field is an absent one, as it is everywhere in the API."""
    if isinstance(value, Mapping):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [without_nulls(item) for item in value]
    return value


def is_ours(live: Object, owner: Object | None) -> bool:
    """Controlled by `owner`; without an owner, carrying our label."""
    if owner is None:
        return (live["metadata"].get("labels") or {}).get(MANAGED_BY_LABEL) == MANAGER
    controller = controller_of(live)
    return controller is not None and controller["uid"] == owner["metadata"]["uid"]


def not_ours(kind: Kind, taken: Object) -> errors.NotOurs:
    """The error for a name that an object has which is controlled by somebody else."""
    controller, metadata = controller_of(taken), taken["metadata"]
    by = f"{controller['kind']} {controller['name']}" if controller else None
    return errors.NotOurs(kind.kind, metadata["namespace"], metadata["name"], by)


def is_applied(content: Object, live: Object) -> bool:
    """Whether `live` carries `content` (from `prepared`) with every field of it still ours."""
    wanted = content["metadata"]["annotations"][APPLIED_ANNOTATION]
    if (live["metadata"].get("annotations") or {}).get(APPLIED_ANNOTATION) != wanted:
        return False
    fields = applied_fields(live)
    rest = {name: value for name, value in content.items() if name not in _UNOWNED}
    rest["metadata"] = {
        name: value for name, value in content["metadata"].items() if name not in _UNOWNED_METADATA
    }
    return fields is not None and owns(fields, rest)


def is_reported(status: Object, live: Object) -> bool:
    """Whether `live` has exactly this status. A field beyond it counts when it is ours, which means that
    `status` dropped it; what the server filled in from the schema's defaults does not.
    """
    fields = applied_fields(live, "status") or {}
    return _same(status, live.get("status") or {}, fields.get("f:status") or {})


def applied_fields(live: Object, subresource: str = "") -> Object | None:
    """The fields that our applies own, or None when there are none."""
    for entry in live["metadata"].get("managedFields") or ():
        if is_our_entry(entry) and entry.get("subresource", "") == subresource:
            return dict(entry.get("fieldsV1") or {})
    return None


def is_our_entry(entry: Mapping[str, Any]) -> bool:
    return entry.get("manager") == MANAGER and entry.get("operation") == "Apply"


def owns(fields: Mapping[str, Any], value: Any) -> bool:
    """Whether the set `fields` (fieldsV1) covers every field of `value`."""
    if not fields:
        return True  # a leaf: a scalar, or a list or map that is owned as a whole
    if isinstance(value, Mapping):
        return all(f"f:{name}" in fields and owns(fields[f"f:{name}"], item) for name, item in value.items())
    if isinstance(value, list):
        return all(_owns_item(fields, item) for item in value)
    return True


def _owns_item(fields: Mapping[str, Any], item: Any) -> bool:
    if not isinstance(item, Mapping):
        return f"v:{json.dumps(item)}" in fields
    inside = _item_fields(fields, item)
    return inside is not None and owns(inside, item)


def _item_fields(fields: Mapping[str, Any], item: Any) -> Mapping[str, Any] | None:
    for path, inside in fields.items():
        # The server fills in keys that have a default (`protocol: TCP`), so an absent one matches.
        if path.startswith("k:") and all(
            item.get(name, value) == value for name, value in json.loads(path[2:]).items()
        ):
            return dict(inside)
    return None


def _same(wanted: Any, live: Any, fields: Mapping[str, Any]) -> bool:
    """`fields` is our part of `live`; empty where a value is owned as a whole, and then nothing may differ."""
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        dropped = (name for name in live if name not in wanted and (not fields or f"f:{name}" in fields))
        return not any(dropped) and all(
            name in live and _same(item, live[name], fields.get(f"f:{name}") or {})
            for name, item in wanted.items()
        )
    if isinstance(wanted, list) and isinstance(live, list):
        keyed = {path for path in fields if path.startswith("k:")}
        if keyed:
            return len(wanted) == len(keyed) and all(_has_item(item, live, fields) for item in wanted)
        return len(wanted) == len(live) and all(
            _same(item, other, {}) for item, other in zip(wanted, live, strict=True)
        )
    return bool(wanted == live) and isinstance(wanted, bool) == isinstance(live, bool)


def _has_item(item: Any, live: list[Any], fields: Mapping[str, Any]) -> bool:
    inside = _item_fields(fields, item)
    return inside is not None and any(_same(item, other, inside) for other in live)
