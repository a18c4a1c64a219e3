"""Volumes for the URIs of the API, and whether several pods can share them. Pure.

The paths are those of docs/internals.md: `/redstart/volumes/<claim>`, `/redstart/configmaps/<name>` and
`/redstart/secrets/<name>`. s3://, gs://, az:// and https:// need no volume but their secret's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

Object = dict[str, Any]

SELECTED_NODE = "volume.kubernetes.io/selected-node"
"""The scheduler's annotation on a claim whose volume was made for one node."""


class Use(NamedTuple):
    """One URI that a container reads or writes."""

    uri: str
    secret: str | None = None
    """Name of the Secret with the store's credentials."""
    writable: bool = False
    folder_only: bool = False
    """Mount only the folder that a pvc:// URI names, at the place where it would be in the whole volume."""


class Mounts(NamedTuple):
    """What a pod's spec and its container need."""

    volumes: list[Object]
    mounts: list[Object]


class Problem(NamedTuple):
    """Why pods cannot use a volume, for a condition."""

    reason: str
    message: str


def claim_of(uri: str) -> str | None:
    """The claim of `pvc://claim/path`, or None for any other URI."""
    scheme, _, rest = uri.partition("://")
    return rest.split("/", maxsplit=1)[0] if scheme == "pvc" else None


def config_map_of(uri: str) -> tuple[str, str] | None:
    """(name, key) of `configmap://name/key`, or None for any other URI."""
    scheme, _, rest = uri.partition("://")
    if scheme != "configmap":
        return None
    name, _, key = rest.partition("/")
    return name, key


def claims(uses: Iterable[Use]) -> list[str]:
    """The claims that are used, each once, in order."""
    return list(dict.fromkeys(claim for use in uses if (claim := claim_of(use.uri))))


def mounts(uses: Sequence[Use]) -> Mounts:
    """Volumes and mounts for one container; one volume for each claim, ConfigMap and Secret.

    A claim is mounted read-only unless a use of it is writable.
    """
    result = Mounts([], [])
    for claim in claims(uses):
        ours = [use for use in uses if claim_of(use.uri) == claim]
        read_only = not any(use.writable for use in ours)
        source: Object = {"claimName": claim} | ({"readOnly": True} if read_only else {})
        result.volumes.append({"name": f"claim-{_short(claim)}", "persistentVolumeClaim": source})
        for folder in _folders(claim, ours):
            mount: Object = {
                "name": f"claim-{_short(claim)}",
                "mountPath": f"/redstart/volumes/{claim}{folder}",
            }
            if folder:
                mount["subPath"] = folder.lstrip("/")
            if read_only:
                mount["readOnly"] = True
            result.mounts.append(mount)
    for name in dict.fromkeys(found[0] for use in uses if (found := config_map_of(use.uri))):
        result.volumes.append({"name": f"configmap-{_short(name)}", "configMap": {"name": name}})
        result.mounts.append(
            {
                "name": f"configmap-{_short(name)}",
                "mountPath": f"/redstart/configmaps/{name}",
                "readOnly": True,
            }
        )
    for name in dict.fromkeys(use.secret for use in uses if use.secret):
        result.volumes.append(
            {"name": f"secret-{_short(name)}", "secret": {"secretName": name, "defaultMode": 0o440}}
        )
        result.mounts.append(
            {"name": f"secret-{_short(name)}", "mountPath": f"/redstart/secrets/{name}", "readOnly": True}
        )
    return result


def _folders(claim: str, uses: Sequence[Use]) -> list[str]:
    """What of a claim is mounted: "" for all of it, else the folders' paths with a leading slash."""
    paths = [use.uri.removeprefix(f"pvc://{claim}").rstrip("/") if use.folder_only else "" for use in uses]
    return [""] if "" in paths else list(dict.fromkeys(paths))


def _short(name: str) -> str:
    """A volume's name is a DNS label of at most 63 characters; the names of claims may be longer and have dots."""
    label = name.replace(".", "-")
    if len(label) <= 48 and label == name:
        return label
    return f"{label[:39]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def problem(uses: Sequence[Use], found: Mapping[str, Mapping[str, Any] | None]) -> Problem | None:
    """Why pods cannot share the claims, or None. `found` holds each claim of `claims(uses)` as read, or None."""
    for claim in claims(uses):
        pvc = found[claim]
        if pvc is None:
            return Problem(
                "ClaimNotFound",
                f'PersistentVolumeClaim "{claim}" does not exist in this namespace: create it, or name another '
                "one in the pvc:// URI",
            )
        modes = pvc.get("spec", {}).get("accessModes", [])
        if modes == ["ReadWriteOncePod"]:
            return Problem(
                "VolumeNotShared",
                f'PersistentVolumeClaim "{claim}" is ReadWriteOncePod, so that only one pod at a time can use '
                "it, but the pods that train, verify and serve share it: use a claim that is ReadWriteMany, or "
                "ReadWriteOnce where all these pods may run on one node",
            )
        if modes == ["ReadOnlyMany"] and any(use.writable for use in uses if claim_of(use.uri) == claim):
            return Problem(
                "VolumeReadOnly",
                f'PersistentVolumeClaim "{claim}" is ReadOnlyMany, but the versions are written to it: use a '
                "claim that is ReadWriteMany or ReadWriteOnce",
            )
        if pvc.get("status", {}).get("phase") == "Lost":
            return Problem(
                "VolumeLost",
                f'PersistentVolumeClaim "{claim}" has lost its volume: restore the volume, or use another claim',
            )
    if len(nodes := _nodes(found)) > 1:
        told = " and ".join(f'"{claim}" on node {node}' for claim, node in nodes.items())
        if len(set(nodes.values())) > 1:
            return Problem(
                "VolumeNotShared",
                f"PersistentVolumeClaims {told} are each ReadWriteOnce on another node, and one pod needs both: "
                "use claims that are ReadWriteMany, or on the same node",
            )
    return None


def node(found: Mapping[str, Mapping[str, Any] | None]) -> str | None:
    """The node that pods of these claims must run on, or None where they may run anywhere.

    A ReadWriteOnce volume can be mounted on one node only; all pods that share it go there.
    """
    return next(iter(_nodes(found).values()), None)


def pinned(found: Mapping[str, Mapping[str, Any] | None]) -> str | None:
    """A sentence for status about where pods must run because of their claims, or None."""
    for claim, where in _nodes(found).items():
        return f'pods run on node {where}, because PersistentVolumeClaim "{claim}" is ReadWriteOnce there'
    return None


def _nodes(found: Mapping[str, Mapping[str, Any] | None]) -> dict[str, str]:
    """claim -> node, for the claims that only one node can mount."""
    result = {}
    for claim, pvc in found.items():
        if pvc is None or {"ReadWriteMany", "ReadOnlyMany"} & set(pvc.get("spec", {}).get("accessModes", [])):
            continue
        if where := pvc["metadata"].get("annotations", {}).get(SELECTED_NODE):
            result[claim] = where
    return result
