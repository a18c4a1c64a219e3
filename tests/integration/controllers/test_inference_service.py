"""InferenceServices through whole rollouts, against a real API server: what is written, repaired and left alone."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from redstart.artifacts.manifest import CONTRACT, File, Input, Label, Manifest, Output, Tensor
from redstart.controllers.inference_service import desired
from redstart.kube.client import connect
from redstart.kube.credentials import Credentials
from redstart.kube.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    INFERENCE_SERVICE,
    MODEL_VERSION,
    NETWORK_POLICY,
    POD,
    SERVICE,
    Kind,
    Object,
    kind_of,
)
from tests.integration.api import Api, RefusedError
from tests.integration.controllers.serving_world import NAME, ROUTER, TRAFFIC, ServingWorld, service
from tests.integration.controllers.world import SETTINGS

NEWER = SETTINGS.model_copy(
    update={"images": SETTINGS.images.model_copy(update={"runtime": "runtime:2", "router": "router:2"})}
)


@pytest.fixture
async def world(api: Api, account: Credentials, namespace: str) -> AsyncIterator[ServingWorld]:
    async with connect(account, connections=20) as session:
        made = ServingWorld(api, session, account.server, namespace)
        yield made
        made.nodes.close()


def weights(world: ServingWorld) -> list[int]:
    """The canary's weights in the order in which they were set."""
    found = [plan.get("rollout", {}).get("weight", 0) for plan in world.plans()]
    return [weight for before, weight in zip([None, *found], found, strict=False) if weight != before]


async def test_a_first_version_is_deployed_and_the_next_one_promoted_step_by_step(
    world: ServingWorld,
) -> None:
    world.claim("models")
    world.create(service())
    await world.rest()
    assert world.status["phase"] == "Pending"
    assert world.condition(INFERENCE_SERVICE, NAME, "Reconciling")[1] == "WaitingForVersion"
    assert world.children() == {}

    world.version(1)
    await world.rest()
    assert world.status["phase"] == "Serving"
    assert world.condition(INFERENCE_SERVICE, NAME)[:2] == ("True", "Serving")
    (first,) = world.revisions
    assert world.status["stable"] == {
        "version": "iris-v1",
        "revision": first,
        "readyReplicas": 1,
        "desiredReplicas": 1,
        "loadedDigest": f"sha256:{'1' * 64}",
    }
    (router,) = world.nodes.routers
    assert router.weights() == {first: 100}

    world.version(2)
    await world.until(lambda: world.status.get("canary"))
    canary = world.status["canary"]
    assert (canary["version"], canary["weight"]) == ("iris-v2", 0)
    await world.until(lambda: world.status["canary"]["weight"] == 20)
    assert router.weights() == {canary["revision"]: 20, first: 80}
    assert world.status["phase"] == "Canary"
    await world.until(lambda: world.status["canary"]["weight"] == 50)
    await world.rest()

    assert world.status["phase"] == "Serving"
    assert world.status["stable"]["version"] == "iris-v2"
    (entry,) = world.status["rollouts"]
    assert (entry["from"], entry["to"], entry["result"], entry["reason"]) == (
        "iris-v1",
        "iris-v2",
        "Promoted",
        "Passed",
    )
    assert weights(world) == [0, 20, 50, 0]
    assert world.revisions == [canary["revision"]]
    assert router.weights() == {canary["revision"]: 100}
    assert world.nodes.hosts(first) == []
    assert {"iris: Serving", "iris: RolloutStarted", "iris: StepStarted", "iris: Promoted"} <= set(
        world.events()
    )


async def test_a_service_is_ready_while_its_router_finds_a_pod(world: ServingWorld) -> None:
    world.claim("models")
    world.version(1)
    world.nodes.resolves = 0
    world.create(service())
    await world.rest()
    assert world.condition(INFERENCE_SERVICE, NAME) == (
        "False",
        "RouterNotReady",
        "the router looks for the pods of iris-v1",
    )
    assert world.condition(INFERENCE_SERVICE, NAME, "Reconciling")[1] == "WaitingForRouter"

    world.nodes.resolves = 1000
    await world.rest()
    assert world.condition(INFERENCE_SERVICE, NAME)[:2] == ("True", "Serving")

    world.nodes.resolves = 0
    await world.rest()
    assert world.condition(INFERENCE_SERVICE, NAME)[:2] == ("False", "RouterNotReady")
    assert world.status["phase"] == "Degraded"


