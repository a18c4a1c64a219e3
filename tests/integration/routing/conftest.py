"""A small world for each test: names, serving pods, one router."""

import contextlib
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.routing.backend import Behaviour, Pod
from tests.integration.routing.names import Names
from tests.integration.routing.router import Router, free_ports, running

from redstart.routing.plan import Arm, TrafficPlan

_addresses = (f"127.{a}.{b}.{c}" for a in range(1, 255) for b in range(1, 255) for c in range(1, 255))


class World:
    """Revisions `old` and `new`, each a headless Service with the pods that are in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names = Names()
        (self.port,) = free_ports(1)
        self.pods: list[Pod] = []
        self.old = Arm("old", "old.test.svc.cluster.local.")
        self.new = Arm("new", "new.test.svc.cluster.local.")
        self.routers = itertools.count()

    async def pod(self, arm: Arm, behaviour: Behaviour | None = None, address: str = "") -> Pod:
        """A started pod of this revision, in its Service."""
        pod = Pod(arm.revision, address or next(_addresses), behaviour)
        await pod.start(self.port)
        self.pods.append(pod)
        self.names.zone.setdefault(arm.host, []).append(pod.address)
        return pod

    def plan(self, number: int, **more: object) -> TrafficPlan:
        """A plan with old as stable."""
        defaults = {"stable": self.old, "port": self.port, "health_port": self.port}
        return TrafficPlan(number, "service", "test", **(defaults | more))  # type: ignore[arg-type]

    @contextlib.asynccontextmanager
    async def router(self, plan: TrafficPlan) -> AsyncIterator[Router]:
        """A router that has this plan in force and a healthy host for each arm."""
        name = f"router-{next(self.routers)}"
        async with running(Router(self.folder / name, self.dns_port), plan) as router:
            for arm in (plan.stable, plan.canary):
                if arm is not None and self.names.zone.get(arm.host):
                    await router.takes(arm.revision)
            yield router

    async def start(self) -> None:
        """Answer questions for names."""
        self.dns_port = await self.names.start()

    async def stop(self) -> None:
        """Stop all that was started here."""
        for pod in self.pods:
            await pod.stop()
        self.names.transport.close()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Nothing yet but names."""
    world = World(tmp_path)
    await world.start()
    try:
        yield world
    finally:
        await world.stop()
