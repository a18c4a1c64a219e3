"""A world for each test, and whole operator processes."""

from collections.abc import AsyncIterator

import pytest

from redstart.kube.client import connect
from redstart.kube.credentials import Credentials
from tests.integration.api import Api
from tests.integration.controllers.world import World
from tests.integration.kube.conftest import start

__all__ = ["start"]


@pytest.fixture
async def world(api: Api, account: Credentials, namespace: str) -> AsyncIterator[World]:
    """With the claims that the example uses."""
    async with connect(account, connections=20) as session:
        made = World(api, session, account.server, namespace)
        made.claim("data")
        made.claim("models")
        yield made
