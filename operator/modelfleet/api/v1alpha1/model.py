"""`Model`: a desired model server. Start reading here: this is what a user can ask for."""

import re
from typing import Annotated, ClassVar

from pydantic import Field

from modelfleet.api.conditions import Conditions
from modelfleet.api.fields import Between, Bool, Count, DnsLabel, Form, Generation, Image
from modelfleet.api.schema import ATOMIC, Column, Kind, Names, Schema, list_map, rule
from modelfleet.api.v1alpha1.autoscaling import Autoscaling, AutoscalingStatus
from modelfleet.api.v1alpha1.cost import ModelCost
from modelfleet.api.v1alpha1.pod import Amounts, LocalRef, PodTemplate
from modelfleet.api.v1alpha1.pod import EnvVar as EnvVar
from modelfleet.api.v1alpha1.pod import Toleration as Toleration
from modelfleet.api.v1alpha1.rollout import RolloutSpec, RolloutStatus

MAX_NAME = 50
"""A Model's name and its children's suffixes fit into the 63 characters of a Service's name."""

NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
URI = Form(
    '^(hf|oci|s3|gs|https|ollama|pvc)://[!"$->@-~]+$',
    "write a scheme and no space, as in hf://organisation/name, oci://image, s3://bucket/path, "
    "gs://bucket/path, https://host/file, ollama://name or pvc://claim/path",
    bare="^[A-Za-z0-9][-A-Za-z0-9._]*/[A-Za-z0-9][-A-Za-z0-9._]*$",
    prefix="hf://",
)


class Source(Schema):
    """Where the weights come from. The engine must understand the scheme; `Stalled` says if not."""

    uri: Annotated[
        str,
        Field(
            max_length=1024,
            description="Where the weights are: hf://organisation/name, oci://image, "
            "s3://bucket/path, gs://bucket/path, https://host/file, pvc://claim/path or "
            "ollama://name.",
        ),
        URI,
    ]
    revision: (
        Annotated[
            str,
            Field(
                pattern=r"^[A-Za-z0-9][-A-Za-z0-9._/:]*$",
                max_length=256,
                description="Commit, tag or digest of the weights; "
                "default: what the publisher gives.",
            ),
        ]
        | None
    ) = None
    secret_ref: LocalRef | None = Field(
        default=None,
        description="Secret of the same namespace whose key `token` the engine gets; "
        "default: none.",
    )

    @rule("!self.uri.contains('..')", "a path must not contain '..'", ".uri")
    def no_traversal(self) -> bool:
        """Refuse paths that climb."""
        return ".." not in self.uri

    @rule(
        "!self.uri.matches('^https://[^/]*@')",
        "credentials do not belong into a URI; use secretRef",
        ".uri",
    )
    def has_no_credentials(self) -> bool:
        """Keep passwords out of an object that many may read."""
        return not re.match("https://[^/]*@", self.uri)

    @rule(
        r"!self.uri.startsWith('hf://') || self.uri.matches('^hf://[A-Za-z0-9][-A-Za-z0-9._]*/[A-Za-z0-9][-A-Za-z0-9._]*$')",
        "write hf://organisation/name",
        ".uri",
    )
    def names_a_repository(self) -> bool:
        """Hold for `hf://organisation/name`."""
        part = r"[A-Za-z0-9][-A-Za-z0-9._]*"
        return not self.uri.startswith("hf://") or bool(
            re.fullmatch(f"hf://{part}/{part}", self.uri)
        )

    @rule(
        r"!self.uri.startsWith('pvc://') || self.uri.matches('^pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/[A-Za-z0-9._][-A-Za-z0-9._]*)*$')",
        "write pvc://claim or pvc://claim/path",
        ".uri",
    )
    def names_a_claim(self) -> bool:
        """Hold for `pvc://claim/path`."""
        claim, path = r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", r"(/[A-Za-z0-9._][-A-Za-z0-9._]*)*"
        return not self.uri.startswith("pvc://") or bool(
            re.fullmatch(f"pvc://{claim}{path}", self.uri)
        )


