"""The real Envoy under steady load: what clients see, what the router counts, and what arrives at the pods."""

import asyncio
import math

import pytest
from tests.integration.routing.backend import Pod, answers, hangs
from tests.integration.routing.conftest import World
from tests.integration.routing.load import Seen, send
from tests.integration.routing.router import Router, until
from tests.integration.routing.service import Service

from redstart.routing.counters import Counts, Tally
from redstart.routing.pod import drain_seconds


async def look(
    router: Router, tally: Tally, second_opinion: str | None = "new"
) -> tuple[Tally, dict[str, Counts]]:
    return tally.after(await router.read(), second_opinion=second_opinion)


def retries(pod: Pod) -> int:
    return len(pod.received) - pod.first_attempts()


async def test_weights_are_exact_at_the_arms_and_change_without_losing_a_connection(world: World) -> None:
    old, new = await world.pod(world.old), await world.pod(world.new)
    async with world.router(world.plan(1, canary=world.new, weight=5)) as router:
        for number, weight in ((2, 20), (3, 50), (4, 0)):
            loaded = asyncio.create_task(send(router.url, 100))
            await router.apply(world.plan(number, canary=world.new, weight=weight))
            assert (await loaded).failed == 0
            before = len(new.received)
            seen = await send(router.url, 800, per_second=400)
            drawn = len(new.received) - before
            assert seen.answers[200, "new"] == drawn
            assert seen.answers[200, "old"] == 800 - drawn
            # Four standard deviations: a fair router fails this once in 10,000 runs.
            assert abs(drawn - 8 * weight) <= 4 * math.sqrt(8 * weight * (1 - weight / 100))
    assert retries(old) == retries(new) == 0


async def test_a_canary_that_fails_everything_beside_a_slow_stable_costs_no_client_a_request(
    world: World,
) -> None:
    old, new = await world.pod(world.old, answers(delay=0.05)), await world.pod(world.new, answers(500))
    async with world.router(world.plan(1, canary=world.new, weight=50)) as router:
        tally, _ = await look(router, Tally())
        seen = await send(router.url, 800)
        _, counts = await look(router, tally)
    assert seen.answers == {(200, "old"): 800}
    assert new.first_attempts() > 300
    assert counts["new"] == Counts(new.first_attempts(), new.first_attempts())
    assert counts["old"] == Counts(old.first_attempts(), 0)
    assert old.first_attempts() + new.first_attempts() == 800
    assert retries(old) == new.first_attempts()


async def test_a_canary_that_hangs_is_counted_and_leaves_stable_time_to_answer(world: World) -> None:
    old, new = await world.pod(world.old), await world.pod(world.new, hangs)
    async with world.router(world.plan(1, canary=world.new, weight=50, timeout_seconds=2.0)) as router:
        tally, _ = await look(router, Tally())
        seen = await send(router.url, 400)
        _, counts = await look(router, tally)
    assert seen.answers == {(200, "old"): 400}
    assert counts["new"] == Counts(new.first_attempts(), new.first_attempts())
    assert counts["old"] == Counts(old.first_attempts(), 0)
    assert old.first_attempts() + new.first_attempts() == 400


async def test_a_canary_that_refuses_connections_is_counted_until_it_is_known_to_be_unhealthy(
    world: World,
) -> None:
    old, new = await world.pod(world.old), await world.pod(world.new)
    async with world.router(world.plan(1, canary=world.new, weight=50)) as router:
        tally, _ = await look(router, Tally())
        await new.stop()
        seen = await send(router.url, 200, per_second=400)

        async def unhealthy() -> bool:
            return not (await router.read()).can_take("new")

        await until(unhealthy, "the canary has no healthy host")
        tally, counts = await look(router, tally)
        assert seen.answers == {(200, "old"): 200}
        assert 0 < counts["new"].requests == counts["new"].errors <= 200 - counts["old"].requests
        assert counts["old"].errors == 0
        before = len(old.received)
        assert (await send(router.url, 100)).answers == {(200, "old"): 100}
        _, counts = await look(router, tally)
    assert counts["new"] == Counts()
    assert len(old.received) - before == 100


