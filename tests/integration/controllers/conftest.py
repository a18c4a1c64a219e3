"""A world for each test, and whole operator processes."""

from collections.abc import AsyncIterator

import pytest
import yaml

from redstart.kube.client import connect
from redstart.kube.credentials import Credentials, from_kubeconfig
from redstart.kube.kinds import Kind
from tests.cluster.control_plane import ControlPlane
from tests.integration.api import MANIFESTS, Api, RefusedError
from tests.integration.controllers.world import World
from tests.integration.kube.conftest import start

__all__ = ["start"]

OPERATOR = "system:serviceaccount:redstart-system:redstart"
_RBAC, _ADMISSION = ("rbac.authorization.k8s.io", "v1"), ("admissionregistration.k8s.io", "v1")
KINDS = {
    kind.kind: kind
    for kind in (
        Kind(*_RBAC, "ClusterRole", "clusterroles", namespaced=False),
        Kind(*_RBAC, "ClusterRoleBinding", "clusterrolebindings", namespaced=False),
        Kind(*_ADMISSION, "ValidatingAdmissionPolicy", "validatingadmissionpolicies", namespaced=False),
        Kind(
            *_ADMISSION,
            "ValidatingAdmissionPolicyBinding",
            "validatingadmissionpolicybindings",
            namespaced=False,
        ),
    )
}


@pytest.fixture(scope="session")
def chart_roles(api: Api) -> None:
    """What an installation lets the operator do, and the policies that confine it."""
    for file in ("roles.yaml", "pod-update-policy.yaml", "version-policy.yaml"):
        for obj in yaml.safe_load_all((MANIFESTS / "rbac" / file).read_text()):
            if (kind := KINDS.get(obj["kind"])) is not None:
                install(api, kind, obj)


def install(api: Api, kind: Kind, obj: dict[str, object], namespace: str | None = None) -> None:
    """Create it, unless it is there."""
    try:
        api.request("POST", kind.path(namespace), obj)
    except RefusedError as refused:
        if refused.status != 409:
            raise


@pytest.fixture
def account(control_plane: ControlPlane, chart_roles: None) -> Credentials:
    """The operator's ServiceAccount with the chart's roles: what a reconcile may not do is refused here too."""
    return from_kubeconfig([control_plane.kubeconfig_of(OPERATOR, ["system:serviceaccounts"])])


@pytest.fixture
async def world(api: Api, account: Credentials, namespace: str) -> AsyncIterator[World]:
    """With the claims that the example uses."""
    async with connect(account, connections=20) as session:
        made = World(api, session, account.server, namespace)
        made.claim("data")
        made.claim("models")
        yield made
