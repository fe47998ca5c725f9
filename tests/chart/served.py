"""A Model that is served, and how it is seen that it still is, by the same pods."""

import json
import urllib.request
from typing import Any

from support.manifests import SIMULATED, model
from support.running import Client

TEAM = "team-a"
OURS = "modelfleet.dev/model=chat"
FAST = {f"{SIMULATED}pull-seconds": "0", f"{SIMULATED}load-seconds": "0.2"}


def chat(**spec: Any) -> dict[str, Any]:
    """Return a Model that is ready at once."""
    return model(TEAM, podTemplate={"annotations": FAST}, drain={"timeoutSeconds": 1}, **spec)


async def pods(client: Client) -> dict[str, str]:
    """Return the uids of the Model's pods by name."""
    found = await client.list("Pod", TEAM, OURS)
    return {one["metadata"]["name"]: one["metadata"]["uid"] for one in found}


async def answer(client: Client) -> str:
    """Ask the Model's Service what it serves."""
    url = f"{await client.until_served(TEAM, 'chat')}/v1/models"
    with urllib.request.urlopen(url, timeout=10) as found:
        return str(json.load(found)["data"][0]["id"])
