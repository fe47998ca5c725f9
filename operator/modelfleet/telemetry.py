"""Every metric that the operator exposes, with bounded labels: never a name, never a message."""

import asyncio
from collections.abc import Callable

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
)

API_REQUESTS = Counter(
    "modelfleet_api_requests_total",
    "Requests to the API server. The code is 0 where no answer came.",
    ("verb", "kind", "code"),
)
API_SECONDS = Histogram(
    "modelfleet_api_request_seconds",
    "Time to an answer of the API server, watches excepted.",
    ("verb",),
    buckets=_SECONDS,
)
API_RETRIES = Counter(
    "modelfleet_api_retries_total", "Requests that were sent again.", ("verb", "kind")
)

WATCH_EVENTS = Counter(
    "modelfleet_watch_events_total", "Events that informers received.", ("kind", "type")
)
WATCH_RESTARTS = Counter(
    "modelfleet_watch_restarts_total", "Watches that ended, by how.", ("kind", "reason")
)
UNPARSABLE = Counter(
    "modelfleet_unparsable_objects_total", "Objects skipped because they made no sense.", ("kind",)
)
STORED_OBJECTS = Gauge("modelfleet_stored_objects", "Objects kept in memory.", ("kind",))
CALLBACK_ERRORS = Counter(
    "modelfleet_callback_errors_total", "Defects in code that a store called back.", ("kind",)
)
LOST_DELETES = Counter(
    "modelfleet_lost_deletes_total", "Objects that vanished without an event.", ("kind",)
)

WRITES = Counter(
    "modelfleet_writes_total",
    "Objects applied or deleted, by what came of it.",
    ("kind", "action"),
)

QUEUE_DEPTH = Gauge("modelfleet_queue_depth", "Keys that wait for a worker.", ("queue",))
QUEUE_WAIT = Histogram(
    "modelfleet_queue_wait_seconds",
    "Time from the wake of a key to its turn.",
    ("queue",),
    buckets=_SECONDS,
)
QUEUE_WORK = Histogram(
    "modelfleet_queue_work_seconds", "Length of a turn.", ("queue", "kind"), buckets=_SECONDS
)
QUEUE_TURNS = Counter(
    "modelfleet_queue_turns_total", "Turns, by how they ended.", ("queue", "kind", "outcome")
)

SCRAPES = Counter(
    "modelfleet_scrapes_total",
    "Readings of model servers' metrics, by what came of it.",
    ("outcome",),
)
SCRAPE_SECONDS = Histogram(
    "modelfleet_scrape_seconds", "Length of one reading, failed ones included.", buckets=_SECONDS
)
SCRAPE_ROUNDS = Counter(
    "modelfleet_scrape_rounds_total",
    "Rounds over all watched replicas, by how they ended.",
    ("outcome",),
)
SCALING_PASS = Histogram(
    "modelfleet_scaling_pass_seconds",
    "Time to look at the load of all autoscaled Models, their readings excepted.",
    buckets=_SECONDS,
)
AUTOSCALED = Gauge("modelfleet_autoscaled_models", "Models that a policy decides about.")
SCALING_DECISIONS = Counter(
    "modelfleet_scaling_decisions_total",
    "Changes of the number of replicas by a policy, by direction and reason.",
    ("direction", "reason"),
)
SCRAPE_ROUND_SECONDS = Histogram(
    "modelfleet_scrape_round_seconds", "Length of one round over replicas.", buckets=_SECONDS
)
SERVER_PROBES = Counter(
    "modelfleet_server_probes_total",
    "Probe requests to model servers, by what came of it.",
    ("outcome",),
)

HELD_REQUESTS = Gauge("modelfleet_gateway_held_requests", "Requests that wait for a replica.")
HELD_BYTES = Gauge(
    "modelfleet_gateway_held_bytes", "Bytes of requests that no replica has answered yet."
)
GATEWAY_REQUESTS = Counter(
    "modelfleet_gateway_requests_total",
    "Requests to the gateway, by what came of it.",
    ("outcome",),
)
GATEWAY_HOLD_SECONDS = Histogram(
    "modelfleet_gateway_hold_seconds",
    "Time from a request's arrival to its replica's answer.",
    buckets=(0.1, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0),
)

EVENTS = Counter(
    "modelfleet_events_total", "Kubernetes events, by what became of them.", ("outcome",)
)

LEADER = Gauge("modelfleet_leader", "1 while this process may write.")
LEADER_CHANGES = Counter(
    "modelfleet_leader_changes_total", "Times that leadership came or went.", ("change",)
)
LEASE_FAILURES = Counter(
    "modelfleet_lease_failures_total", "Attempts at the Lease that failed, by why.", ("reason",)
)

LEDGER_CHECKPOINTS = Counter(
    "modelfleet_ledger_checkpoints_total", "Checkpoints of the ledger, by outcome.", ("outcome",)
)
LEDGER_BYTES = Counter("modelfleet_ledger_bytes_total", "Bytes of the checkpoints written.")
COST = Counter(
    "modelfleet_cost_dollars_total",
    "What nodes have cost since this process leads, by pool, team and use. The sum is all of it.",
    ("pool", "team", "use"),
)
GPU_SECONDS = Counter(
    "modelfleet_gpu_seconds_total", "GPU seconds likewise, priced or not.", ("pool", "team", "use")
)
UNPRICED_GPU_SECONDS = Counter(
    "modelfleet_unpriced_gpu_seconds_total", "Of these, those without a price.", ("pool",)
)
HOURLY_COST = Gauge(
    "modelfleet_hourly_cost_dollars",
    "What the priced nodes of a pool cost per hour now, held by pods or idle.",
    ("pool", "state"),
)

LOOP_LAG = Histogram(
    "modelfleet_loop_lag_seconds",
    "How late the event loop wakes a sleeper.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0),
)


async def sample_loop_lag(
    monotonic: Callable[[], float],
    interval: float = 0.5,
    seen: Callable[[float], None] | None = None,
) -> None:
    """Measure for ever how late the loop is, in seconds; tell `seen` each sample."""
    while True:
        asked = monotonic()
        await asyncio.sleep(interval)
        lag = max(0.0, monotonic() - asked - interval)
        LOOP_LAG.observe(lag)
        if seen is not None:
            seen(lag)
