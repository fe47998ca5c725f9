"""A Model that sleeps has no replica; a gateway holds what is asked of it, and wakes it.

Each sleep has a name: the value of the annotation that asks for it, or when a policy has decided on
it. Who wakes the Model names the sleep that is over. So a wake may come late, or twice, or from
several gateways: it ends no later sleep, and no clocks are compared.
"""

from dataclasses import dataclass
from hashlib import blake2b

from modelfleet.api import labels
from modelfleet.api.v1alpha1.model import Model
from modelfleet.plan.objects.activator import activator_for
from modelfleet.plan.world import Key, Manifest, Observed

FIRST_PORT = 20_000
PORTS = 10_000
"""A gateway listens on a port for each Model that may sleep, and so knows whom a connection is for.
The range lies below those that kernels and NodePorts take."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """What comes of it."""

    model: Model
    """With as many replicas as it is to have now."""
    activator: tuple[Manifest, ...] = ()
    """The slice by which its Service leads to gateways: one, or none."""
    port: int | None = None
    """Of the gateways, for this Model."""


def sleep_of(model: Model) -> str | None:
    """Return the name of the sleep that a Model is in or is to begin; None: it is to be awake."""
    asked = model.metadata.annotations
    name = asked.get(labels.SLEEP) if model.spec.autoscaling is None else _decided(model)
    return None if name == asked.get(labels.WAKE) else name


def _decided(model: Model) -> str | None:
    """Return when a policy has decided on no replica."""
    told = model.status.autoscaling
    if told is None or told.replicas:
        return None
    return told.decisions[0].at if told.decisions else "from the beginning"


def may_sleep(model: Model) -> bool:
    """Whether requests may come while there is no replica. Scaled to zero by hand, it is off.

    Where a policy decides, it alone does.
    """
    if model.spec.autoscaling is not None:
        return True
    return labels.SLEEP in model.metadata.annotations and model.spec.replicas > 0


def held_for(model: Model, seen: Observed) -> int | None:
    """Return what a policy is told of requests that are held; None: nobody would hold any.

    Gateways that are gone for a moment wake nobody.
    """
    if not seen.gateways and (seen.activator is None or _decided(model) is None):
        return None
    return int(_decided(model) is not None and sleep_of(model) is None)


def sleep_for(model: Model, seen: Observed) -> Sleep:
    """Return what sleep makes of a Model, of which a policy may have decided the replicas.

    Where there are gateways, replicas go only when requests lead to these. kube-proxy hears of
    slices in the order in which they were written, so that there is no moment without an answer.
    """
    asleep = _is_asleep(model)
    port = _port_for(model, seen)
    return Sleep(
        model=_scaled(model, seen) if asleep else model,
        activator=() if port is None else (_slice_for(model, seen, port, asleep),),
        port=port,
    )


def _is_asleep(model: Model) -> bool:
    if model.spec.autoscaling is not None:
        return model.spec.replicas == 0
    return may_sleep(model) and sleep_of(model) is not None


def _scaled(model: Model, seen: Observed) -> Model:
    """Return a Model that sleeps without replicas, or with those it has until they may go."""
    running = sum(deployment.replicas for deployment in seen.deployments.values())
    waits = running and seen.gateways and not _leads_to_gateways(seen)
    replicas = (model.spec.replicas or running) if waits else 0
    return model.model_copy(update={"spec": model.spec.model_copy(update={"replicas": replicas})})


def _slice_for(model: Model, seen: Observed, port: int, asleep: bool) -> Manifest:
    """Return the slice. It leads nowhere at first, so that gateways listen before anyone comes."""
    needed = may_sleep(model) and (asleep or not seen.answers)
    held = seen.gateways if needed and seen.activator is not None else ()
    return activator_for(model, port, held)


def _leads_to_gateways(seen: Observed) -> bool:
    return seen.activator is not None and bool(seen.activator.ready)


def _needs_port(model: Model, seen: Observed) -> bool:
    if model.spec.autoscaling is not None:
        return seen.policy is not None and seen.policy.spec.scale_to_zero is not None
    return may_sleep(model)


def _port_for(model: Model, seen: Observed) -> int | None:
    """Return the Model's own port. It keeps the one it has for as long as it lives.

    None where it needs none, where no gateway is there, or where none is left.
    """
    key = Key("Model", model.metadata.namespace, model.metadata.name)
    has = seen.activator.port if seen.activator is not None else None
    if has is not None and seen.gateway_ports.get(has, key) == key:
        return has
    if seen.activator is None and not (seen.gateways and _needs_port(model, seen)):
        return None
    first = int.from_bytes(blake2b(f"{key.namespace}/{key.name}".encode(), digest_size=4).digest())
    tried = (FIRST_PORT + (first + step) % PORTS for step in range(PORTS))
    return next((port for port in tried if seen.gateway_ports.get(port, key) == key), None)
