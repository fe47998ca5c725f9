"""Whether a cluster is ready, seen from inside its namespace.

`python -m devcluster.health NAME SECONDS` waits that long at most and prints what is missing.
"""

import http.client
import sys
import time
from collections.abc import Iterator

from devcluster import api, fleet, processes
from devcluster.layout import Layout
from devcluster.parts import PARTS, SUPERVISOR, Part

NAMES = (SUPERVISOR, *(part.name for part in PARTS))


def missing(at: Layout, client: api.Client) -> list[str]:
    """Return what has to come before the cluster is ready, in words; the first thing first."""
    return next((troubles for troubles in _levels(at, client) if troubles), [])


def _levels(at: Layout, client: api.Client) -> Iterator[list[str]]:
    """Give troubles from the ground up: what is on top of a trouble is not looked at."""
    yield [f"{name} does not run" for name in NAMES if not runs(at, name)]
    yield [f"{part.name} is not well" for part in PARTS if not is_well(part)]
    yield list(_troubles_of_the_api(at, client))


def runs(at: Layout, name: str) -> bool:
    """Say whether the process of a part, or of the supervisor, is there."""
    record = processes.load(at, name)
    return record is not None and record.is_alive()


def is_well(part: Part) -> bool:
    """Say whether the part's health endpoint, if it has one, answers."""
    return not part.healthz or api.is_well(part.healthz)


def _troubles_of_the_api(at: Layout, client: api.Client) -> Iterator[str]:
    try:
        client.call("GET", "/api/v1/namespaces/default/serviceaccounts/default")
        made = fleet.pools_made(at)
        if late := [pool.name for pool in at.options().all_pools() if pool.name not in made]:
            yield f"nodes of {', '.join(late)} are not created"
        elif unready := fleet.unready(client):
            yield f"{len(unready)} nodes are not ready, {unready[0]} is one"
    except api.Refused as error:
        yield str(error)
    except (OSError, http.client.HTTPException) as error:
        yield f"the API server does not answer: {error}"


def main() -> int:
    """Wait until all is ready; print what is not, when the time is over."""
    at, seconds = Layout.of(sys.argv[1]), float(sys.argv[2])
    client = api.Client(at)
    deadline = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        troubles = missing(at, client)
        if not troubles or time.monotonic() >= deadline:
            break
        # Looking at thousands of nodes takes a while; most of the time must be the cluster's.
        time.sleep(max(0.1, 2 * (time.monotonic() - began)))
    print("\n".join(troubles))
    return 1 if troubles else 0


if __name__ == "__main__":
    sys.exit(main())
