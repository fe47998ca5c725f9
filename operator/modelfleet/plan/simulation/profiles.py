"""What is replayed against: an engine's speed, its cold start, its price. A file of the user's."""

from typing import Annotated, Literal

from pydantic import Field

from modelfleet.api.fields import Between
from modelfleet.api.schema import Schema

Positive = Annotated[float, Field(gt=0, le=1e9)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]


class EngineFigures(Schema):
    """How fast an engine is and how much fits into it. The defaults: 8B on one modern GPU."""

    prefill_tokens_per_second: Positive = 8000.0
    prefill_seconds: Seconds = 0.0
    """Of each prompt, besides those of its tokens."""
    decode_tokens_per_second: Positive = 60.0
    """Of one sequence that runs alone."""
    decode_slowdown: Annotated[float, Field(ge=0, le=10)] = 0.01
    """Share by which each further running sequence slows all of them."""
    kv_tokens: Annotated[int, Between(1, 10**9)] = 400_000
    max_running: Annotated[int, Between(1, 10**6)] = 256


class Profile(Schema):
    """One kind of replica."""

    name: Annotated[str, Field(min_length=1, max_length=63)]
    gpus: Annotated[int, Between(0, 1024)] = 1
    dollars_per_gpu_hour: Annotated[float, Field(ge=0, le=10_000)] = 0.0
    cold_start_seconds: Seconds = 60.0
    """From the creation of a pod until it is ready: a node, an image, the weights."""
    drain_seconds: Seconds = 120.0
    """What a leaving replica may take to finish its requests; then the rest is cut."""
    objective_seconds: Positive = 2.0
    """Time to first token that counts as too long above, where the policy has no objective."""
    routing: Literal["Random", "LeastRequests"] = "Random"
    """How requests find a replica: by chance, as kube-proxy does, or to the least busy one."""
    engine: EngineFigures = Field(default_factory=EngineFigures)
