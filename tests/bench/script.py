"""The yardstick: a plain script that makes the Models and applies the same children.

It does what any operator must do at least: one server-side apply for each child, 16 at once. It
watches nothing, reports nothing and repairs nothing. Run as a process of its own, so that its CPU
seconds can be told; it says that it is ready and begins when it gets a line.
"""

import asyncio
import sys
from datetime import UTC, datetime

import orjson
import uvloop

from modelfleet.api.v1alpha1 import GPUNodePool, Model
from modelfleet.cluster import kubeconfig, rest
from modelfleet.cluster.session import APPLY, Session
from modelfleet.engines import built_in
from modelfleet.plan.model import plan_for
from modelfleet.plan.world import Observed, Pool
from tests.bench import subject

NAME, UID = "the-name", "the-uid"
QUERY = {"fieldManager": "modelfleet", "force": "true"}


def template() -> bytes:
    """Return the children of a Model, as JSON in which name and uid can be replaced."""
    raw = subject.model(NAME)
    raw["metadata"]["uid"] = UID
    pool = Pool(pool=GPUNodePool.model_validate(subject.POOL))
    seen = Observed(
        now=datetime(2026, 1, 1, tzinfo=UTC), engine=built_in()["vllm"], pools={"h100": pool}
    )
    return orjson.dumps(plan_for(Model.model_validate(raw), seen).apply, default=dict)


async def run(count: int) -> None:
    """Create that many Models with all their children."""
    children = template()
    print("ready", flush=True)
    sys.stdin.readline()
    waiting = iter(subject.names(count))
    async with Session(kubeconfig.find()) as session:

        async def work() -> None:
            for name in waiting:
                created = await session.create(
                    rest.MODELS.all(subject.NAMESPACE), subject.model(name)
                )
                await _apply(session, children, name, created["metadata"]["uid"])

        await asyncio.gather(*(work() for _ in range(subject.IN_FLIGHT)))


async def _apply(session: Session, children: bytes, name: str, uid: str) -> None:
    text = children.replace(NAME.encode(), name.encode()).replace(UID.encode(), uid.encode())
    for manifest in orjson.loads(text):
        await session.patch(rest.endpoint_of(manifest), manifest, APPLY, query=QUERY)


if __name__ == "__main__":
    uvloop.run(run(int(sys.argv[1])))
