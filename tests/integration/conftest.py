"""A real etcd and API server for every test below, one pair for each pytest process."""

from collections.abc import AsyncIterator, Iterator

import pytest

from redstart.kube.client import Client, connect
from redstart.kube.credentials import Credentials, from_kubeconfig
from tests.cluster.control_plane import ControlPlane
from tests.integration.api import CRDS, Api


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """With the custom resources installed, and with an audit log: `control_plane.requests()`."""
    with ControlPlane(tmp_path_factory.mktemp("control-plane"), audit=True) as running:
        api = Api.of(running)
        for crd in CRDS:
            api.install(crd)
        yield running


@pytest.fixture(scope="session")
def api(control_plane: ControlPlane) -> Api:
    """The API server as the administrator sees it: synchronous, with nothing of the operator in between."""
    return Api.of(control_plane)


@pytest.fixture
def namespace(api: Api) -> str:
    """A namespace that no other test uses."""
    return api.new_namespace()


@pytest.fixture
def account(control_plane: ControlPlane) -> Credentials:
    return from_kubeconfig([control_plane.kubeconfig])


@pytest.fixture
async def client(account: Credentials) -> AsyncIterator[Client]:
    async with connect(account, connections=20) as session:
        yield Client(session, account.server)
