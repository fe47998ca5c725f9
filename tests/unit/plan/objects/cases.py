"""Models whose children are kept as golden files, and sent to a real API server.

After a change that is meant, write the files anew and read the difference:

    PYTHONPATH=tests python -m unit.plan.objects.cases
"""

from pathlib import Path
from typing import Any

import yaml

from modelfleet.api.v1alpha1 import Model
from modelfleet.plan import names, revision
from modelfleet.plan.objects.deployment import deployment_for
from modelfleet.plan.objects.disruption import disruption_budget_for
from modelfleet.plan.objects.pod import pod_template_for
from modelfleet.plan.objects.revision import controller_revision_for
from modelfleet.plan.objects.service import service_for
from modelfleet.plan.objects.serviceaccount import service_account_for
from modelfleet.plan.world import Manifest, Revision
from unit.plan.models import engine_named, model_with, pool_with

GOLDEN = Path(__file__).parent / "golden"

TAINT = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
POOLS = (
    pool_with("h100-spot", tolerations=[TAINT, {"key": "spot", "value": "true"}]),
    pool_with("h100", tolerations=[TAINT]),
)

MODELS: dict[str, Model] = {
    "vllm": model_with(
        "qwen-chat",
        {"labels": {"modelfleet.dev/team": "search", "app.kubernetes.io/instance": "argo-app"}},
        source={
            "uri": "hf://Qwen/Qwen2.5-7B-Instruct",
            "revision": "5f5d3a2",
            "secretRef": {"name": "hf-token"},
        },
        engine={
            "name": "vllm",
            "args": ["--max-model-len=8192"],
            "env": [{"name": "VLLM_LOGGING_LEVEL", "value": "DEBUG"}],
        },
        resources={"gpus": 2, "cpu": "8", "memory": "64Gi", "sharedMemory": "16Gi"},
        nodePools=["h100-spot", "h100"],
        adapters=[
            {"name": "legal", "source": {"uri": "hf://acme/legal-lora"}},
            {"name": "tax", "source": {"uri": "pvc://adapters/tax/v2"}},
        ],
        servedNames=["chat-default", "qwen"],
        podTemplate={
            "labels": {"example.com/tier": "gold", "app.kubernetes.io/part-of": "search"},
            "annotations": {"example.com/owner": "Ada"},
            "nodeSelector": {"topology.kubernetes.io/zone": "a"},
            "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "search"}],
            "serviceAccountName": "weights-reader",
            "priorityClassName": "serving",
            "runtimeClassName": "nvidia",
            "imagePullSecrets": [{"name": "registry"}],
        },
    ),
    "vllm-0.9": model_with(
        source={"uri": "s3://weights/qwen"},
        engine={"name": "vllm", "image": "vllm/vllm-openai:v0.9.2"},
        resources={"gpus": 1},
    ),
    "sglang": model_with(
        source={"uri": "oci://registry.example.com/models/qwen", "revision": f"sha256:{'0' * 64}"},
        engine={"name": "sglang"},
        resources={"gpus": 4},
        adapters=[{"name": "legal", "source": {"uri": "oci://registry.example.com/legal:1"}}],
    ),
    "llama-cpp": model_with(
        source={"uri": "pvc://weights/smol/model.gguf"},
        engine={"name": "llama-cpp", "args": ["-c", "4096"]},
        drain={"timeoutSeconds": 30},
        servedNames=["smol", "smol-lm"],
    ),
    "llama-cpp-gpu": model_with(
        source={"uri": "https://models.example.com/smol.gguf"},
        engine={"name": "llama-cpp"},
        resources={"gpus": 1},
    ),
    "tei": model_with(
        source={"uri": "hf://BAAI/bge-m3", "revision": "main"}, engine={"name": "tei"}
    ),
    "ollama": model_with(source={"uri": "pvc://store"}, engine={"name": "ollama"}),
    "triton": model_with(
        source={"uri": "oci://registry.example.com/repository:v3"},
        engine={"name": "triton"},
        resources={"gpus": 1},
    ),
}


def pools_of(model: Model) -> tuple[Any, ...]:
    """Return the pools that a Model of this file may use."""
    return POOLS if model.spec.resources.gpus else ()


def template_of(model: Model) -> Manifest:
    """Return the pod template that the built-in engine gives."""
    return pod_template_for(model, engine_named(model.spec.engine.name), pools_of(model))


def children_of(model: Model) -> list[Manifest]:
    """Return every child, in the order of creation."""
    wanted = revision.hash_for(model)
    snapshot = Revision(
        name=names.revision(model, wanted), hash=wanted, number=1, template=template_of(model)
    )
    return [
        controller_revision_for(model, snapshot),
        service_account_for(model),
        service_for(model),
        disruption_budget_for(model),
        deployment_for(model, snapshot, model.spec.replicas),
    ]


def text_of(case: str) -> str:
    """Return a golden file's content: the template alone, but all children of the first case."""
    model = MODELS[case]
    documents = children_of(model) if case == "vllm" else [template_of(model)]
    return yaml.dump_all(documents, Dumper=_Plain, sort_keys=False, width=100)


class _Plain(yaml.SafeDumper):
    """Write a value out each time, and no anchors."""

    def ignore_aliases(self, _: Any) -> bool:
        return True


if __name__ == "__main__":
    for case in MODELS:
        (GOLDEN / f"{case}.yaml").write_text(text_of(case), encoding="utf-8")
