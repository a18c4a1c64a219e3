"""Volumes for the URIs of the API, and whether several pods can share them. Pure.

The paths are those of docs/internals.md: `/redstart/volumes/<claim>`, `/redstart/configmaps/<name>` and
`/redstart/secrets/<name>`. s3://, gs://, az:// and https:// need no volume but their secret's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

Object = dict[str, Any]

CLAIM_LABEL_PREFIX = "claims.redstart.dev"
"""Of a label on each pod that mounts a claim which only one node can mount."""


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


class Together(NamedTuple):
    """What a pod carries so that it runs beside the others that mount its claim."""

    labels: dict[str, str]
    affinity: Object


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
    return None


def together(uses: Sequence[Use], found: Mapping[str, Mapping[str, Any] | None]) -> Together:
    """Labels and affinity that keep the pods of a claim on one node, where only one can mount it.

    Which node that is, nobody is told: a bound volume's own node affinity says it to the scheduler, and where the
    volume can go to several nodes (a network disk) the pods that use it now do. So nothing outlives a node. A pod
    can follow one claim only: the last, which is the one that versions are kept on.
    """
    bound = [claim for claim in claims(uses) if _on_one_node(found.get(claim))]
    labels = {f"{CLAIM_LABEL_PREFIX}/{_short(claim)}": "mounted" for claim in bound}
    if not bound:
        return Together({}, {})
    beside = {
        "labelSelector": {"matchLabels": dict([list(labels.items())[-1]])},
        "topologyKey": "kubernetes.io/hostname",
    }
    return Together(labels, {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [beside]}})


def _on_one_node(claim: Mapping[str, Any] | None) -> bool:
    return claim is not None and not {"ReadWriteMany", "ReadOnlyMany"} & set(
        claim.get("spec", {}).get("accessModes", [])
    )
