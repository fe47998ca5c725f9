"""The gateways that there are, and which of their ports stands for which Model."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from modelfleet.cluster import parse, rest
from modelfleet.cluster.store import Store
from modelfleet.plan.world import Endpoints, Key

SLICES = replace(rest.ENDPOINT_SLICES, kind="GatewayEndpointSlice")
"""Those of the gateways' own Service; counted apart from the slices of Models."""


class Gateways:
    """Feed the store, and tell of the ports of Models."""

    def __init__(self) -> None:
        self.slices: Store[Endpoints] = Store(SLICES, parse.endpoints)
        self._ports: dict[int, Key] = {}
        self._port_of: dict[Key, int] = {}

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Have `changed` called whenever other gateways take requests."""
        self.slices.subscribe(lambda old, new: changed())  # noqa: ARG005

    def ready(self) -> tuple[str, ...]:
        """Return the addresses of those that take requests."""
        return tuple(sorted({address for one in self.slices for address in one.ready}))

    @property
    def ports(self) -> Mapping[int, Key]:
        """The ports that are given away, as they are now."""
        return MappingProxyType(self._ports)

    def __contains__(self, key: Key) -> bool:
        """Whether a Model has one."""
        return key in self._port_of

    def note_port(self, key: Key, port: int | None) -> None:
        """Remember a Model's port as soon as it is decided on: others decide at the same time."""
        if port is not None:
            self.free_port(key)
            self._ports.setdefault(port, key)
            self._port_of[key] = port

    def free_port(self, key: Key) -> None:
        """Forget the port of a Model that is gone."""
        port = self._port_of.pop(key, None)
        if port is not None and self._ports.get(port) == key:
            del self._ports[port]