async def roll_out(world: ServingWorld, *, fails: float) -> int:
    """From nothing through a first version to the end of the second's rollout; returns the writes of the first."""
    await world.serve(manifest=manifest("petal", "wear"))
    first = world.writes
    world.version(2, manifest("petal"), **described("petal"))

    def canary() -> bool:
        state = world.record.get("rollout")
        if state is not None:
            world.nodes.failing = {state["other"]["revision"]: fails} if "decision" not in state else {}
        return state is not None

    await world.until(canary)
    await world.rest()
    return first


async def test_a_failing_version_is_rolled_back_and_not_tried_again(world: ServingWorld) -> None:
    await roll_out(world, fails=0.5)
    (entry,) = world.status["rollouts"]
    assert (entry["result"], entry["reason"]) == ("RolledBack", "ErrorRate")
    (evidence,) = entry["evidence"]
    assert evidence["evidence"] >= evidence["needed"]
    (barred,) = world.status["quarantine"]
    assert barred["revision"] == entry["revision"]
    assert world.status["phase"] == "RolledBack"
    assert weights(world) == [0, 20, 0]
    stable = world.status["stable"]["revision"]
    assert world.revisions == [stable]
    (router,) = world.nodes.routers
    assert router.weights() == {stable: 100}
    before = world.client.taken
    world.restart()
    world.settings = NEWER
    for _ in range(3):
        await world.look()
    assert world.client.taken == before


VARIES = {
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "managedFields",
    "namespace",
    "clusterIP",
    "clusterIPs",
    "lastTransitionTime",
    "startedAt",
    "decidedAt",
    "since",
    "at",
    "firstWeightAt",
    "evidence",
    "message",
    "redstart.dev/applied",
}
"""What differs between two runs of the same rollout: names of the API server's, times, and the evidence's numbers."""


def plain(world: ServingWorld, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(world, item) for key, item in value.items() if key not in VARIES}
    if isinstance(value, list):
        return [plain(world, item) for item in value]
    if isinstance(value, str) and value.startswith("{"):
        return plain(world, json.loads(value))
    return value.replace(world.namespace, "NAMESPACE") if isinstance(value, str) else value


def end_of(world: ServingWorld) -> Any:
    """Everything that a rollout leaves behind. Of events only the decision has to outlive the operator."""
    said = [event for event in world.events() if event.endswith(("Promoted", "RolledBack"))]
    return plain(world, world.children() | {"status": world.status, "events": said})


def decided_once(world: ServingWorld) -> None:
    """Plan numbers only grow, and what was decided never has weight again."""
    number, decided = 0, {}
    for plan in world.plans():
        assert plan["number"] >= number
        number = plan["number"]
        state = plan.get("rollout")
        if state is None:
            continue
        if state["id"] in decided:
            assert state.get("decision") == decided[state["id"]]
        if "decision" in state:
            decided[state["id"]] = state["decision"]
            assert state["weight"] == 0
    assert len(decided) == 1


@pytest.mark.parametrize(
    ("fails", "result", "from_the_start"),
    [
        pytest.param(0.0, "Promoted", True, id="of a first version and a promotion"),
        pytest.param(0.5, "RolledBack", False, id="of a rollback"),
    ],
)
async def test_killed_before_any_write_the_next_operator_comes_to_the_same_end(
    world: ServingWorld, api: Api, account: Credentials, fails: float, result: str, from_the_start: bool
) -> None:
    first = await roll_out(world, fails=fails)
    wanted, total = end_of(world), world.writes
    assert total - first > 15
    for number in range(1 if from_the_start else first + 1, total + 1):
        again = ServingWorld(api, world.client.session, account.server, api.new_namespace())
        again.kill_before = number
        try:
            await roll_out(again, fails=fails)
            where = f"killed before write {number} of {total}"
            assert again.kills == 1, where
            assert end_of(again) == wanted, where
            assert [entry["result"] for entry in again.status["rollouts"]] == [result], where
            assert len(again.status["quarantine"]) == (result == "RolledBack"), where
            decided_once(again)
        finally:
            again.nodes.close()


