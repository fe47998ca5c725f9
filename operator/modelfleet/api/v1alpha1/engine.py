"""`Engine`: a serving engine as data, so that a new one needs YAML and no code."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from modelfleet.api.conditions import Conditions
from modelfleet.api.fields import Between, Bool, EnvName, Generation, Image
from modelfleet.api.schema import ATOMIC, SET, Column, Kind, Names, Schema, list_map
from modelfleet.api.v1alpha1.pod import Amounts, EnvVar

Text = Annotated[str, Field(max_length=4096)]
Path = Annotated[str, Field(pattern="^/[!-~]*$", max_length=256)]
Scheme = Literal["hf", "oci", "s3", "gs", "https", "ollama", "pvc"]
Version = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+){0,2}$", max_length=32)]
Port = Annotated[int, Between(1, 65535)]
When = Literal["GPU", "NoGPU", "MultiGPU", "Adapters", "Drain"]
Flag = Annotated[str, Field(pattern="^-[!-<>-~]+$", max_length=128)]
Signal = Literal[
    "running",
    "waiting",
    "kvCacheUsage",
    "promptTokens",
    "generationTokens",
    "timeToFirstToken",
    "timePerOutputToken",
    "succeeded",
    "errors",
    "aborted",
    "preemptions",
]


class ArgumentGroup(Schema):
    """Arguments that are given together, and when. They give way to the same flag of the user.

    Placeholders in `values`: `{model}` (what the source gives the engine), `{port}`, `{gpus}`,
    `{cache}` (a writable directory), `{drainSeconds}`, `{name}` (the first served name),
    `{nameList}` (all, with commas), `{adapterList}` (by `adapters.argument`, with commas). Alone
    in a value, `{names}` and `{adapters}` become one argument for each. A literal brace is
    written twice.
    """

    values: Annotated[
        tuple[Text, ...], Field(min_length=1, max_length=32, json_schema_extra=ATOMIC)
    ]
    when: When | None = Field(default=None, description="none: always")
    since: Version | None = Field(
        default=None, description="first engine version that knows them; an unknown version is new"
    )


class SourceSupport(Schema):
    """How the engine reads one scheme of `Model.spec.source.uri`.

    Placeholders in `model`: `{uri}`, `{path}` (the URI without its scheme), `{mount}` (where an
    oci image or a claim is mounted; for a claim, its path is added). In `args` and `env`:
    `{model}`, `{cache}`; in `revisionArgs` also `{revision}`.
    """

    scheme: Scheme
    model: Text = Field(description="the value of {model}")
    args: Annotated[tuple[Text, ...], Field(max_length=32, json_schema_extra=ATOMIC)] = ()
    revision_args: Annotated[tuple[Text, ...], Field(max_length=8, json_schema_extra=ATOMIC)] = (
        Field(
            default=(),
            description="given with spec.source.revision; none: a revision is refused "
            "(for oci it is the image's tag or digest and needs no argument)",
        )
    )
    env: Annotated[
        tuple[EnvVar, ...], Field(max_length=32, json_schema_extra=list_map("name"))
    ] = ()
    token_env: EnvName | None = Field(
        default=None, description="variable that takes the key `token` of spec.source.secretRef"
    )
    since: Version | None = Field(
        default=None, description="first engine version that reads it; an unknown version is new"
    )


class AdapterSupport(Schema):
    """How adapters are given at the start. Placeholders: `{name}`, `{path}`, `{index}`.

    `{path}` is a repository's `organisation/name` for hf, else where the adapter is mounted.
    """

    argument: Text
    schemes: Annotated[
        tuple[Literal["hf", "oci", "pvc"], ...],
        Field(min_length=1, max_length=3, json_schema_extra=SET),
    ]


class Probes(Schema):
    """HTTP paths on the engine's port. The startup probe's budget is the Model's deadline."""

    startup: Path
    readiness: Path
    liveness: Path
    period_seconds: Annotated[int, Between(1, 300)] = 5


