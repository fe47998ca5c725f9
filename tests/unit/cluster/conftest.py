from collections.abc import AsyncIterator

import pytest

from modelfleet.cluster.session import Limits, Session
from support.fake_api import FakeApi


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with FakeApi().running() as api:
        yield api


@pytest.fixture
async def session(api: FakeApi) -> AsyncIterator[Session]:
    """Fails at the first error, so that a test sees each one."""
    async with Session(api.connection, Limits(attempts=1)) as session:
        yield session