@pytest.mark.parametrize(
    ("kind", "child", "patch"),
    [
        pytest.param(
            DEPLOYMENT,
            "{revision}",
            {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 100}}}},
            id="a revision's template",
        ),
        pytest.param(DEPLOYMENT, "{revision}", {"spec": {"replicas": 5}}, id="a revision's replicas"),
        pytest.param(DEPLOYMENT, ROUTER, {"spec": {"replicas": 0}}, id="the router's replicas"),
        pytest.param(SERVICE, NAME, {"spec": {"selector": {"app": "other"}}}, id="the clients' Service"),
        pytest.param(SERVICE, "{revision}", {"metadata": {"labels": None}}, id="a headless Service's labels"),
        pytest.param(CONFIG_MAP, ROUTER, {"data": {"rds.json": "{}"}}, id="the router's routes"),
    ],
)
async def test_an_edited_child_is_put_right(
    world: ServingWorld, kind: Kind, child: str, patch: Object
) -> None:
    await world.serve()
    name = child.format(revision=f"{NAME}-{world.revisions[0]}")
    before = plain(world, world.get(kind, name))
    world.edit(kind, name, patch)
    assert plain(world, world.get(kind, name)) != before
    await world.rest()
    after = world.get(kind, name)
    for found in (before, after):
        found["metadata"].pop("generation", None)
    assert plain(world, after) == before


async def test_a_deleted_child_comes_back(world: ServingWorld) -> None:
    await world.serve()
    before = world.children()
    assert len(before) == 10
    for key, obj in before.items():
        world.api.delete(kind_of(obj), world.namespace, obj["metadata"]["name"])
        await world.rest()
        assert world.children().keys() == before.keys(), key
        assert world.status["phase"] == "Serving", key
    for key, obj in world.children().items():
        assert obj.get("spec", {}).get("template") == before[key].get("spec", {}).get("template"), key


async def fail(world: ServingWorld) -> None:
    """The first version serves; another template of it was rolled back, and the spec still asks for that."""
    await world.serve(version="iris-v1")
    (stable,) = world.revisions
    world.edit(
        INFERENCE_SERVICE, NAME, {"spec": {"predictor": {"template": {"env": [{"name": "A", "value": "1"}]}}}}
    )
    await world.until(lambda: world.rolling_out)
    world.nodes.failing = {world.record["rollout"]["other"]["revision"]: 0.5}
    await world.rest()
    assert world.status["phase"] == "RolledBack"
    assert world.condition(INFERENCE_SERVICE, NAME, "Stalled")[1] == "CanaryRolledBack"
    assert world.revisions == [stable]


async def test_a_deleted_deployment_comes_back_with_the_template_that_served(world: ServingWorld) -> None:
    await fail(world)
    before = templates(world)
    world.api.delete(DEPLOYMENT, world.namespace, f"{NAME}-{world.revisions[0]}")
    await world.rest()
    assert templates(world) == before


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(None, id="that is deleted"),
        pytest.param({"annotations": None}, id="that lost its annotations"),
        pytest.param({"annotations": {TRAFFIC: '{"number": 1}'}}, id="that somebody wrote into"),
        pytest.param({"labels": None}, id="that lost its labels"),
    ],
)
async def test_a_traffic_record_after_a_rollback(world: ServingWorld, harm: Object | None) -> None:
    await fail(world)
    before = world.record
    if harm is None:
        world.api.delete(CONFIG_MAP, world.namespace, ROUTER)
    else:
        world.edit(CONFIG_MAP, ROUTER, {"metadata": harm})
    world.restart()
    await world.rest()
    assert world.record["number"] >= before["number"]
    assert (world.record["stable"], world.record["established"]) == (before["stable"], True)
    (router,) = world.nodes.routers
    assert router.weights() == {before["stable"]["revision"]: 100}
    assert world.status["phase"] == "RolledBack"
    assert len(world.status["rollouts"]) == 1


