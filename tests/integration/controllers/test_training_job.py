"""TrainingJobs from YAML to ModelVersion, against a real API server."""

from __future__ import annotations

import json
from typing import Any

from redstart.kube.kinds import CONFIG_MAP, JOB, MODEL_VERSION, POD, TRAINING_JOB
from tests.integration.controllers.world import SETTINGS, World
from tests.unit.controllers.objects import GATE_FAILED, GATE_PASSED, details_line, report, sha


def train(world: World, run: int = 1, *, log: str = "", **changes: Any) -> None:
    """The trainer of a run does its work."""
    log = log or details_line()
    job = f"iris-run-{run}"
    pod = f"{job}-pod"
    world.logs[pod] = f"training\n{log}\n"
    if pod not in world.names(POD):
        world.start_pod(job)
    world.end_pod(pod, "trainer", 0, report(log, **({"number": run} | changes)))
    world.end_job(job, complete=True)


def status(world: World) -> Any:
    return world.get(TRAINING_JOB, "iris")["status"]


async def test_a_training_job_becomes_a_model_version(world: World) -> None:
    world.training_job(gates=[{"metric": "f1", "atLeast": 0.75}])
    await world.operate(TRAINING_JOB)
    assert world.names(JOB) == world.names(CONFIG_MAP) == ["iris-run-1"]
    told = json.loads(world.get(CONFIG_MAP, "iris-run-1")["data"]["job.json"])
    assert told["spec"]["gates"] == [{"metric": "f1", "atLeast": 0.75}]
    assert status(world)["phase"] == "Pending"

    world.start_pod("iris-run-1")
    await world.operate(TRAINING_JOB)
    assert status(world)["phase"] == "Running"
    assert world.names(MODEL_VERSION) == []

    train(world, log=details_line(gates=[GATE_PASSED]), message="f1 0.83 >= 0.75", reason="GatesPassed")
    await world.operate(TRAINING_JOB)
    told = status(world)
    assert told["phase"] == "Succeeded"
    assert told["latestVersion"] == "iris-v1"
    assert told["metrics"] == {"f1": 0.83}
    assert told["data"]["rows"]["dropped"] == [{"reason": "MissingTarget", "column": "kind", "count": 3}]
    assert told["run"]["inputDigest"] == sha("input")
    assert told["run"]["rows"] == 150
    assert world.condition(TRAINING_JOB, "iris") == ("True", "GatesPassed", "f1 0.83 >= 0.75")
    version = world.get(MODEL_VERSION, "iris-v1")
    assert "ownerReferences" not in version["metadata"]
    assert version["spec"]["lineage"]["trainingJob"] == "iris"
    assert version["spec"]["lineage"]["image"] == "runtime@sha256:1"
    assert version["spec"]["gates"] == [GATE_PASSED]
    assert world.events() == [
        "iris: MissingTarget",
        "iris: RunStarted",
        "iris: RunSucceeded",
        "iris: VersionRegistered",
    ]


async def test_a_rejected_run_has_a_version_too(world: World) -> None:
    world.training_job(gates=[{"metric": "f1", "atLeast": 0.75}])
    await world.operate(TRAINING_JOB)
    log = details_line(gates=[GATE_FAILED])
    train(world, log=log, result="Rejected", reason="GateFailed", message="f1 0.62 < 0.75")
    await world.operate(TRAINING_JOB)
    assert status(world)["phase"] == "Rejected"
    assert world.condition(TRAINING_JOB, "iris", "Stalled") == ("True", "GateFailed", "f1 0.62 < 0.75")
    assert world.get(MODEL_VERSION, "iris-v1")["spec"]["gates"] == [GATE_FAILED]
    assert "iris: RunRejected" in world.events()