async def test_a_refusal_by_the_canary_is_answered_by_stable_and_charged_to_the_canary(world: World) -> None:
    old, new = await world.pod(world.old), await world.pod(world.new, answers(422))
    async with world.router(world.plan(1, canary=world.new, weight=50)) as router:
        tally, _ = await look(router, Tally())
        seen = await send(router.url, 200)
        _, counts = await look(router, tally)
    assert seen.answers == {(200, "old"): 200}
    assert counts["new"] == Counts(new.first_attempts(), new.first_attempts())
    assert counts["old"] == Counts(old.first_attempts(), 0)


@pytest.mark.parametrize("status", [400, 422])
async def test_a_refusal_that_stable_shares_is_the_clients_fault(world: World, status: int) -> None:
    _, new = await world.pod(world.old, answers(status)), await world.pod(world.new, answers(status))
    async with world.router(world.plan(1, canary=world.new, weight=50)) as router:
        tally, _ = await look(router, Tally())
        charged = Counts()
        for _ in range(3):
            seen = await send(router.url, 100)
            assert seen.status(status) == 100
            tally, counts = await look(router, tally)
            charged += counts["new"]
    assert charged == Counts(new.first_attempts(), 0)


async def test_a_stable_that_fails_everything_is_seen_as_it_is_and_not_charged_to_the_canary(
    world: World,
) -> None:
    await world.pod(world.old, answers(500))
    new = await world.pod(world.new)
    async with world.router(world.plan(1, canary=world.new, weight=20)) as router:
        tally, _ = await look(router, Tally())
        seen = await send(router.url, 300)
        _, counts = await look(router, tally)
    assert seen.answers == {(500, "old"): 300 - len(new.received), (200, "new"): len(new.received)}
    assert retries(new) == 0
    assert counts["new"] == Counts(len(new.received), 0)
    assert counts["old"] == Counts(seen.status(500), seen.status(500))


async def test_a_stable_that_is_overloaded_is_not_asked_again(world: World) -> None:
    old = await world.pod(world.old, answers(503))
    async with world.router(world.plan(1)) as router:
        seen = await send(router.url, 50)
    assert seen.answers == {(503, "old"): 50}
    assert len(old.received) == 50


async def test_without_retries_on_stable_only_requests_that_reached_no_server_are_sent_again(
    world: World,
) -> None:
    old, new = await world.pod(world.old), await world.pod(world.new, answers(500))
    plan = world.plan(1, canary=world.new, weight=50, retry_on_stable=False)
    async with world.router(plan) as router:
        tally, _ = await look(router, Tally(), plan.second_opinion)
        seen = await send(router.url, 100)
        _, counts = await look(router, tally, plan.second_opinion)
        assert seen.answers == {(500, "new"): len(new.received), (200, "old"): len(old.received)}
        assert counts["new"] == Counts(len(new.received), len(new.received))
        assert retries(old) == retries(new) == 0
        await new.stop()
        assert (await send(router.url, 100)).answers == {(200, "old"): 100}


@pytest.mark.parametrize("status", [400, 422])
async def test_without_retries_on_stable_refusals_of_both_arms_are_counted(world: World, status: int) -> None:
    old, new = await world.pod(world.old, answers(status)), await world.pod(world.new, answers(status))
    plan = world.plan(1, canary=world.new, weight=50, retry_on_stable=False)
    async with world.router(plan) as router:
        tally, _ = await look(router, Tally(), plan.second_opinion)
        seen = await send(router.url, 100)
        _, counts = await look(router, tally, plan.second_opinion)
    assert seen.answers == {(status, "new"): len(new.received), (status, "old"): len(old.received)}
    assert counts["new"] == Counts(len(new.received), len(new.received), len(new.received))
    assert counts["old"] == Counts(len(old.received), len(old.received), len(old.received))