async def test_a_traffic_record_that_is_deleted_in_mid_canary_begins_the_rollout_anew(
    world: ServingWorld,
) -> None:
    await world.serve()
    (stable,) = world.revisions
    world.version(2)
    await world.until(lambda: world.rolling_out and world.record["rollout"]["weight"] == 50)
    first = world.record
    world.api.delete(CONFIG_MAP, world.namespace, ROUTER)
    await world.look()
    second = world.record
    assert second["number"] > first["number"]
    assert second["stable"]["revision"] == stable
    assert second["rollout"]["id"] != first["rollout"]["id"]
    assert second["rollout"]["weight"] == 0
    await world.rest()
    (entry,) = world.status["rollouts"]
    assert (entry["id"], entry["result"]) == (second["rollout"]["id"], "Promoted")


async def test_fields_of_other_managers_are_left_alone(world: ServingWorld) -> None:
    await world.serve()
    (revision,) = world.revisions
    name = f"{NAME}-{revision}"
    theirs: Object = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"namespace": world.namespace, "name": name, "labels": {"team": "vision"}},
        "spec": {"template": {"metadata": {"annotations": {"mesh": "on"}}}},
    }
    world.api.apply(theirs, "somebody")
    world.edit(SERVICE, NAME, {"metadata": {"annotations": {"mesh": "on"}}})
    before = world.client.taken
    await world.rest()
    assert world.client.taken == before
    world.edit(INFERENCE_SERVICE, NAME, {"spec": {"predictor": {"replicas": 2}}})
    await world.rest()
    deployment = world.get(DEPLOYMENT, name)
    assert deployment["spec"]["replicas"] == 2
    assert deployment["metadata"]["labels"]["team"] == "vision"
    assert deployment["spec"]["template"]["metadata"]["annotations"]["mesh"] == "on"
    assert world.get(SERVICE, NAME)["metadata"]["annotations"]["mesh"] == "on"


@pytest.mark.parametrize(
    "taken",
    [
        pytest.param(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": NAME},
                "spec": {"ports": [{"port": 80, "protocol": "TCP"}]},
            },
            id="the clients' Service",
        ),
        pytest.param(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": ROUTER}, "data": {"mine": "yes"}},
            id="the router's ConfigMap",
        ),
        pytest.param(
            {
                "apiVersion": "policy/v1",
                "kind": "PodDisruptionBudget",
                "metadata": {"name": ROUTER},
                "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "mine"}}},
            },
            id="the router's PodDisruptionBudget",
        ),
    ],
)
async def test_a_name_that_is_taken_stalls_the_service_and_nothing_is_written(
    world: ServingWorld, taken: Object
) -> None:
    theirs = world.create(taken)
    world.claim("models")
    world.version(1)
    world.create(service())
    for _ in range(3):
        await world.look()
    stalled = world.condition(INFERENCE_SERVICE, NAME, "Stalled")
    assert stalled[:2] == ("True", "NameConflict")
    assert stalled[2].startswith(
        f"{taken['kind']} {world.namespace}/{taken['metadata']['name']} exists already"
    )
    assert world.get(kind_of(taken), taken["metadata"]["name"]) == theirs
    assert list(world.children()) == [f"{taken['kind']} {taken['metadata']['name']}"]
    world.api.delete(kind_of(taken), world.namespace, taken["metadata"]["name"])
    await world.rest()
    assert world.status["phase"] == "Serving"
    assert world.condition(INFERENCE_SERVICE, NAME, "Stalled")[0] != "True"


def templates(world: ServingWorld) -> dict[str, Any]:
    return {key: obj["spec"]["template"] for key, obj in world.children().items() if "Deployment" in key}