async def test_changed_gates_ask_the_store_and_change_the_version(world: World) -> None:
    world.training_job(gates=[{"metric": "f1", "atLeast": 0.75}])
    await world.operate(TRAINING_JOB)
    train(world, log=details_line(gates=[GATE_FAILED]), result="Rejected", reason="GateFailed")
    await world.operate(TRAINING_JOB)
    world.edit(TRAINING_JOB, "iris", {"spec": {"gates": [{"metric": "f1", "atLeast": 0.6}]}})
    await world.operate(TRAINING_JOB)
    assert world.names(JOB) == ["iris-run-2"]
    passed = GATE_FAILED | {"bound": 0.6, "passed": True}
    train(world, 2, log=details_line(gates=[passed]), result="SameInputs", reason="GatesPassed", number=1)
    await world.operate(TRAINING_JOB)
    assert world.names(MODEL_VERSION) == ["iris-v1"]
    assert world.get(MODEL_VERSION, "iris-v1")["spec"]["gates"] == [passed]
    told = status(world)
    assert told["phase"] == "Succeeded"
    assert [record["result"] for record in told["history"]] == ["SameInputs", "Rejected"]


async def test_a_changed_spec_trains_the_next_version(world: World) -> None:
    world.training_job()
    await world.operate(TRAINING_JOB)
    train(world)
    await world.operate(TRAINING_JOB)
    world.edit(TRAINING_JOB, "iris", {"spec": {"algorithm": {"parameters": {"n_estimators": 10}}}})
    await world.operate(TRAINING_JOB)
    assert world.names(JOB) == world.names(CONFIG_MAP) == ["iris-run-2"]
    train(world, 2, inputDigest=sha("input 2"))
    await world.operate(TRAINING_JOB)
    assert world.names(MODEL_VERSION) == ["iris-v1", "iris-v2"]
    assert world.get(MODEL_VERSION, "iris-v2")["spec"]["lineage"]["parent"] == "iris-v1"


async def test_a_spec_that_changes_during_a_run_ends_it(world: World) -> None:
    world.training_job()
    await world.operate(TRAINING_JOB)
    world.start_pod("iris-run-1")
    await world.operate(TRAINING_JOB)
    world.edit(TRAINING_JOB, "iris", {"spec": {"split": {"seed": 7}}})
    await world.operate(TRAINING_JOB)
    assert world.names(JOB) == ["iris-run-2"]
    assert [record["result"] for record in status(world)["history"]] == ["Superseded"]


async def test_suspending_and_resuming_touches_one_field_of_the_job(world: World) -> None:
    world.training_job()
    await world.operate(TRAINING_JOB)
    before = world.get(JOB, "iris-run-1")
    world.edit(TRAINING_JOB, "iris", {"spec": {"suspend": True}})
    await world.operate(TRAINING_JOB)
    suspended = world.get(JOB, "iris-run-1")
    assert suspended["spec"] == before["spec"] | {"suspend": True}
    assert status(world)["phase"] == "Suspended"
    assert world.condition(TRAINING_JOB, "iris", "Suspended")[0] == "True"
    world.edit(TRAINING_JOB, "iris", {"spec": {"suspend": False}})
    await world.operate(TRAINING_JOB)
    assert world.get(JOB, "iris-run-1")["spec"] == before["spec"]
    assert status(world)["phase"] == "Pending"


async def test_nothing_starts_while_suspended(world: World) -> None:
    world.training_job(suspend=True)
    await world.operate(TRAINING_JOB)
    assert world.names(JOB) == []
    assert status(world)["phase"] == "Suspended"


async def test_a_queue_that_suspends_the_job_is_left_alone(world: World) -> None:
    world.training_job()
    await world.operate(TRAINING_JOB)
    world.edit(JOB, "iris-run-1", {"spec": {"suspend": True}})
    await world.operate(TRAINING_JOB)
    assert world.get(JOB, "iris-run-1")["spec"]["suspend"] is True
    assert world.condition(TRAINING_JOB, "iris")[1] == "Queued"


