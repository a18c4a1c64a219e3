"""Everything that a namespace holds, of every kind that the API server knows."""

from __future__ import annotations

from collections.abc import Iterator

from tests.e2e.kubernetes import Kubernetes

PASSING = {"events", "leases"}
"""Kinds whose objects end by themselves."""


def inventory(cluster: Kubernetes) -> set[str]:
    """kind/name of every object of the namespace."""
    return {
        f"{kind}/{item['metadata']['name']}"
        for path, kind in _kinds(cluster)
        for item in cluster.read(path)["items"]
    }


def _kinds(cluster: Kubernetes) -> Iterator[tuple[str, str]]:
    """Path of the list and name, of every kind that has objects in namespaces and keeps them."""
    groups = [group["preferredVersion"]["groupVersion"] for group in cluster.read("/apis")["groups"]]
    for base in ("/api/v1", *(f"/apis/{group}" for group in groups)):
        for kind in cluster.read(base)["resources"]:
            kept = {"list", "delete"} <= set(kind["verbs"]) and kind["name"] not in PASSING
            if kind["namespaced"] and kept:
                yield f"{base}/namespaces/{cluster.namespace}/{kind['name']}", kind["kind"]
