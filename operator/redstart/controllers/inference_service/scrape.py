"""What routers and serving pods say of themselves, read straight from the pods."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from yarl import URL

from redstart.controllers.inference_service.serving import SNAPSHOT_PORT
from redstart.routing.counters import CLUSTERS_PATH, STATS_PATH, Reading, parse_reading

STATS_PORT = 9902

# A pod on the same network answers in milliseconds; one that does not is counted as not readable, and the next
# look comes soon.
TIMEOUT = aiohttp.ClientTimeout(total=0.8)


@dataclass(frozen=True)
class PodAddress:
    """A running pod with an address."""

    name: str
    uid: str
    ip: str


@dataclass(frozen=True)
class RouterReport:
    """One look at one router; None where it could not be read."""

    pod: PodAddress
    reading: Reading | None


@dataclass(frozen=True)
class Snapshot:
    """What one serving pod reports; see docs/internals.md."""

    loaded_digest: str | None
    reference_rows: int
    reference_mismatched: int
    first_mismatch: str
    last_error: Mapping[str, Any] = field(default_factory=dict)
    """Status, field and error of the last first attempt that was not answered; empty when all were."""


async def routers(http: aiohttp.ClientSession, pods: Iterable[PodAddress]) -> list[RouterReport]:
    """Reads every router once, at the same time."""
    return list(await asyncio.gather(*(_router(http, pod) for pod in pods)))


async def _router(http: aiohttp.ClientSession, pod: PodAddress) -> RouterReport:
    base = f"http://{_host(pod.ip)}:{STATS_PORT}"
    try:
        # The plan first: counters that are read later cannot be older than it.
        stats = await _text(http, base + STATS_PATH)
        return RouterReport(pod, parse_reading(await _text(http, base + CLUSTERS_PATH), stats))
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return RouterReport(pod, None)


async def snapshots(http: aiohttp.ClientSession, pods: Iterable[PodAddress]) -> dict[str, Snapshot]:
    """Snapshots by pod name, of those pods that could be read."""
    named = list(pods)
    found = await asyncio.gather(*(_snapshot(http, pod) for pod in named))
    return {pod.name: snapshot for pod, snapshot in zip(named, found, strict=True) if snapshot is not None}


async def _snapshot(http: aiohttp.ClientSession, pod: PodAddress) -> Snapshot | None:
    try:
        return _parsed(json.loads(await _text(http, f"http://{_host(pod.ip)}:{SNAPSHOT_PORT}/snapshot")))
    except (aiohttp.ClientError, TimeoutError, ValueError, TypeError, AttributeError):
        return None


def _parsed(document: Mapping[str, Any]) -> Snapshot:
    reference = document.get("reference") or {}
    first = reference.get("first")
    return Snapshot(
        loaded_digest=document.get("loadedDigest"),
        reference_rows=int(reference.get("rows", 0)),
        reference_mismatched=int(reference.get("mismatched", 0)),
        last_error=document.get("lastError") or {},
        first_mismatch="" if first is None else first if isinstance(first, str) else json.dumps(first),
    )


async def manifest(http: aiohttp.ClientSession, pod: PodAddress, longest: int) -> bytes | None:
    """The manifest of the artifact that a serving pod has; None where its sidecar is of a release without.

    Raises:
        aiohttp.ClientError, TimeoutError: it cannot be read now. ValueError: it has more than `longest` bytes.
    """
    url = f"http://{_host(pod.ip)}:{SNAPSHOT_PORT}/manifest"
    content = bytearray()
    async with http.get(URL(url, encoded=True), timeout=TIMEOUT) as response:
        if response.status == 404:
            return None
        response.raise_for_status()
        async for chunk in response.content.iter_any():
            content += chunk
            if len(content) > longest:
                raise ValueError(f"its manifest has more than {longest} bytes")
    return bytes(content)


async def _text(http: aiohttp.ClientSession, url: str) -> str:
    async with http.get(URL(url, encoded=True), timeout=TIMEOUT) as response:
        response.raise_for_status()
        return await response.text()


def _host(ip: str) -> str:
    return f"[{ip}]" if ":" in ip else ip
