"""The operator's process with one small controller: each ModelVersion gets a ConfigMap and a status.

    python -m tests.integration.kube.echo SETTINGS

A version whose name begins with "slow" waits, in the middle of its reconcile, for the file that ECHO_GATE names.
"""

import asyncio
import os
import sys
from pathlib import Path

from redstart.kube.controller import Context, Controller
from redstart.kube.kinds import CONFIG_MAP, MODEL_VERSION, Key
from redstart.kube.operator import main


async def reconcile(key: Key, context: Context) -> float | None:
    version = context.cluster.get(*key)
    if version is None:
        return None
    child = {
        "apiVersion": CONFIG_MAP.api_version,
        "kind": CONFIG_MAP.kind,
        "metadata": {"name": f"{key.name}-echo"},
        "data": {"number": str(version["spec"]["number"]), "runtime": context.settings.images.runtime},
    }
    await context.cluster.apply(child, owner=version)
    if key.name.startswith("slow"):
        await opened(Path(os.environ["ECHO_GATE"]))
    children = context.cluster.children(CONFIG_MAP, version)
    message = f"{len(children)} children"
    status = {"observedGeneration": version["metadata"]["generation"], "phase": "Ready"}
    await context.cluster.patch_status(version, status)
    await context.cluster.event(version, "Normal", "Echoed", message)
    return None


async def opened(gate: Path) -> None:
    while not await asyncio.to_thread(gate.exists):  # noqa: ASYNC110 (another process makes it)
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main([Controller(MODEL_VERSION, reconcile)], sys.argv[1:]))
