"""Clients, pods and statistics of both IP families."""

import pytest
from tests.integration.routing.conftest import World
from tests.integration.routing.load import send


@pytest.mark.parametrize("pods", [["127.9.9.9"], ["::1"], ["127.9.9.9", "::1"]], ids=["IPv4", "IPv6", "dual"])
async def test_a_router_answers_both_families_whatever_its_pods_have(world: World, pods: list[str]) -> None:
    started = [await world.pod(world.old, address=address) for address in pods]
    async with world.router(world.plan(1)) as router:
        for host in ("127.0.0.1", "[::1]"):
            seen = await send(f"http://{host}:{router.listen_port}", 20)
            assert seen.answers == {(200, "old"): 20}
            router.stats_url = f"http://{host}:{router.stats_port}"
            reading = await router.read()
            # One address of each pod, or a pod would count twice.
            assert reading.arms["old"].healthy == 1
    assert len(started[0].received) == 40
