"""`python -m tests.bench.ledger`: one pass of the ledger over a large fleet, and what it writes.

No cluster: the caches are filled, and nothing else runs.
"""

import time
from datetime import timedelta

from modelfleet.api import labels
from modelfleet.plan.ledger.archive import bounded, rounded, size
from modelfleet.plan.ledger.checkpoint import pack_days, pack_open, unpack_open
from unit.loops.fleets import Fleet

MODELS, NODES, PODS = 1_000, 5_000, 10_000
ROUNDS = 5


def main() -> None:
    """Fill a fleet, close its books some times, and print what that takes."""
    fleet = Fleet()
    fleet.see(fleet.pool())
    for number in range(NODES):
        fleet.see(fleet.node(f"node-{number:05d}"))
    for number in range(MODELS):
        model = fleet.model("search")
        model["metadata"]["name"] = f"model-{number:04d}"
        fleet.see(model)
    began = time.process_time()
    for number in range(PODS):
        fleet.see(_pod(fleet, number))
    parse = time.process_time() - began
    fleet.books.open(None, {})
    began = time.process_time()
    for number in range(PODS):
        fleet.wait(0.01)
        fleet.see(fleet.ready(_pod(fleet, number)))
    print(f"an event: {(time.process_time() - began - parse) / PODS * 1e6:.0f} us more")
    _rounds(fleet)


def _pod(fleet: Fleet, number: int) -> dict[str, object]:
    pod = fleet.pod(f"model-{number % MODELS:04d}-abc-{number:05d}", gpus=1)
    pod["metadata"]["labels"][labels.MODEL] = f"model-{number % MODELS:04d}"
    pod["metadata"]["ownerReferences"][0]["name"] = f"model-{number % MODELS:04d}-abc-x"
    pod["metadata"]["uid"] = f"{hash((number, 'a')) % 2**64:016x}-{number * 7919:012x}"
    pod["spec"]["nodeName"] = f"node-{number % NODES:05d}"
    return pod


def _rounds(fleet: Fleet) -> None:
    for _ in range(ROUNDS):
        fleet.wait(60)
        fleet.charges.clear()
        began = time.process_time()
        fleet.books.close_all()
        closed = time.process_time()
        kept = fleet.books.kept()
        assert kept is not None
        text = pack_open(kept)
        packed = time.process_time()
        print(
            f"a pass: {closed - began:.2f} s closing, {packed - closed:.2f} s packing, "
            f"{size(text):,} bytes, {len(kept.lines)} lines"
        )
    assert unpack_open(text) == kept
    fleet.wait(timedelta(days=1).total_seconds())
    fleet.books.close_all()
    kept = fleet.books.kept()
    assert kept is not None
    days = {line.day for line in kept.lines}
    day = {line: amount for line, amount in kept.lines.items() if line.day == min(days)}
    print(f"a day in the archive: {size(pack_days(bounded(rounded(day)))):,} bytes")


if __name__ == "__main__":
    main()