class EngineChoice(Schema):
    """Which engine serves the model, and what is added to its defaults."""

    name: DnsLabel = Field(
        description="An Engine: vllm, sglang, llama-cpp, tei, ollama, triton or one of your own."
    )
    image: Image | None = Field(
        default=None, description="Image of the engine; default: the one that the Engine names."
    )
    args: Annotated[
        tuple[Annotated[str, Field(max_length=4096)], ...],
        Field(max_length=128, json_schema_extra=ATOMIC),
    ] = Field(
        default=(),
        description="Arguments after the Engine's own, as in --max-model-len=8192; an argument of "
        "the Engine gives way to the same flag here; default: none.",
    )
    env: Annotated[tuple[EnvVar, ...], Field(max_length=64, json_schema_extra=list_map("name"))] = (
        Field(default=(), description="Variables of the engine's environment; default: none.")
    )


class Resources(Amounts):
    """What one replica takes. The GPU's resource name belongs to the pool."""

    gpus: Annotated[int, Between(0, 64)] = Field(
        default=0,
        description="GPUs of one replica, all on one node; default: 0, which runs it on the CPU.",
    )


class Adapter(Schema):
    """A LoRA adapter that is loaded with the model at its start."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][-A-Za-z0-9._]*$", max_length=63)] = Field(
        description="The name that requests use for the model with this adapter."
    )
    source: Source


class Startup(Schema):
    """How long a start may take."""

    deadline_seconds: Annotated[int, Between(10, 86400)] = Field(
        default=1800,
        description="Seconds from the container's start until the engine must be ready; "
        "default: 1800.",
    )


class Drain(Schema):
    """How long a leaving replica may finish its requests."""

    timeout_seconds: Annotated[int, Between(0, 3600)] = Field(
        default=120,
        description="Seconds in which a leaving replica may finish its requests; default: 120.",
    )


ServedName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][-A-Za-z0-9._/:]*$", max_length=128)]


class ModelSpec(Schema):
    """The model that a user wants to be served."""

    source: Source
    license: Annotated[str, Field(pattern=r"^[^\n\r]*$", max_length=128)] | None = Field(
        default=None,
        description="License of the weights, as an SPDX expression or as the publisher calls it, "
        "for people to read; default: none.",
    )
    engine: EngineChoice
    resources: Resources = Field(default_factory=Resources)
    node_pools: Annotated[
        tuple[DnsLabel, ...],
        Field(
            max_length=16,
            json_schema_extra=ATOMIC,
            description="GPUNodePools that may hold replicas, best first; "
            "default: every pool, by name.",
        ),
    ] = ()
    replicas: Annotated[int, Between(0, 1000)] = Field(
        default=1,
        description="How many pods serve the model; default: 1. Not looked at with `autoscaling`.",
    )
    autoscaling: Autoscaling | None = Field(
        default=None,
        description="Let a policy decide about replicas; default: spec.replicas says how many.",
    )
    adapters: Annotated[
        tuple[Adapter, ...], Field(max_length=32, json_schema_extra=list_map("name"))
    ] = Field(
        default=(), description="LoRA adapters that are loaded with the model; default: none."
    )
    startup: Startup = Field(default_factory=Startup)
    drain: Drain = Field(default_factory=Drain)
    pod_template: PodTemplate = Field(default_factory=PodTemplate)
    served_names: Annotated[
        tuple[ServedName, ...],
        Field(
            max_length=16,
            json_schema_extra=ATOMIC,
            description="Names that requests use for the model; default: the Model's own name.",
        ),
    ] = ()
    rollout: RolloutSpec = Field(default_factory=RolloutSpec)
    revision_history_limit: Annotated[int, Between(1, 50)] = Field(
        default=10, description="How many revisions are kept to go back to; default: 10."
    )
    paused: Bool = Field(
        default=False,
        description="Write nothing for this Model while true, and only report; default: false.",
    )

    @rule(
        "!has(self.nodePools) || self.nodePools.all(x, self.nodePools.exists_one(y, x == y))",
        "a pool is named twice",
        ".nodePools",
    )
    def pools_once(self) -> bool:
        """Hold where each pool is named once."""
        return len(set(self.node_pools)) == len(self.node_pools)

    @rule(
        "!has(self.servedNames) || self.servedNames.all(x, self.servedNames.exists_one(y, x == y))",
        "a name is given twice",
        ".servedNames",
    )
    def served_names_once(self) -> bool:
        """Hold where each name is given once."""
        return len(set(self.served_names)) == len(self.served_names)

    @rule(
        "!has(self.adapters) || !has(self.servedNames) "
        "|| !self.adapters.exists(a, a.name in self.servedNames)",
        "an adapter has a name of servedNames, so a request would not know which is meant",
        ".adapters",
    )
    def adapters_have_names_of_their_own(self) -> bool:
        """Keep the names that requests use apart."""
        return not {adapter.name for adapter in self.adapters} & set(self.served_names)


class StartupPhases(Schema):
    """The last cold start of a replica, in whole seconds; the phases sum to the total."""

    scheduling_seconds: Count = Field(description="Seconds until a node was found.")
    pulling_seconds: Count = Field(description="Seconds from there until the container ran.")
    loading_seconds: Count = Field(description="Seconds from there until the engine was ready.")
    total_seconds: Count = Field(description="Seconds from the pod's creation until it was ready.")


class ModelStatus(Schema):
    """What is so. `Ready` sums it up; `Reconciling` waits; `Stalled` needs a person."""

    observed_generation: Generation = Field(
        default=-1, description="The metadata.generation that this status is about."
    )
    conditions: Conditions = Field(
        default=(), description="Ready sums up; Reconciling waits; Stalled needs a person."
    )
    replicas: Count = Field(default=0, description="Pods of all revisions that have not ended.")
    ready_replicas: Count = Field(default=0, description="Those of them that are ready.")
    desired_replicas: Count | None = Field(
        default=None, description="How many there should be, by spec.replicas or by autoscaling."
    )
    selector: Annotated[str, Field(max_length=512)] | None = Field(
        default=None, description="Label selector of the Model's pods, for kubectl scale and HPA."
    )
    endpoint: Annotated[str, Field(max_length=512)] | None = Field(
        default=None, description="Base URL of the OpenAI API, inside the cluster."
    )
    current_revision: Annotated[str, Field(max_length=63)] | None = Field(
        default=None, description="The revision that the spec asks for."
    )
    stable_revision: Annotated[str, Field(max_length=63)] | None = Field(
        default=None, description="The revision whose replicas were all ready last."
    )
    startup: StartupPhases | None = None
    rollout: RolloutStatus | None = None
    cost: ModelCost | None = None
    autoscaling: AutoscalingStatus | None = None


class Model(Kind):
    """A model that is served in this cluster."""

    names: ClassVar[Names] = Names(kind="Model", plural="models", short="mdl")
    scale: ClassVar[dict[str, str] | None] = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    selectable: ClassVar[tuple[str, ...]] = (".spec.engine.name", ".spec.source.uri")
    columns: ClassVar[tuple[Column, ...]] = (
        Column(name="Engine", path=".spec.engine.name"),
        Column(name="GPUs", path=".spec.resources.gpus", type="integer"),
        Column(name="Desired", path=".status.desiredReplicas", type="integer"),
        Column(name="Ready", path=".status.readyReplicas", type="integer"),
        Column(name="Status", path='.status.conditions[?(@.type=="Ready")].reason'),
        Column(name="Strategy", path=".status.rollout.strategy"),
        Column(name="Weight", path=".status.rollout.weight", type="integer"),
        Column(name="$/h", path=".status.cost.hourly", priority=1),
        Column(name="Month $", path=".status.cost.monthToDate", priority=1),
        Column(name="$/M tokens", path=".status.cost.perMillionTokens", priority=1),
        Column(name="Used %", path=".status.cost.utilizationPercent", type="integer", priority=1),
        Column(name="Scaling", path=".status.autoscaling.reason"),
        Column(name="Decision", path=".status.autoscaling.message", priority=1),
        Column(name="Revision", path=".status.currentRevision", priority=1),
        Column(name="Source", path=".spec.source.uri", priority=1),
        Column(name="Message", path='.status.conditions[?(@.type=="Ready")].message', priority=1),
        Column(name="Age", path=".metadata.creationTimestamp", type="date"),
        Column(name="Rollout", path=".status.rollout.message"),
    )

    spec: ModelSpec
    status: ModelStatus = Field(default_factory=ModelStatus)

    @rule(
        f"size(self.metadata.name) <= {MAX_NAME} && self.metadata.name.matches('{NAME_PATTERN}')",
        f"at most {MAX_NAME} characters: lower case, digits and '-', a letter first",
        ".metadata.name",
    )
    def fits(self) -> bool:
        """Leave room for the suffixes of the children's names."""
        name = self.metadata.name
        return len(name) <= MAX_NAME and bool(re.fullmatch(NAME_PATTERN, name))
