import asyncio
from collections.abc import AsyncIterator

import pytest

from modelfleet.servers.client import Client
from modelfleet.servers.scrape import Limits, Scraper


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with Client() as client:
        yield client


@pytest.fixture
def scraper(client: Client) -> Scraper:
    """Gives up soon, so that a test is quick."""
    return Scraper(client, Limits(seconds=0.3, page_bytes=100_000, lines=2_000))


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    """No test may leave a task behind."""
    before = asyncio.all_tasks()
    yield
    await asyncio.sleep(0)
    assert asyncio.all_tasks() <= before | {asyncio.current_task()}
