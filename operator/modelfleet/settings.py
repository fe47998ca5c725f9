"""What an installation may set: environment variables named MODELFLEET_<FIELD>, or flags."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

PREFIX = "MODELFLEET_"


def _split(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _host_and_port(address: str) -> str:
    port = address.rpartition(":")[2]
    if ":" not in address or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"write host:port, not {address!r}")
    return address


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]


class Settings(BaseModel):
    """The operator's configuration. Durations are in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workers: Annotated[int, Field(ge=1, le=256)] = 16
    namespaces: Names = ()
    """Where to look for objects. Empty: everywhere."""
    kubeconfig: str = ""
    """A file; empty: in the cluster, else $KUBECONFIG, else ~/.kube/config."""
    context: str = ""
    namespace: str = "modelfleet-system"
    """Where the operator itself runs and keeps its Lease."""
    leader_election: bool = True
    lease_name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")] = (
        "modelfleet"
    )
    lease_seconds: Annotated[float, Field(gt=0)] = 15.0
    renew_seconds: Annotated[float, Field(gt=0)] = 10.0
    retry_seconds: Annotated[float, Field(gt=0)] = 2.0
    identity: str = ""
    """This process among the candidates; the pod's name. Empty: the host's name."""
    metrics_address: Annotated[str, AfterValidator(_host_and_port)] = "0.0.0.0:8080"
    gateway_service: str = "modelfleet-gateway"
    """The Service of the gateways, in `namespace`. Where there is none, nothing is held."""
    resync_seconds: Annotated[float, Field(gt=0)] = 300.0
    """How often every object is looked at, whatever happened."""
    ledger_seconds: Annotated[float, Field(gt=0)] = 60.0
    """How often the ledger keeps a checkpoint. A crash makes that much an estimate."""
    request_seconds: Annotated[float, Field(gt=0)] = 30.0
    connections: Annotated[int, Field(ge=1)] = 64
    """To the API server, watches not counted."""
    shutdown_seconds: Annotated[float, Field(ge=0)] = 20.0
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "text"] = "json"


class GatewaySettings(BaseModel):
    """A gateway's configuration. Durations are in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    namespaces: Names = ()
    """Where to look for Models. Empty: everywhere."""
    kubeconfig: str = ""
    context: str = ""
    host: str = "0.0.0.0"
    """The address to listen at, on a port for each Model that may sleep."""
    metrics_address: Annotated[str, AfterValidator(_host_and_port)] = "0.0.0.0:8080"
    most_requests: Annotated[int, Field(ge=1)] = 1000
    """Held for one Model."""
    most_bytes: Annotated[int, Field(ge=1)] = 64 * 2**20
    """Held for one Model."""
    total_bytes: Annotated[int, Field(ge=1)] = 512 * 2**20
    """Held for all Models."""
    hold_seconds: Annotated[float, Field(gt=0)] = 600.0
    """The longest time that a request is held, however long a start may take."""
    request_seconds: Annotated[float, Field(gt=0)] = 30.0
    connections: Annotated[int, Field(ge=1)] = 16
    """To the API server, watches not counted."""
    leave_seconds: Annotated[float, Field(ge=0)] = 5.0
    """Until Services have heard that no new requests are taken."""
    shutdown_seconds: Annotated[float, Field(ge=0)] = 120.0
    """In which requests that are here may end after that."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "text"] = "json"


def from_environment(environment: Mapping[str, str], **flags: Any) -> Settings:
    """Read settings; a flag that is not None wins. Raises pydantic.ValidationError."""
    return Settings.model_validate(_chosen(Settings, environment, flags))


def gateway_from_environment(environment: Mapping[str, str], **flags: Any) -> GatewaySettings:
    """Do the same for a gateway."""
    return GatewaySettings.model_validate(_chosen(GatewaySettings, environment, flags))


def _chosen(
    form: type[BaseModel], environment: Mapping[str, str], flags: Mapping[str, Any]
) -> dict[str, Any]:
    chosen: dict[str, Any] = {
        name: environment[PREFIX + name.upper()]
        for name in form.model_fields
        if PREFIX + name.upper() in environment
    }
    return chosen | {name: value for name, value in flags.items() if value is not None}
