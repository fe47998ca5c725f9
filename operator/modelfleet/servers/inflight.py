"""How busy pods are, from what they told last."""

from datetime import datetime

from modelfleet.plan.samples import Scrape, ScrapeFailure
from modelfleet.servers.samples import Samples


def in_flight(samples: Samples, namespace: str, model: str, since: datetime) -> dict[str, int]:
    """Return the requests that each pod runs and holds, by uid.

    A pod is absent, and so not known to be idle, if its last reading failed or is from before
    `since`, or if its engine does not tell both numbers.
    """
    found = ((uid, _requests(one, since)) for uid, one in samples.latest(namespace, model).items())
    return {uid: count for uid, count in found if count is not None}


def _requests(one: Scrape | ScrapeFailure, since: datetime) -> int | None:
    if isinstance(one, ScrapeFailure) or one.at < since:
        return None
    running, waiting = one.values.get("running"), one.values.get("waiting")
    if running is None or waiting is None or running < 0 or waiting < 0:
        return None
    return round(running + waiting)