async def test_a_new_revision_comes_in_clusters_first_and_promotion_swaps_roles_under_load(
    world: World,
) -> None:
    old = await world.pod(world.old)
    async with world.router(world.plan(1)) as router:
        loaded = asyncio.create_task(send(router.url, 1000))
        await world.pod(world.new)
        await router.apply(world.plan(2, canary=world.new))
        await router.takes("new")
        await router.apply(world.plan(3, canary=world.new, weight=50))
        await until(lambda: len(world.pods[1].received) > 50, "the canary takes its share")
        await router.apply(world.plan(4, stable=world.new, canary=world.old, weight=0))
        at_promotion = len(old.received)
        await router.apply(world.plan(5, stable=world.new))
        world.names.zone[world.old.host].clear()
        await old.stop()
        seen = await loaded
        reading = await router.read()
    assert seen.failed == 0
    assert len(seen.answers) == 2
    assert len(old.received) - at_promotion <= 5, (
        "requests that were on their way when the plan came into force"
    )
    assert set(reading.arms) == {"new"}


async def test_a_canary_without_pods_holds_nothing_up_and_takes_its_share_once_it_has_one(
    world: World,
) -> None:
    await world.pod(world.old)
    async with world.router(world.plan(1)) as router:
        await router.apply(world.plan(2, canary=world.new, weight=50))
        assert not (await router.read()).can_take("new")
        assert (await send(router.url, 100)).answers == {(200, "old"): 100}
        new = await world.pod(world.new)
        await router.takes("new")
        seen = await send(router.url, 100)
        assert seen.answers[200, "new"] == len(new.received) > 0
        assert seen.failed == 0


@pytest.mark.parametrize(
    "rollout", [pytest.param(False, id="alone"), pytest.param(True, id="beside a canary")]
)
async def test_of_two_stable_pods_one_is_killed_again_and_again_and_no_request_fails(
    world: World, rollout: bool
) -> None:
    await world.pod(world.old)
    dying = await world.pod(world.old)
    await world.pod(world.new)
    more = {"canary": world.new, "weight": 20} if rollout else {}
    async with world.router(world.plan(1, **more)) as router:
        tally, _ = await look(router, Tally())
        for _ in range(5):
            before = len(dying.received)
            loaded = asyncio.create_task(send(router.url, 500, per_second=250))
            await until(lambda before=before: len(dying.received) > before + 20, "both pods take requests")
            await dying.stop()
            seen = await loaded
            assert seen.failed == 0, (seen.answers, seen.broken)
            await dying.start(world.port)
        _, counts = await look(router, tally)
    first = [pod.first_attempts() for pod in world.pods]
    # A connection that was refused is an attempt, too, which no pod has seen.
    assert sum(first) <= sum(count.requests for count in counts.values()) <= 2500


async def test_the_canary_helps_out_when_stable_has_no_healthy_host_left(world: World) -> None:
    old = await world.pod(world.old)
    await world.pod(world.new)
    plan = world.plan(1, canary=world.new)
    world.names.zone[plan.beside] = world.names.zone[world.new.host]
    async with world.router(plan) as router:
        await old.stop()

        async def unhealthy() -> bool:
            return (await router.read()).arms["old"].healthy == 0

        await until(unhealthy, "stable has no healthy host")
        assert (await send(router.url, 100)).answers == {(200, "new"): 100}


async def test_a_pod_that_leaves_and_is_the_last_is_reached_by_its_services_address(world: World) -> None:
    old = await world.pod(world.old)
    world.names.zone[world.old.last_resort] = [old.address]
    async with world.router(world.plan(1)) as router:
        world.names.zone[world.old.host] = []

        async def unnamed() -> bool:
            return (await router.read()).arms["old"].healthy == 0

        await until(unnamed, "the pod's name is gone")
        assert (await send(router.url, 100)).answers == {(200, "old"): 100}


async def test_pods_are_told_the_attempt_and_clients_cannot_forge_it_or_steer_the_router(
    world: World,
) -> None:
    old, new = await world.pod(world.old), await world.pod(world.new, answers(500))
    forged = {
        "x-redstart-route": "mirror",
        "x-redstart-other": "1",
        "x-envoy-attempt-count": "7",
        "x-envoy-max-retries": "0",
        "x-envoy-retry-on": "gateway-error",
        "x-envoy-upstream-rq-timeout-ms": "1",
        "x-envoy-upstream-rq-per-try-timeout-ms": "1",
        "x-envoy-upstream-alt-stat-name": "forged",
        "x-user-id": "42",
    }
    async with (
        world.router(world.plan(1, canary=world.new, weight=100)) as router,
        router.http.post(router.url + "/predict", headers=forged) as response,
    ):
        assert response.status == 200
        assert not [name for name in response.headers if name.lower().startswith("x-envoy")]
    ours = [
        {
            name: value
            for name, value in pod.received[0].items()
            if name.startswith(("x-envoy", "x-redstart", "x-user"))
        }
        for pod in (new, old)
    ]
    # Each try has half of the ten seconds.
    assert [told.pop("x-envoy-expected-rq-timeout-ms") for told in ours] == ["5000", "5000"]
    assert ours == [
        {"x-redstart-route": "weighted", "x-envoy-attempt-count": attempt, "x-user-id": "42"}
        for attempt in ("1", "2")
    ]


