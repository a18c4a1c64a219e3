"""The real controllers in one namespace, with nothing but the Role that the chart gives them there."""

from __future__ import annotations

import subprocess

import pytest
import yaml

from redstart.kube.client import connect
from redstart.kube.credentials import from_kubeconfig
from redstart.kube.errors import Forbidden
from redstart.kube.kinds import DEPLOYMENT, JOB, Kind
from tests.cluster.control_plane import ControlPlane
from tests.cluster.programs import program
from tests.integration.api import ROLE, ROLE_BINDING, Api
from tests.integration.controllers.conftest import install
from tests.integration.controllers.serving_world import ServingWorld
from tests.integration.controllers.world import World

ELSEWHERE = "team-operators"
KINDS: dict[str, Kind] = {kind.kind: kind for kind in (ROLE, ROLE_BINDING)}


def chart_role(api: Api, namespace: str) -> None:
    """What an installation elsewhere that watches this namespace alone may do in it."""
    rendered = subprocess.run(
        [
            *(program("helm"), "template", "redstart", "charts/redstart", "--namespace", ELSEWHERE),
            *("--set", f"watchNamespaces={{{namespace}}}", "--show-only", "templates/roles.yaml"),
            "--kube-version=1.30",
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    for obj in yaml.safe_load_all(rendered.stdout):
        if obj["metadata"]["namespace"] == namespace:
            install(api, KINDS[obj["kind"]], obj, namespace)


async def test_in_namespaced_mode_a_model_is_trained_and_served_and_nothing_is_seen_elsewhere(
    control_plane: ControlPlane, api: Api, namespace: str
) -> None:
    chart_role(api, namespace)
    user = f"system:serviceaccount:{ELSEWHERE}:redstart"
    account = from_kubeconfig([control_plane.kubeconfig_of(user, ["system:serviceaccounts"])])
    async with connect(account, connections=20) as session:
        training = World(api, session, account.server, namespace)
        training.claim("data")
        training.training_job()
        serving = ServingWorld(api, session, account.server, namespace)
        try:
            await serving.serve()
            await training.operate()
            assert training.names(JOB) == ["iris-run-1", "iris-v1-verify"]
            serving.version(2)
            await serving.until(lambda: serving.status["stable"]["version"] == "iris-v2")
            await serving.rest()
            with pytest.raises(Forbidden):
                await serving.client.list(DEPLOYMENT, api.new_namespace())
        finally:
            serving.nodes.close()
