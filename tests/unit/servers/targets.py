"""Builders."""

from datetime import UTC, datetime

from modelfleet.engines import built_in
from modelfleet.servers.scrape import Target

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def a_target(port: int, engine: str = "vllm", **differing: object) -> Target:
    metrics = built_in()[engine].spec.metrics
    assert metrics
    fields = {"pod": "u-1", "namespace": "team", "model": "chat", "revision": "abc"}
    return Target(
        **{"address": "127.0.0.1", "port": port, "metrics": metrics, **fields, **differing}  # type: ignore[arg-type]
    )