class DrainSupport(Schema):
    """What the engine does on SIGTERM, and what we do first.

    `Finishes`: it ends its requests by itself, within its argument or the grace period.
    `Cuts`: it drops running requests, so SIGTERM waits out the Model's whole drain time.
    """

    on_sigterm: Literal["Finishes", "Cuts"]
    since: Version | None = Field(
        default=None, description="first engine version that finishes; older ones cut"
    )
    pre_stop_seconds: Annotated[int, Between(1, 300)] = Field(
        default=5, description="before SIGTERM, while routes still move away"
    )


class MetricNames(Schema):
    """The names under which a signal may be found, newest first.

    Series are summed, but for kvCacheUsage the fullest one counts. With `label`, only series
    count whose label has one of `values`.
    """

    signal: Signal
    names: Annotated[
        tuple[Annotated[str, Field(max_length=256)], ...],
        Field(min_length=1, max_length=8, json_schema_extra=ATOMIC),
    ]
    label: Annotated[str, Field(max_length=128)] | None = None
    values: Annotated[
        tuple[Annotated[str, Field(max_length=128)], ...],
        Field(max_length=16, json_schema_extra=ATOMIC),
    ] = ()


class Metrics(Schema):
    """Where the engine's Prometheus page is. Absent: the engine has none."""

    path: Path = "/metrics"
    port: Port | None = Field(default=None, description="none: the engine's port")
    signals: Annotated[
        tuple[MetricNames, ...], Field(max_length=32, json_schema_extra=list_map("signal"))
    ] = ()


class Security(Schema):
    """The user that the engine's image runs as; root is refused."""

    run_as_user: Annotated[int, Between(1, 2147483647)] = 65532
    read_only_root: Bool = True


class Defaults(Amounts):
    """Requests of a replica where the Model does not say. A guess requests, it never limits."""


class EngineSpec(Schema):
    """How the engine is started, probed, drained and read."""

    image: Image
    cpu_image: Image | None = Field(
        default=None, description="where a Model takes no GPU; none: the same image"
    )
    version: Version | None = Field(
        default=None, description="of the default image; else taken from the image's tag"
    )
    minimum_version: Version | None = Field(
        default=None, description="older images are refused: what is written here does not hold"
    )
    command: Annotated[tuple[Text, ...], Field(max_length=16, json_schema_extra=ATOMIC)] = ()
    args: Annotated[tuple[ArgumentGroup, ...], Field(max_length=64, json_schema_extra=ATOMIC)] = ()
    env: Annotated[
        tuple[EnvVar, ...], Field(max_length=64, json_schema_extra=list_map("name"))
    ] = ()
    reserved_args: Annotated[tuple[Flag, ...], Field(max_length=64, json_schema_extra=SET)] = Field(
        default=(), description="flags that a Model may not give: other fields stand for them"
    )
    reserved_env: Annotated[tuple[EnvName, ...], Field(max_length=64, json_schema_extra=SET)] = (
        Field(default=(), description="variables that a Model may not give")
    )
    port: Port
    sources: Annotated[
        tuple[SourceSupport, ...],
        Field(min_length=1, max_length=8, json_schema_extra=list_map("scheme")),
    ]
    probes: Probes
    drain: DrainSupport
    metrics: Metrics | None = None
    adapters: AdapterSupport | None = None
    security: Security = Field(default_factory=Security)
    defaults: Defaults = Field(default_factory=Defaults)


class EngineStatus(Schema):
    """Whether the document can be used."""

    observed_generation: Generation = -1
    conditions: Conditions = ()


class Engine(Kind):
    """A serving engine. An object replaces the built-in of the same name."""

    names: ClassVar[Names] = Names(kind="Engine", plural="engines", short="eng", scope="Cluster")
    columns: ClassVar[tuple[Column, ...]] = (
        Column(name="Image", path=".spec.image"),
        Column(name="Port", path=".spec.port", type="integer"),
        Column(name="Status", path='.status.conditions[?(@.type=="Ready")].reason'),
        Column(name="Age", path=".metadata.creationTimestamp", type="date"),
    )

    spec: EngineSpec
    status: EngineStatus = Field(default_factory=EngineStatus)
