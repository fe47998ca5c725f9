"""Parts of a pod that a user may write, as core/v1 writes them, and bounded."""

from typing import Annotated, Literal

from pydantic import Field

from modelfleet.api.fields import (
    AnnotationValues,
    Bool,
    Bytes,
    Count,
    Cpu,
    DnsName,
    EnvName,
    Labels,
    LabelValue,
    QualifiedName,
)
from modelfleet.api.quantity import amount
from modelfleet.api.schema import ATOMIC, Schema, list_map, rule


class LocalRef(Schema):
    """An object of the same namespace. There is no other kind of reference."""

    name: DnsName = Field(description="Name of the object, in the Model's namespace.")


class SecretKey(Schema):
    """One key of a Secret or ConfigMap of the same namespace."""

    name: DnsName = Field(description="Name of the Secret or ConfigMap.")
    key: Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)] = Field(
        description="The key whose value is taken."
    )
    optional: Bool | None = Field(
        default=None,
        description="Start without the variable where the object or key is missing; "
        "default: false, the pod waits for it.",
    )


class EnvSource(Schema):
    """Where a variable's value comes from."""

    secret_key_ref: SecretKey | None = Field(default=None, description="A key of a Secret.")
    config_map_key_ref: SecretKey | None = Field(default=None, description="A key of a ConfigMap.")

    @rule(
        "has(self.secretKeyRef) != has(self.configMapKeyRef)",
        "give exactly one of secretKeyRef and configMapKeyRef",
    )
    def one_of(self) -> bool:
        """Hold for exactly one source."""
        return (self.secret_key_ref is None) != (self.config_map_key_ref is None)


class EnvVar(Schema):
    """One environment variable of the engine."""

    name: EnvName = Field(description="Name of the variable.")
    value: Annotated[str, Field(max_length=4096)] | None = Field(
        default=None, description="The value as it is; default: empty, unless valueFrom is given."
    )
    value_from: EnvSource | None = Field(
        default=None, description="Takes the value from a Secret or ConfigMap."
    )

    @rule("!(has(self.value) && has(self.valueFrom))", "give value or valueFrom, not both")
    def one_of(self) -> bool:
        """Hold for at most one of the two."""
        return self.value is None or self.value_from is None


LEAST_MEMORY, MOST_MEMORY = "1Mi", "64Ti"


def _in_memory_bounds(size: str | None) -> bool:
    return size is None or amount(LEAST_MEMORY) <= amount(size) <= amount(MOST_MEMORY)


def _memory_rule(field: str) -> str:
    size = f"quantity(string(self.{field}))"
    return (
        f"!has(self.{field}) || !isQuantity(string(self.{field})) "
        f"|| ({size}.compareTo(quantity('{LEAST_MEMORY}')) >= 0 "
        f"&& {size}.compareTo(quantity('{MOST_MEMORY}')) <= 0)"
    )


class Amounts(Schema):
    """CPU and memory of one replica."""

    cpu: Cpu | None = Field(
        default=None,
        description="Cores that are requested, as in 4 or 500m; default: the Engine's, if any.",
    )
    memory: Bytes | None = Field(
        default=None,
        description="Bytes that are requested, as in 32Gi; given on a Model it is the limit too; "
        "default: the Engine's request, without a limit.",
    )
    shared_memory: Bytes | None = Field(
        default=None,
        description="Size of /dev/shm in bytes, as in 8Gi, which counts as memory; "
        "default: the Engine's, else half of the node's memory at most.",
    )

    @rule(_memory_rule("memory"), "is in bytes, 1Mi to 64Ti: write 32Gi for 32 GiB", ".memory")
    def memory_is_plausible(self) -> bool:
        """Catch `memory: 32`."""
        return _in_memory_bounds(self.memory)

    @rule(
        _memory_rule("sharedMemory"),
        "is in bytes, 1Mi to 64Ti: write 8Gi for 8 GiB",
        ".sharedMemory",
    )
    def shared_memory_is_plausible(self) -> bool:
        """Catch `sharedMemory: 8`."""
        return _in_memory_bounds(self.shared_memory)


class Toleration(Schema):
    """A core/v1 Toleration."""

    key: QualifiedName | None = Field(
        default=None, description="Key of the taint; default: any, which needs the operator Exists."
    )
    operator: Literal["Exists", "Equal"] | None = Field(
        default=None,
        description="Exists tolerates any value of the taint, Equal the one given; default: Equal.",
    )
    value: LabelValue | None = Field(
        default=None, description="Value of the taint, with the operator Equal; default: empty."
    )
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Effect of the taint; default: any."
    )
    toleration_seconds: Count | None = Field(
        default=None,
        description="Seconds for which a taint NoExecute is tolerated; default: for ever.",
    )

    @rule(
        "has(self.key) || (has(self.operator) && self.operator == 'Exists')",
        "without a key the operator must be Exists",
        ".operator",
    )
    def has_key_or_exists(self) -> bool:
        """Refuse here what would make every pod of the Model be refused."""
        return self.key is not None or self.operator == "Exists"

    @rule(
        "!has(self.value) || self.value == '' || !has(self.operator) || self.operator != 'Exists'",
        "must be empty where the operator is Exists",
        ".value",
    )
    def exists_takes_no_value(self) -> bool:
        """Hold as core/v1 does."""
        return not self.value or self.operator != "Exists"

    @rule(
        "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
        "goes only with the effect NoExecute",
        ".tolerationSeconds",
    )
    def seconds_are_for_eviction(self) -> bool:
        """Hold as core/v1 does."""
        return self.toleration_seconds is None or self.effect == "NoExecute"


Tolerations = Annotated[tuple[Toleration, ...], Field(max_length=32, json_schema_extra=ATOMIC)]


class PodTemplate(Schema):
    """The parts of a pod that a platform team adds. Everything else is the operator's."""

    labels: Labels = Field(
        default_factory=dict, description="Labels that are added to every pod; default: none."
    )
    annotations: AnnotationValues = Field(
        default_factory=dict, description="Annotations that are added to every pod; default: none."
    )
    node_selector: Labels = Field(
        default_factory=dict,
        description="Labels that a node must have, beside those of the pools; default: none.",
    )
    tolerations: Tolerations = Field(
        default=(),
        description="Taints that pods tolerate beside those of the pools; default: none.",
    )
    service_account_name: DnsName | None = Field(
        default=None,
        description="ServiceAccount of the pods; "
        "default: one with the Model's name, without a token.",
    )
    priority_class_name: DnsName | None = Field(
        default=None, description="PriorityClass of the pods; default: the cluster's."
    )
    runtime_class_name: DnsName | None = Field(
        default=None, description="RuntimeClass of the pods, as in nvidia; default: the node's."
    )
    image_pull_secrets: Annotated[
        tuple[LocalRef, ...], Field(max_length=8, json_schema_extra=list_map("name"))
    ] = Field(
        default=(),
        description="Secrets for the registries of the engine's image and of oci:// weights; "
        "default: none.",
    )

    @rule(
        "!has(self.labels) || self.labels.all(k, !k.startsWith('modelfleet.dev/') "
        "|| k == 'modelfleet.dev/team')",
        "labels under modelfleet.dev/ belong to the operator (modelfleet.dev/team is yours)",
        ".labels",
    )
    def own_labels(self) -> bool:
        """Keep users off the labels that select pods."""
        return all(
            not key.startswith("modelfleet.dev/") or key == "modelfleet.dev/team"
            for key in self.labels
        )
