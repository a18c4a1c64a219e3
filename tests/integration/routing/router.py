"""The real Envoy with the files that redstart.routing writes, mounted as the kubelet mounts a ConfigMap."""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from redstart.routing.counters import CLUSTERS_PATH, STATS_PATH, Reading, parse_reading
from redstart.routing.envoy import FOLDER, files
from redstart.routing.plan import TrafficPlan
from redstart.routing.pod import ARGS

ENVOY = Path(sys.executable).with_name("envoy")
PATIENCE_SECONDS = 20.0


def free_ports(count: int) -> list[int]:
    """TCP ports that nobody listens on, on any loopback address."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("0.0.0.0", 0))
        return [each.getsockname()[1] for each in sockets]


async def until(condition: Callable[[], Any], what: str, within: float = PATIENCE_SECONDS) -> None:
    """Wait until the condition, which may be a coroutine function, holds."""
    try:
        async with asyncio.timeout(within):
            while True:
                result = condition()
                if await result if asyncio.iscoroutine(result) else result:
                    return
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {within:g} s: {what}") from None


class Router:
    """One router pod: a process, its folder of files and its three ports."""

    def __init__(self, folder: Path, dns_port: int) -> None:
        self.folder = folder
        self.log = folder.with_suffix(".log")
        self.dns_port = dns_port
        self.listen_port, self.stats_port, self.admin_port = free_ports(3)
        self.url = f"http://127.0.0.1:{self.listen_port}"
        self.stats_url = f"http://127.0.0.1:{self.stats_port}"
        self.http = aiohttp.ClientSession()
        self.process: subprocess.Popen[bytes] | None = None
        self._mounts = 0

    def write(self, plan: TrafficPlan) -> None:
        """Change the folder in one step, as the kubelet does: a new folder, then one rename of a link."""
        plan = replace(plan, listen_port=self.listen_port, stats_port=self.stats_port)
        contents = files(plan, folder=str(self.folder), admin_port=self.admin_port)
        bootstrap = json.loads(contents["bootstrap.json"])
        bootstrap["typed_dns_resolver_config"] = {
            "name": "envoy.network.dns_resolver.cares",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
                "resolvers": [{"socket_address": {"address": "127.0.0.1", "port_value": self.dns_port}}],
            },
        }
        contents["bootstrap.json"] = json.dumps(bootstrap)
        self._mounts += 1
        data = self.folder / f"..{self._mounts}"
        data.mkdir(parents=True)
        for name, text in contents.items():
            (data / name).write_text(text)
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")
        (self.folder / "..data_tmp").symlink_to(data.name)
        os.replace(self.folder / "..data_tmp", self.folder / "..data")
        shutil.rmtree(self.folder / f"..{self._mounts - 1}", ignore_errors=True)

    async def start(self, plan: TrafficPlan) -> None:
        """Run until ready with this plan."""
        self.write(plan)
        self._launch()
        await until(self._is_ready, "the router is ready")
        await self.in_force(plan.number)

    async def apply(self, plan: TrafficPlan) -> None:
        """Write and wait until it is in force."""
        self.write(plan)
        await self.in_force(plan.number)

    async def in_force(self, number: int) -> None:
        """Wait until weights and clusters of this plan are in force."""

        async def reached() -> bool:
            reading = await self.read()
            return reading.plan == reading.clusters_plan == number

        await until(reached, f"plan {number} is in force")

    async def takes(self, revision: str) -> None:
        """Wait until the revision has a healthy host."""

        async def reached() -> bool:
            return (await self.read()).can_take(revision)

        await until(reached, f"revision {revision} has a healthy host")

    async def read(self) -> Reading:
        """One look, as the controller takes it."""
        return parse_reading(await self.get(CLUSTERS_PATH), await self.get(STATS_PATH))

    async def get(self, path: str) -> str:
        """GET on the stats port."""
        # Unless told otherwise, yarl decodes some of the percent signs.
        async with self.http.get(URL(self.stats_url + path, encoded=True)) as response:
            response.raise_for_status()
            return await response.text()

    async def status(self, method: str, path: str) -> int:
        """The stats port's answer to a request whose path is sent as it stands."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.stats_port)
        writer.write(f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n".encode())
        line = await reader.readline()
        writer.close()
        return int(line.split()[1])

    async def connections(self) -> int:
        """Clients' connections that are open."""
        return int((await self.get("/stats?filter=^http.clients.downstream_cx_active$")).split()[-1])

    async def restart(self) -> None:
        """Kill the process and start it with the same files."""
        await self.terminate(kill=True)
        self._launch()
        await until(self._is_ready, "the router is ready")

    async def terminate(self, *, kill: bool = False) -> None:
        """SIGTERM as at the end of preStop, or SIGKILL, and wait for the end."""
        assert self.process is not None
        (self.process.kill if kill else self.process.terminate)()
        await asyncio.to_thread(self.process.wait)

    async def stop(self) -> None:
        """End whatever is left."""
        await self.http.close()
        if self.process is not None:
            await self.terminate(kill=True)

    def _launch(self) -> None:
        args = [word.replace(FOLDER, str(self.folder)) for word in ARGS]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([ENVOY, *args], stdout=log, stderr=log, start_new_session=True)

    async def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        with contextlib.suppress(aiohttp.ClientError):
            async with self.http.get(self.stats_url + "/ready") as response:
                return response.status == 200
        return False


@contextlib.asynccontextmanager
async def running(router: Router, plan: TrafficPlan) -> AsyncIterator[Router]:
    """The router, started and at the end killed."""
    try:
        await router.start(plan)
        yield router
    finally:
        await router.stop()