async def test_bodies_up_to_the_limit_are_tried_again_and_longer_ones_are_refused(world: World) -> None:
    old, new = await world.pod(world.old), await world.pod(world.new, answers(500))
    async with world.router(world.plan(1, canary=world.new, weight=100)) as router:
        short = await send(router.url, 2, body=bytes(4_000_000))
        assert short.answers == {(200, "old"): 2}
        received = len(old.received) + len(new.received)
        long = await send(router.url, 2, body=bytes(6_000_000))
        assert long.answers == {(413, ""): 2}
        assert len(old.received) + len(new.received) == received


async def test_a_request_reaches_a_pod_when_all_of_it_has_come(world: World) -> None:
    """A pod that reads bodies in its one thread would wait for the slow client, and everybody with it."""
    pod = await world.pod(world.old)
    async with world.router(world.plan(1)) as router:
        address = router.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(address[0], int(address[1]))
        writer.write(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nab")
        await writer.drain()
        assert (await send(router.url, 5)).answers == {(200, "old"): 5}
        assert len(pod.received) == 5
        writer.write(b"cd")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 OK")
        assert len(pod.received) == 6
        writer.close()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/ready", 200),
        ("GET", "/stats?filter=server.uptime", 200),
        ("GET", "/clusters?format=json", 200),
        ("POST", "/stats", 405),
        ("PUT", "/clusters", 405),
        ("POST", "/quitquitquit", 404),
        ("GET", "/quitquitquit", 404),
        ("POST", "/healthcheck/fail", 404),
        ("POST", "/reset_counters", 404),
        ("GET", "/config_dump", 404),
        ("POST", "/stats/../quitquitquit", 404),
        ("POST", "/stats%2f..%2fquitquitquit", 404),
        ("GET", "/", 404),
    ],
)
async def test_the_statistics_port_answers_three_questions_and_takes_no_orders(
    world: World, method: str, path: str, status: int
) -> None:
    await world.pod(world.old)
    async with world.router(world.plan(1)) as router:
        assert await router.status(method, path) == status
        assert (await send(router.url, 1)).answers == {(200, "old"): 1}


async def test_a_router_that_starts_anew_takes_nothing_back_of_what_was_counted(world: World) -> None:
    await world.pod(world.old)
    async with world.router(world.plan(1)) as router:
        tally, _ = await look(router, Tally())
        await send(router.url, 40)
        tally, counts = await look(router, tally)
        assert counts["old"] == Counts(40, 0)
        await router.restart()
        await router.takes("old")
        await send(router.url, 30)
        _, counts = await look(router, tally)
        assert counts["old"] == Counts(30, 0)


async def test_a_router_pod_that_leaves_its_service_fails_no_request(world: World) -> None:
    await world.pod(world.old, answers(delay=0.02))
    plan = world.plan(1, timeout_seconds=1.0)
    async with (
        world.router(plan) as leaving,
        world.router(plan) as staying,
        Service(leaving, staying) as service,
    ):
        seen = Seen()
        loaded = asyncio.create_task(send(service.url, 2000, seen=seen))
        await until(lambda: seen.status(200) > 200, "both routers take requests")
        assert await leaving.connections() > 0
        service.routers.remove(leaving)

        async def empty() -> bool:
            return await leaving.connections() == 0

        await until(empty, "no connection is left", within=drain_seconds(plan.timeout_seconds))
        await leaving.terminate()
        await loaded
    assert seen.answers == {(200, "old"): 2000}
    assert seen.broken == []