async def test_a_failure_says_what_the_data_scientist_needs_and_is_tried_again_when_the_spec_changes(
    world: World,
) -> None:
    world.training_job()
    await world.operate(TRAINING_JOB)
    pod = world.start_pod("iris-run-1")
    told = {
        "result": "Failed",
        "reason": "ExpectationFailed",
        "message": "torque: 7 of 150 values are above 200",
    }
    world.end_pod(pod, "trainer", 3, told)
    world.end_job("iris-run-1", complete=False, reason="PodFailurePolicy")
    await world.operate(TRAINING_JOB)
    assert status(world)["phase"] == "Failed"
    wanted = ("True", "ExpectationFailed", "torque: 7 of 150 values are above 200")
    assert world.condition(TRAINING_JOB, "iris", "Stalled") == wanted
    assert world.names(JOB) == ["iris-run-1"]
    world.edit(TRAINING_JOB, "iris", {"spec": {"template": {"resources": {"limits": {"memory": "8Gi"}}}}})
    await world.operate(TRAINING_JOB)
    assert world.names(JOB) == ["iris-run-2"]


async def test_a_request_by_hand_starts_a_run(world: World) -> None:
    world.training_job()
    await world.operate(TRAINING_JOB)
    train(world)
    await world.operate(TRAINING_JOB)
    world.edit(TRAINING_JOB, "iris", {"metadata": {"annotations": {"redstart.dev/train": "monday"}}})
    await world.operate(TRAINING_JOB)
    assert world.names(JOB) == ["iris-run-2"]


async def test_a_lost_result_is_found_by_the_next_run(world: World) -> None:
    world.training_job()
    await world.operate(TRAINING_JOB)
    world.end_job("iris-run-1", complete=True, ago=60)
    await world.operate(TRAINING_JOB)
    assert status(world)["history"][0]["result"] == "Lost"
    world.later = 60
    await world.operate(TRAINING_JOB)
    assert world.names(JOB) == ["iris-run-2"]
    train(world, 2, result="SameInputs", number=1)
    await world.operate(TRAINING_JOB)
    assert status(world)["phase"] == "Succeeded"
    assert world.names(MODEL_VERSION) == ["iris-v1"]


async def test_a_deleted_training_job_keeps_its_versions_and_a_new_one_goes_on_counting(world: World) -> None:
    world.training_job()
    await world.operate(TRAINING_JOB)
    train(world)
    await world.operate(TRAINING_JOB)
    world.api.delete(TRAINING_JOB, world.namespace, "iris")
    # The garbage collector's part: children name their owner.
    for kind in (JOB, CONFIG_MAP):
        assert world.get(kind, "iris-run-1")["metadata"]["ownerReferences"][0]["name"] == "iris"
        path = kind.path(world.namespace, "iris-run-1")
        world.api.request("DELETE", f"{path}?propagationPolicy=Background")
    await world.operate(TRAINING_JOB)
    assert world.names(MODEL_VERSION) == ["iris-v1"]
    world.training_job()
    await world.operate(TRAINING_JOB)
    assert world.names(JOB) == ["iris-run-2"]
    train(world, 2, result="SameInputs", number=1)
    await world.operate(TRAINING_JOB)
    assert status(world)["latestVersion"] == "iris-v1"
    assert world.get(MODEL_VERSION, "iris-v1")["spec"]["lineage"]["run"] == 1


async def test_a_deleted_version_is_registered_again_by_one_run(world: World) -> None:
    world.training_job()
    await world.operate(TRAINING_JOB)
    train(world)
    await world.operate(TRAINING_JOB)
    world.api.delete(MODEL_VERSION, world.namespace, "iris-v1")
    await world.operate(TRAINING_JOB)
    assert world.names(JOB) == ["iris-run-2"]
    assert world.condition(TRAINING_JOB, "iris")[0] == "False"
    train(world, 2, result="SameInputs", number=1)
    await world.operate(TRAINING_JOB)
    assert world.names(MODEL_VERSION) == ["iris-v1"]
    assert world.condition(TRAINING_JOB, "iris")[0] == "True"
    await world.operate(TRAINING_JOB)
    assert world.names(JOB) == ["iris-run-2"]


