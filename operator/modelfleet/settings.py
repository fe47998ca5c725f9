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


def from_environment(environment: Mapping[str, str], **flags: Any) -> Settings:
    """Read settings; a flag that is not None wins. Raises pydantic.ValidationError."""
    chosen = {
        name: environment[PREFIX + name.upper()]
        for name in Settings.model_fields
        if PREFIX + name.upper() in environment
    }
    chosen |= {name: value for name, value in flags.items() if value is not None}
    return Settings.model_validate(chosen)
