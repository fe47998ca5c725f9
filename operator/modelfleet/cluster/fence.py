"""Writes that end with leadership."""

import asyncio
import math
from collections.abc import Callable
from typing import Any

import aiohttp

from modelfleet.cluster import errors
from modelfleet.cluster.rest import Endpoint
from modelfleet.cluster.session import Reply, Session


class Fenced(Session):
    """The same session for one that reads at any time, but writes only while it leads.

    Every attempt asks anew, and what is under way when leadership ends is broken off: a request
    that hangs must not reach the API server when another replica leads.
    """

    def __init__(self, session: Session, seconds_left: Callable[[], float]) -> None:
        """`seconds_left` says how long this process may still write; inf: for ever."""
        super().__init__(session.connection, session.limits)
        self._session, self._seconds_left = session, seconds_left

    @property
    def client(self) -> aiohttp.ClientSession:
        """That of the session."""
        return self._session.client

    async def _once(self, verb: str, where: Endpoint, **request: Any) -> Reply:
        if verb == "GET":
            return await super()._once(verb, where, **request)
        left = self._seconds_left()
        if left <= 0:
            raise errors.Deposed("another replica leads")
        try:
            async with asyncio.timeout(None if math.isinf(left) else left):
                return await super()._once(verb, where, **request)
        except TimeoutError as error:
            raise errors.Deposed("another replica may lead by now") from error