async def test_a_taken_version_name_stalls_until_it_is_free(world: World) -> None:
    world.training_job()
    await world.operate(TRAINING_JOB)
    artifact = {"uri": "s3://elsewhere/iris", "digest": sha("imported"), "format": "ONNX"}
    world.create(
        {
            "apiVersion": MODEL_VERSION.api_version,
            "kind": MODEL_VERSION.kind,
            "metadata": {"name": "iris-v1"},
            "spec": {"model": "iris", "number": 1, "artifact": artifact},
        }
    )
    train(world)
    await world.operate(TRAINING_JOB)
    state, reason, message = world.condition(TRAINING_JOB, "iris", "Stalled")
    assert (state, reason) == ("True", "NameConflict")
    assert "ModelVersion iris-v1 exists already" in message
    assert world.get(MODEL_VERSION, "iris-v1")["spec"]["artifact"] == artifact
    world.api.delete(MODEL_VERSION, world.namespace, "iris-v1")
    await world.operate(TRAINING_JOB)
    assert status(world)["phase"] == "Succeeded"
    assert world.get(MODEL_VERSION, "iris-v1")["spec"]["artifact"]["digest"] == sha("artifact")


async def test_a_job_of_somebody_else_is_not_touched(world: World) -> None:
    foreign = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "iris-run-1"},
        "spec": {
            "template": {
                "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}
            }
        },
    }
    before = world.create(foreign)
    world.training_job()
    await world.operate(TRAINING_JOB)
    state, reason, message = world.condition(TRAINING_JOB, "iris", "Stalled")
    assert (state, reason) == ("True", "NameConflict")
    assert "iris-run-1" in message
    assert world.get(JOB, "iris-run-1") == before


async def test_a_second_training_job_of_the_model_stalls_until_the_first_is_gone(world: World) -> None:
    world.training_job("a-first")
    world.training_job("b-second")
    await world.operate(TRAINING_JOB)
    assert world.names(JOB) == ["a-first-run-1"]
    state, reason, message = world.condition(TRAINING_JOB, "b-second", "Stalled")
    assert (state, reason) == ("True", "ModelConflict")
    assert '"a-first"' in message
    world.api.delete(TRAINING_JOB, world.namespace, "a-first")
    await world.operate(TRAINING_JOB)
    assert "b-second-run-1" in world.names(JOB)


async def test_a_missing_claim_is_waited_for(world: World) -> None:
    world.training_job(output={"uri": "pvc://elsewhere"})
    await world.operate(TRAINING_JOB)
    state, reason, message = world.condition(TRAINING_JOB, "iris", "Reconciling")
    assert (state, reason) == ("True", "ClaimNotFound")
    assert '"elsewhere"' in message
    world.claim("elsewhere")
    await world.operate(TRAINING_JOB)
    assert world.names(JOB) == ["iris-run-1"]


async def test_a_missing_config_map_and_a_missing_key_are_named(world: World) -> None:
    world.training_job(data={"sources": [{"uri": "configmap://rows/iris.csv"}], "target": "species"})
    await world.operate(TRAINING_JOB)
    assert world.condition(TRAINING_JOB, "iris")[1] == "ConfigMapNotFound"
    rows = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "rows"}, "data": {"other.csv": "a"}}
    world.create(rows)
    await world.operate(TRAINING_JOB)
    _, reason, message = world.condition(TRAINING_JOB, "iris")
    assert reason == "ConfigMapKeyNotFound"
    assert message.endswith("its keys are: other.csv")
    world.edit(CONFIG_MAP, "rows", {"data": {"iris.csv": "a"}})
    await world.operate(TRAINING_JOB)
    assert world.names(JOB) == ["iris-run-1"]


async def test_a_secret_that_is_missing_is_told_from_the_pods_events(world: World) -> None:
    world.training_job()
    await world.operate(TRAINING_JOB)
    waiting = {
        "name": "trainer",
        "image": "runtime:1",
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": {"waiting": {"reason": "ContainerCreating"}},
    }
    pod = world.start_pod("iris-run-1", phase="Pending", containerStatuses=[waiting])
    about = {"kind": "Pod", "namespace": world.namespace, "name": pod}
    about["uid"] = world.get(POD, pod)["metadata"]["uid"]
    world.create(
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": "mount"},
            "involvedObject": about,
            "type": "Warning",
            "reason": "FailedMount",
            "message": 'MountVolume.SetUp failed for volume "secret-s" : secret "s" not found',
        }
    )
    world.later = 10
    await world.operate(TRAINING_JOB)
    assert world.condition(TRAINING_JOB, "iris") == (
        "False",
        "FailedMount",
        'MountVolume.SetUp failed for volume "secret-s" : secret "s" not found',
    )


