"""Waiting for what another task does."""

import asyncio
from collections.abc import Callable


async def eventually(holds: Callable[[], bool], within: float = 5.0) -> None:
    """Return as soon as `holds`; fail if it does not within so many seconds."""
    async with asyncio.timeout(within):
        while not holds():
            await asyncio.sleep(0.005)