async def test_a_new_operator_changes_no_pod_until_the_spec_changes(
    world: ServingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.serve()
    (revision,) = world.revisions
    before = world.children()

    # The same operator with another idea of what pods and the router's start-up file should be.
    def marked(make: Callable[..., Object], change: Callable[[Object], Any]) -> Callable[..., Object]:
        def made(*arguments: Any, **keywords: Any) -> Object:
            found = copy.deepcopy(make(*arguments, **keywords))
            change(found)
            return found

        return made

    def mark(template: Object) -> None:
        template["metadata"].setdefault("annotations", {})["operator"] = "new"

    def mark_bootstrap(config_map: Object) -> None:
        config_map["data"]["bootstrap.json"] += "\n"

    newer = (
        (desired.serving, "pod_template", mark),
        (desired.router, "deployment", lambda made: mark(made["spec"]["template"])),
        (desired.router, "config_map", mark_bootstrap),
    )
    for module, name, change in newer:
        monkeypatch.setattr(module, name, marked(getattr(module, name), change))
    world.settings = NEWER
    world.restart()
    await world.rest()
    assert templates(world) == {
        key: obj["spec"]["template"] for key, obj in before.items() if "Deployment" in key
    }
    bootstrap = before[f"ConfigMap {ROUTER}"]["data"]["bootstrap.json"]
    assert world.get(CONFIG_MAP, ROUTER)["data"]["bootstrap.json"] == bootstrap
    assert world.revisions == [revision]
    assert not world.rolling_out

    world.edit(
        INFERENCE_SERVICE, NAME, {"spec": {"predictor": {"template": {"env": [{"name": "A", "value": "1"}]}}}}
    )
    await world.rest()
    (promoted,) = world.revisions
    assert promoted != revision
    for template in templates(world).values():
        assert template["metadata"]["annotations"]["operator"] == "new"
        assert template["spec"]["containers"][0]["image"] in ("runtime:2", "router:2")
    assert world.get(CONFIG_MAP, ROUTER)["data"]["bootstrap.json"] == f"{bootstrap}\n"


async def test_a_changed_number_of_replicas_starts_no_rollout(world: ServingWorld) -> None:
    await world.serve()
    (revision,) = world.revisions
    world.edit(INFERENCE_SERVICE, NAME, {"spec": {"predictor": {"replicas": 3}}})
    await world.rest()
    assert len(world.nodes.hosts(revision)) == 3
    assert world.status["stable"]["readyReplicas"] == 3
    world.edit(INFERENCE_SERVICE, NAME, {"spec": {"predictor": {"replicas": 0}}})
    await world.rest()
    assert world.status["phase"] == "Stopped"
    assert world.nodes.hosts(revision) == []
    world.edit(INFERENCE_SERVICE, NAME, {"spec": {"predictor": {"replicas": 1}}})
    await world.rest()
    assert world.status["phase"] == "Serving"
    assert world.revisions == [revision]
    assert world.status["rollouts"] == []


async def test_every_child_goes_with_its_service(world: ServingWorld) -> None:
    await world.serve()
    uid = world.get(INFERENCE_SERVICE, NAME)["metadata"]["uid"]
    for key, obj in world.children().items():
        (owner,) = obj["metadata"]["ownerReferences"]
        assert (owner["uid"], owner["controller"], owner["blockOwnerDeletion"]) == (uid, True, True), key
    world.api.delete(INFERENCE_SERVICE, world.namespace, NAME)
    for obj in world.children().values():
        world.api.delete(kind_of(obj), world.namespace, obj["metadata"]["name"])
    before = world.writes
    for _ in range(3):
        await world.look()
    assert world.writes == before
    assert world.children() == {}


def manifest(*names: str, labels: tuple[Label, ...] = (0, 1), required: tuple[str, ...] = ()) -> Manifest:
    """Of a classifier over numbers."""
    return Manifest(
        contract=CONTRACT,
        model="iris",
        task="Classification",
        format="ONNX",
        files=[File("model.onnx", 1, f"sha256:{'0' * 64}")],
        inputs=[Input(name, "Number", nullable=name not in required) for name in names],
        tensors=[Tensor("numbers", "float", list(names))],
        outputs=[
            Output("prediction", "Category", "label", list(labels)),
            Output("probabilities", "Number", "p", size=len(labels)),
        ],
    )


def described(*inputs: str, required: tuple[str, ...] = ()) -> Object:
    """What a ModelVersion's spec tells of inputs."""
    return {"inputs": [{"name": name, "type": "Number", "nullable": name not in required} for name in inputs]}


def ignored(world: ServingWorld, revision: str) -> Any:
    """What the servers of a revision were told to ignore."""
    (server,) = world.get(DEPLOYMENT, f"{NAME}-{revision}")["spec"]["template"]["spec"]["containers"]
    env = {entry["name"]: entry["value"] for entry in server["env"]}
    return json.loads(env.get("REDSTART_IGNORED_INPUTS", "{}"))


WIDE = [f"x{number}" for number in range(600)]
SWAPPED = [*WIDE[:-2], WIDE[-1], WIDE[-2]]


@pytest.mark.parametrize(
    ("first", "second", "spec", "reason", "message"),
    [
        pytest.param(
            manifest("petal", "sepal"),
            manifest("sepal", "petal"),
            {},
            "IncompatibleInputs",
            "value 1 of lists (instances, features) was petal and is sepal",
            id="reads lists in another order",
        ),
        pytest.param(
            manifest("petal"),
            manifest("petal", "sepal", required=("sepal",)),
            {},
            "IncompatibleInputs",
            "sepal is new and required",
            id="requires an input that clients do not send",
        ),
        pytest.param(
            manifest("petal"),
            manifest("petal", labels=(0.0, 1.0)),
            {},
            "IncompatibleOutputs",
            "labels were whole numbers (0, 1) and are fractions (0.0, 1.0)",
            id="answers with labels of another type",
        ),
        pytest.param(
            manifest("petal"),
            manifest("petal", labels=(0, 1, 2)),
            {},
            "IncompatibleOutputs",
            "class 2 is new in the answers",
            id="answers with a class that clients do not know",
        ),
        pytest.param(
            manifest(*WIDE),
            manifest(*SWAPPED),
            described(*WIDE[:500]),
            "IncompatibleInputs",
            "value 599 of lists (instances, features) was x598 and is x599",
            id="differs where a ModelVersion's list has ended",
        ),
        pytest.param(
            None,
            None,
            described("petal", "sepal", required=("sepal",)),
            "IncompatibleInputs",
            "sepal is new and required",
            id="differs by what was written by hand, where no pod shows a manifest",
        ),
    ],
)
async def test_no_traffic_for_a_version_that(
    world: ServingWorld,
    first: Manifest | None,
    second: Manifest | None,
    spec: Object,
    reason: str,
    message: str,
) -> None:
    world.claim("models")
    world.version(
        1, first, **(described("petal") if first is None else described(*WIDE[:500]) if spec else {})
    )
    world.create(service())
    await world.rest()
    world.version(2, second, **spec)
    await world.until(lambda: world.status["rollouts"])
    await world.rest()
    (entry,) = world.status["rollouts"]
    assert (entry["result"], entry["reason"]) == ("RolledBack", reason)
    assert message in entry["message"]
    assert "or serve iris-v2 under another InferenceService" in entry["message"]
    assert weights(world) == [0]
    assert world.status["stable"]["version"] == "iris-v1"
    (barred,) = world.status["quarantine"]
    assert (barred["version"], barred["reason"]) == ("iris-v2", reason)
    assert world.status["phase"] == "RolledBack"


async def test_what_an_earlier_version_took_is_ignored_from_then_on(world: ServingWorld) -> None:
    await world.serve(manifest=manifest("petal", "sepal", "wear"))
    assert ignored(world, world.revisions[0]) == {}
    for number, names, left in (
        (2, ["petal", "sepal"], {"wear": "Number"}),
        (3, ["petal"], {"wear": "Number", "sepal": "Number"}),
        (4, ["petal", "wear"], {"sepal": "Number"}),
    ):
        world.version(number, manifest(*names), **described(*names))
        await world.rest()
        assert world.status["stable"]["version"] == f"iris-v{number}", world.status["rollouts"][0]
        (revision,) = world.revisions
        assert ignored(world, revision) == left
    told = world.status["rollouts"]
    assert told[0]["message"].endswith(
        "iris-v4 after iris-v3: sepal is ignored; lists (instances, features) of 1 values are refused, they have 2"
    )
    assert "iris-v2 after iris-v1: wear is ignored; lists" in told[2]["message"]
    assert "iris: InputsChanged" in world.events()

    # Back by hand: what the newer versions took and this one does not is ignored too.
    first = world.revisions
    world.version(5, manifest("petal", "wear", "tide"), **described("petal", "wear", "tide"))
    await world.rest()
    world.edit(INFERENCE_SERVICE, NAME, {"spec": {"model": {"version": "iris-v4", "follow": None}}})
    await world.rest()
    assert world.status["stable"]["version"] == "iris-v4"
    assert ignored(world, first[0]) == {"sepal": "Number", "tide": "Number"}


async def test_a_service_that_was_stopped_goes_on_ignoring(world: ServingWorld) -> None:
    wide, narrow = ("petal", "wear"), ("petal",)
    world.claim("models")
    world.version(1, manifest(*wide), **described(*wide))
    world.create(service())
    await world.rest()
    world.edit(INFERENCE_SERVICE, NAME, {"spec": {"predictor": {"replicas": 0}}})
    await world.rest()
    world.version(2, manifest(*narrow), **described(*narrow))
    await world.rest()
    world.edit(INFERENCE_SERVICE, NAME, {"spec": {"predictor": {"replicas": 1}}})
    await world.rest()
    assert (world.status["stable"]["version"], world.status["rollouts"]) == ("iris-v2", [])
    assert ignored(world, world.revisions[0]) == {"wear": "Number"}


@pytest.mark.parametrize("number", [1, 2])
async def test_no_weight_before_both_versions_could_be_compared(world: ServingWorld, number: int) -> None:
    await world.serve(manifest=manifest("petal"))
    (stable,) = world.revisions
    world.nodes.damaged = {stable} if number == 1 else set()
    world.version(2, manifest("petal"))
    await world.until(lambda: world.rolling_out)
    canary = world.record["rollout"]["other"]["revision"]
    if number == 2:
        world.nodes.damaged = {canary}
    for _ in range(5):
        await world.look()
    assert world.record["rollout"]["weight"] == 0
    status, reason, message = world.condition(INFERENCE_SERVICE, NAME, "Progressing")
    assert (status, reason) == ("True", "CanaryNotReady" if number == 1 else "NotCompared")
    assert f"what iris-v{number} takes cannot be read: pod {NAME}-" in message
    assert "its manifest is of sha256:" in message

    world.nodes.damaged = set()
    world.restart()
    await world.rest()
    assert world.status["rollouts"][0]["result"] == "Promoted"


async def test_what_stable_takes_is_told_by_its_spec_while_none_of_its_pods_runs(world: ServingWorld) -> None:
    names = ("petal", "wear")
    world.claim("models")
    world.version(1, manifest(*names), **described(*names))
    world.create(service())
    await world.rest()
    (stable,) = world.revisions
    for name in [name for name, pod in world.nodes.running.items() if pod.revision == stable]:
        world.set_status(POD, name, {"phase": "Pending", "podIP": None, "podIPs": None})
        world.nodes.running[name].ready = False
    world.version(2, manifest("petal"), **described("petal"))
    await world.until(lambda: len(world.revisions) == 2)
    canary = world.record["rollout"]["other"]["revision"]
    assert ignored(world, canary) == {"wear": "Number"}


async def test_what_the_api_server_refuses_of_the_spec_is_told_and_mended(world: ServingWorld) -> None:
    world.claim("models")
    world.version(1)
    world.create(
        service(predictor={"resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}})
    )
    await world.look()
    stalled = world.condition(INFERENCE_SERVICE, NAME, "Stalled")
    assert stalled[:2] == ("True", "Refused")
    assert "must be less than or equal to memory limit" in stalled[2]
    world.edit(INFERENCE_SERVICE, NAME, {"spec": {"predictor": {"resources": {"limits": {"memory": "4Gi"}}}}})
    await world.rest()
    assert world.status["phase"] == "Serving"


async def test_a_service_that_is_refused_is_not_ready_when_its_pods_are_not(world: ServingWorld) -> None:
    await world.serve()
    resources = {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}
    world.edit(INFERENCE_SERVICE, NAME, {"spec": {"predictor": {"resources": resources}}})
    await world.look()
    assert world.condition(INFERENCE_SERVICE, NAME)[0] == "True"
    for pod in world.nodes.running.values():
        pod.ready = False
    world.nodes.report()
    await world.look()
    assert world.condition(INFERENCE_SERVICE, NAME)[:2] == ("False", "PodsNotReady")
    assert world.condition(INFERENCE_SERVICE, NAME, "Stalled")[1] == "Refused"
    assert world.status["phase"] == "Degraded"


async def test_a_child_that_cannot_be_put_right_keeps_no_failing_canary_in_traffic(
    world: ServingWorld,
) -> None:
    await world.serve()
    world.version(2)
    await world.until(lambda: world.record.get("rollout", {}).get("weight"))
    world.edit(NETWORK_POLICY, f"{NAME}-server", {"metadata": {"ownerReferences": None}})
    world.nodes.failing = {world.record["rollout"]["other"]["revision"]: 1.0}
    await world.until(lambda: world.status["rollouts"])
    assert world.status["rollouts"][0]["reason"] == "ErrorRate"
    world.nodes.play()
    assert world.nodes.routers[0].weights() == {world.status["stable"]["revision"]: 100}
    assert world.condition(INFERENCE_SERVICE, NAME, "Stalled")[1] == "NameConflict"


async def test_no_weight_rises_before_the_routers_know_the_pods_for_it(world: ServingWorld) -> None:
    world.claim("models")
    world.version(1)
    world.create(service(predictor={"replicas": 3}))
    await world.rest()
    world.version(2)
    await world.until(lambda: world.status.get("canary", {}).get("weight") == 20)
    world.nodes.resolves = 1
    for _ in range(10):
        await world.look()
    assert world.status["canary"]["weight"] == 20
    assert world.status["canary"]["readyReplicas"] == 3
    assert world.condition(INFERENCE_SERVICE, NAME, "Progressing")[1:] == (
        "CanaryNotReady",
        "1 of 3 canary pods are ready for 50%",
    )
    world.nodes.resolves = 1000
    await world.until(lambda: world.status["rollouts"])
    assert world.status["rollouts"][0]["result"] == "Promoted"


async def test_another_routing_is_in_force_at_once(world: ServingWorld) -> None:
    await world.serve()
    (routes,) = world.nodes.routers
    before = routes.plan
    world.edit(INFERENCE_SERVICE, NAME, {"spec": {"traffic": {"timeout": "3s"}}})
    await world.look()
    world.nodes.play()
    assert routes.plan != before
    assert '"timeout": "3s"' in routes.files["rds.json"]


async def test_a_new_operator_goes_on_with_the_rollout_of_the_old_one(world: ServingWorld) -> None:
    await world.serve()
    world.version(2)
    await world.until(lambda: world.status.get("canary", {}).get("weight") == 20)
    canary = world.status["canary"]["revision"]
    world.settings = NEWER
    world.restart()
    await world.until(lambda: world.status["rollouts"])
    (entry,) = world.status["rollouts"]
    assert (entry["result"], entry["revision"]) == ("Promoted", canary)


async def test_the_model_of_a_service_cannot_be_changed(world: ServingWorld) -> None:
    world.create(service())
    with pytest.raises(RefusedError, match="serve another model by another InferenceService"):
        world.edit(INFERENCE_SERVICE, NAME, {"spec": {"model": {"name": "other"}}})


async def test_steps_that_do_not_rise_are_refused(world: ServingWorld) -> None:
    with pytest.raises(RefusedError, match="steps"):
        world.create(service(rollout={"steps": [{"weight": 50}, {"weight": 20}]}))


async def test_a_new_secret_and_time_limit_reach_the_pods_of_a_revision_without_a_rollout(
    world: ServingWorld,
) -> None:
    digest = "1" * 64
    kept = {"uri": f"s3://models/{digest}", "digest": f"sha256:{digest}", "format": "ONNX"}
    world.version(1, artifact=kept | {"secretRef": {"name": "old"}})
    world.create(service())
    await world.rest()
    (revision,) = world.revisions

    def used() -> tuple[list[str], int]:
        deployment = world.get(DEPLOYMENT, f"{NAME}-{revision}")
        spec = deployment["spec"]["template"]["spec"]
        secrets = [volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume]
        return secrets, spec["terminationGracePeriodSeconds"]

    (_, grace) = used()
    artifact = {"artifact": {"secretRef": {"name": "new"}}}
    world.api.patch(MODEL_VERSION, world.namespace, "iris-v1", {"spec": artifact})
    await world.rest()
    assert used() == (["new"], grace)
    world.api.patch(INFERENCE_SERVICE, world.namespace, NAME, {"spec": {"traffic": {"timeout": "30s"}}})
    await world.rest()
    assert used() == (["new"], grace + 28)
    assert world.revisions == [revision]
    assert not world.rolling_out
    assert world.status["rollouts"] == []
    world.api.delete(DEPLOYMENT, world.namespace, f"{NAME}-{revision}")
    await world.rest()
    assert used() == (["new"], grace + 28)