async def test_what_the_api_server_refuses_is_told(world: World) -> None:
    world.training_job(template={"resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}})
    await world.operate(TRAINING_JOB)
    state, reason, message = world.condition(TRAINING_JOB, "iris", "Stalled")
    assert (state, reason) == ("True", "Refused")
    assert "must be less than or equal to memory limit" in message
    world.edit(TRAINING_JOB, "iris", {"spec": {"template": {"resources": {"limits": {"memory": "4Gi"}}}}})
    await world.operate(TRAINING_JOB)
    assert world.names(JOB) == ["iris-run-1"]


async def test_what_yaml_reads_as_something_else_is_taken_or_told(world: World) -> None:
    data = {"sources": [{"uri": "pvc://data/iris.csv"}], "target": True}
    world.training_job(data=data, template={"resources": {"requests": {"cpu": 0.5, "memory": "1Gi"}}})
    await world.operate(TRAINING_JOB)
    state, reason, message = world.condition(TRAINING_JOB, "iris", "Stalled")
    assert (state, reason) == ("True", "InvalidSpec")
    assert message.startswith("spec.data.target: a text is wanted, and this is the boolean true")
    assert message.endswith("put it in quotes")
    world.edit(TRAINING_JOB, "iris", {"spec": {"data": data | {"target": "y"}}})
    await world.operate(TRAINING_JOB)
    (container,) = world.get(JOB, "iris-run-1")["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["requests"]["cpu"] == "500m"


async def test_a_format_that_settings_do_not_allow(world: World) -> None:
    world.settings = SETTINGS.model_copy(update={"allowed_formats": ("ONNX",)})
    world.training_job(output={"uri": "pvc://models", "format": "Skops"})
    await world.operate(TRAINING_JOB)
    assert world.condition(TRAINING_JOB, "iris", "Stalled")[1] == "FormatNotAllowed"


async def test_nothing_is_written_when_nothing_changes(world: World) -> None:
    world.training_job()
    await world.operate()
    world.start_pod("iris-run-1")
    await world.operate()
    for moment in ("running", "ended"):
        if moment == "ended":
            train(world)
            await world.operate()
        world.restart()
        before = world.writes
        await world.operate()
        assert world.writes == before, moment


async def life(world: World) -> None:
    """Two runs of a TrainingJob, the second after a change in the middle of the first."""
    world.training_job(gates=[{"metric": "f1", "atLeast": 0.75}])
    await world.operate(TRAINING_JOB)
    world.start_pod("iris-run-1")
    await world.operate(TRAINING_JOB)
    world.edit(TRAINING_JOB, "iris", {"spec": {"split": {"seed": 7}}})
    await world.operate(TRAINING_JOB)
    train(world, 2, log=details_line(gates=[GATE_FAILED]), result="Rejected", reason="GateFailed", number=1)
    await world.operate(TRAINING_JOB)
    world.edit(TRAINING_JOB, "iris", {"spec": {"gates": [{"metric": "f1", "atLeast": 0.6}]}})
    await world.operate(TRAINING_JOB)
    passed = GATE_FAILED | {"bound": 0.6, "passed": True}
    train(world, 3, log=details_line(gates=[passed]), result="SameInputs", reason="GatesPassed", number=1)
    await world.operate(TRAINING_JOB)


async def test_killed_before_any_write_the_next_operator_comes_to_the_same_end(
    world: World, api: Any, account: Any
) -> None:
    await life(world)
    wanted, total = world.snapshot(), world.writes
    assert total > 12
    for number in range(1, total + 1):
        again = World(api, world.client.session, account.server, api.new_namespace())
        again.claim("data")
        again.claim("models")
        again.kill_before = number
        await life(again)
        assert again.kills == 1, number
        assert again.snapshot() == wanted, f"killed before write {number} of {total}"
