"""The manifests of stable and canary, asked of their own pods.

A manifest's sha256 is its artifact's digest, so the bytes prove themselves: the operator needs neither credentials of a
store nor trust in a pod.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import aiohttp

from redstart.artifacts.manifest import ManifestError, decode, sha256
from redstart.controllers.inference_service import scrape, signature
from redstart.controllers.inference_service.record import Record, Role
from redstart.controllers.inference_service.scrape import PodAddress
from redstart.controllers.inference_service.signature import Signature

LONGEST = 16 * 1024 * 1024
"""Bytes of a manifest: some 100,000 inputs."""
ASKED = 2
"""Pods of one revision that are asked in one look: they all have the same artifact."""


@dataclass(frozen=True)
class Unread:
    """`lasting`: the pods are of a release that shows no manifest."""

    why: str
    lasting: bool = False


Reading = Signature | Unread


async def of_rollout(
    http: aiohttp.ClientSession,
    record: Record | None,
    pods_of: Callable[[str], Sequence[PodAddress]],
    known: Mapping[str, Reading],
) -> dict[str, Reading]:
    """Manifests by revision of stable and of a canary that has had no weight; later they were compared.

    What is known is not read again."""
    state = record.rollout if record else None
    if record is None or state is None or record.canary is None or state.first_weight_at is not None:
        return {}
    roles = (record.stable, record.canary)
    found = {name: reading for name, reading in known.items() if isinstance(reading, Signature)}
    readings = await asyncio.gather(
        *(_known_or_read(http, role, pods_of(role.revision), found) for role in roles)
    )
    return {
        role.revision: reading for role, reading in zip(roles, readings, strict=True) if reading is not None
    }


async def _known_or_read(
    http: aiohttp.ClientSession, role: Role, pods: Sequence[PodAddress], known: Mapping[str, Signature]
) -> Reading | None:
    return known[role.revision] if role.revision in known else await read(http, role, pods)


async def read(http: aiohttp.ClientSession, role: Role, pods: Sequence[PodAddress]) -> Reading | None:
    """What the manifest of a revision says; None where no pod runs that could be asked."""
    found: Unread | None = None
    for pod in pods[:ASKED]:
        try:
            content = await scrape.manifest(http, pod, LONGEST)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            found = Unread(f"pod {pod.name}: {str(error) or type(error).__name__}")
            continue
        if content is None:
            found = Unread(f"pod {pod.name} is of an earlier release", lasting=True)
            continue
        # Of a wide model this takes longer than others should wait.
        made = await asyncio.to_thread(_signature, content, role.digest)
        if isinstance(made, Signature):
            return made
        found = Unread(f"pod {pod.name}: {made.why}")
    return found


def _signature(content: bytes, digest: str) -> Reading:
    if sha256(content) != digest:
        return Unread(f"its manifest is of {sha256(content)}, expected {digest}")
    try:
        return signature.of_manifest(decode(content))
    except ManifestError as error:
        return Unread(str(error))
