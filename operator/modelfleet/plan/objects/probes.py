"""How the kubelet asks an engine, and how long it waits when it ends one."""

from math import ceil

from modelfleet.api.v1alpha1.engine import Engine
from modelfleet.api.v1alpha1.model import Model
from modelfleet.plan import command
from modelfleet.plan.world import Manifest

ANSWER_SECONDS = 5
"""A loaded engine answers its health path late, behind its requests."""

LIVENESS_PERIOD, LIVENESS_FAILURES, LIVENESS_ANSWER_SECONDS = 20, 6, 10
"""Two minutes: a restart costs the whole load time, so only a dead engine may pay it."""

EXIT_SECONDS = 15
"""Between the last answer and the exit: an idle vLLM needs 8 s. An engine that failed its startup
or liveness probe has nothing to drain, so it gets no more than that."""


def probes_for(model: Model, engine: Engine) -> Manifest:
    """Return the three probes. The startup probe may fail for the Model's whole deadline."""
    paths, period = engine.spec.probes, engine.spec.probes.period_seconds
    return {
        "startupProbe": {
            **_get(paths.startup),
            "periodSeconds": period,
            "timeoutSeconds": ANSWER_SECONDS,
            "failureThreshold": ceil(model.spec.startup.deadline_seconds / period),
            "terminationGracePeriodSeconds": EXIT_SECONDS,
        },
        "readinessProbe": {
            **_get(paths.readiness),
            "periodSeconds": period,
            "timeoutSeconds": ANSWER_SECONDS,
            "failureThreshold": 3,
        },
        "livenessProbe": {
            **_get(paths.liveness),
            "periodSeconds": LIVENESS_PERIOD,
            "timeoutSeconds": LIVENESS_ANSWER_SECONDS,
            "failureThreshold": LIVENESS_FAILURES,
            "terminationGracePeriodSeconds": EXIT_SECONDS,
        },
    }


def pre_stop_seconds(model: Model, engine: Engine) -> int:
    """Return how long SIGTERM waits: for routes, and where the engine cuts, for its requests."""
    moving = engine.spec.drain.pre_stop_seconds
    if command.finishes_on_sigterm(model, engine):
        return moving
    return moving + model.spec.drain.timeout_seconds


def grace_seconds(model: Model, engine: Engine) -> int:
    """Return preStop + drain + exit, of which the drain is before SIGTERM or after it."""
    drain = model.spec.drain.timeout_seconds
    return engine.spec.drain.pre_stop_seconds + drain + EXIT_SECONDS


def _get(path: str) -> Manifest:
    return {"httpGet": {"path": path, "port": "http"}}
