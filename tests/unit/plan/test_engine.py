"""What each engine is started with, and what it refuses with which advice."""

from typing import Any

import pytest

from modelfleet.api.conditions import Reason
from modelfleet.plan import command
from modelfleet.plan.engine import why_invalid, why_unusable
from unit.plan.models import engine_named, engine_with, model_with

HF = {"uri": "hf://acme/tiny"}
PVC = {"uri": "pvc://weights/tiny"}
DIGEST = f"sha256:{'a' * 64}"


VLLM = "--host 0.0.0.0 --port 8000 --served-model-name"
SGLANG = "--host 0.0.0.0 --port 30000 --served-model-name chat --enable-metrics"
LLAMA = "--host 0.0.0.0 --port 8080 --alias chat --metrics"
TRITON = (
    "--http-address=0.0.0.0 --http-port=8000 --allow-metrics=true --metrics-address=0.0.0.0 "
    "--metrics-port=8002"
)
DRAIN = "--shutdown-timeout 120"


@pytest.mark.parametrize(
    ("engine", "spec", "expected"),
    [
        pytest.param("vllm", {}, f"acme/tiny {VLLM} chat {DRAIN}", id="vllm: the least"),
        pytest.param(
            "vllm",
            {"source": HF | {"revision": "abc"}},
            f"acme/tiny {VLLM} chat {DRAIN} --revision abc",
            id="vllm: pinned revision",
        ),
        pytest.param(
            "vllm",
            {"servedNames": ["a", "b"]},
            f"acme/tiny {VLLM} a b {DRAIN}",
            id="vllm: several names",
        ),
        pytest.param(
            "vllm",
            {"resources": {"gpus": 1}},
            f"acme/tiny {VLLM} chat {DRAIN}",
            id="vllm: one GPU is not parallel",
        ),
        pytest.param(
            "vllm",
            {"resources": {"gpus": 4}},
            f"acme/tiny {VLLM} chat --tensor-parallel-size 4 {DRAIN}",
            id="vllm: tensor parallel",
        ),
        pytest.param(
            "vllm",
            {"resources": {"gpus": 4}, "engine": {"args": ["--tensor_parallel_size=2"]}},
            f"acme/tiny {VLLM} chat {DRAIN} --tensor_parallel_size=2",
            id="vllm: the user tunes, and ours gives way",
        ),
        pytest.param(
            "vllm",
            {"drain": {"timeoutSeconds": 0}},
            f"acme/tiny {VLLM} chat",
            id="vllm: nothing to drain",
        ),
        pytest.param(
            "vllm",
            {"engine": {"image": "vllm/vllm-openai:v0.17.1"}},
            f"acme/tiny {VLLM} chat",
            id="vllm: flag unknown to an older version",
        ),
        pytest.param(
            "vllm",
            {"engine": {"image": f"mirror.example.com/vllm@{DIGEST}"}},
            f"acme/tiny {VLLM} chat {DRAIN}",
            id="vllm: unknown version is new",
        ),
        pytest.param(
            "vllm",
            {"source": PVC},
            f"/mnt/model/tiny {VLLM} chat {DRAIN}",
            id="vllm: folder of a claim",
        ),
        pytest.param(
            "vllm",
            {"source": {"uri": "pvc://weights"}},
            f"/mnt/model {VLLM} chat {DRAIN}",
            id="vllm: whole claim",
        ),
        pytest.param(
            "vllm",
            {"source": {"uri": "oci://registry.example.com/tiny:1"}},
            f"/mnt/model {VLLM} chat {DRAIN}",
            id="vllm: image volume",
        ),
        pytest.param(
            "vllm",
            {"source": {"uri": "s3://bucket/$(HOME)/tiny"}},
            f"s3://bucket/$$(HOME)/tiny {VLLM} chat {DRAIN} --load-format runai_streamer",
            id="vllm: bucket, and no variable of the kubelet",
        ),
        pytest.param(
            "vllm",
            {
                "adapters": [
                    {"name": "a", "source": {"uri": "hf://acme/a"}},
                    {"name": "b", "source": {"uri": "pvc://lora/b"}},
                ]
            },
            f"acme/tiny {VLLM} chat --enable-lora --lora-modules a=acme/a "
            f"b=/mnt/adapters/b/b {DRAIN}",
            id="vllm: adapters",
        ),
        pytest.param("sglang", {}, f"--model-path acme/tiny {SGLANG}", id="sglang: the least"),
        pytest.param(
            "sglang",
            {"resources": {"gpus": 2}, "source": HF | {"revision": "abc"}},
            f"--model-path acme/tiny {SGLANG} --tp-size 2 --revision abc",
            id="sglang: two GPUs, pinned",
        ),
        pytest.param("llama-cpp", {}, f"{LLAMA} --hf-repo acme/tiny", id="llama-cpp: repository"),
        pytest.param(
            "llama-cpp",
            {"resources": {"gpus": 1}},
            f"{LLAMA} --n-gpu-layers 999 --hf-repo acme/tiny",
            id="llama-cpp: GPU",
        ),
        pytest.param(
            "llama-cpp",
            {"resources": {"gpus": 1}, "engine": {"args": ["--n-gpu-layers", "20"]}},
            f"{LLAMA} --hf-repo acme/tiny --n-gpu-layers 20",
            id="llama-cpp: some layers",
        ),
        pytest.param(
            "llama-cpp",
            {"source": {"uri": "pvc://weights/tiny.gguf"}},
            f"{LLAMA} --model /mnt/model/tiny.gguf",
            id="llama-cpp: file of a claim",
        ),
        pytest.param(
            "llama-cpp",
            {"source": {"uri": "oci://registry.example.com/tiny"}},
            f"{LLAMA} --model /mnt/model/model.gguf",
            id="llama-cpp: file of an image",
        ),
        pytest.param(
            "llama-cpp",
            {"source": {"uri": "https://example.com/tiny.gguf"}},
            f"{LLAMA} --model-url https://example.com/tiny.gguf",
            id="llama-cpp: download",
        ),
        pytest.param(
            "llama-cpp",
            {
                "adapters": [
                    {"name": "a", "source": {"uri": "pvc://lora/a.gguf"}},
                    {"name": "b", "source": {"uri": "pvc://lora/b.gguf"}},
                ]
            },
            f"{LLAMA} --lora /mnt/adapters/a/a.gguf,/mnt/adapters/b/b.gguf --hf-repo acme/tiny",
            id="llama-cpp: adapters in one argument",
        ),
        pytest.param(
            "tei",
            {},
            "--model-id acme/tiny --hostname 0.0.0.0 --port 8080 --served-model-name chat "
            "--huggingface-hub-cache /cache/huggingface",
            id="tei",
        ),
        pytest.param("ollama", {"source": PVC}, "serve", id="ollama"),
        pytest.param(
            "triton",
            {"source": PVC},
            f"--model-repository=/mnt/model/tiny {TRITON} --exit-timeout-secs=120",
            id="triton",
        ),
    ],
)
def test_arguments(engine: str, spec: dict[str, Any], expected: str) -> None:
    choice = {"name": engine} | spec.get("engine", {})
    model = model_with(**{"source": HF} | spec | {"engine": choice})

    assert " ".join(command.arguments_for(model, engine_named(engine))) == expected


@pytest.mark.parametrize(
    ("engine", "spec", "reason", "advice"),
    [
        pytest.param(
            "vllm",
            {"source": {"uri": "ollama://tiny"}},
            Reason.UNSUPPORTED_SOURCE,
            "spec.source.uri: vllm does not read ollama://; it reads hf://, pvc://, oci://, s3://, "
            "gs://. Put the weights there, or choose another engine",
            id="scheme",
        ),
        pytest.param(
            "ollama",
            {"source": {"uri": "ollama://tiny"}},
            Reason.UNSUPPORTED_SOURCE,
            "spec.source.uri: ollama does not read ollama://; it reads pvc://, oci://. "
            "Put the weights there, or choose another engine",
            id="ollama pulls nothing",
        ),
        pytest.param(
            "vllm",
            {"source": {"uri": "gs://b/tiny"}, "engine": {"image": "vllm/vllm-openai:v0.10.2"}},
            Reason.UNSUPPORTED_SOURCE,
            "spec.source.uri: vllm reads gs:// since 0.11; use a newer spec.engine.image",
            id="scheme of a later version",
        ),
        pytest.param(
            "vllm",
            {"engine": {"image": "vllm/vllm-openai:v0.6.0"}},
            Reason.UNSUPPORTED_FEATURE,
            "spec.engine.image: vllm/vllm-openai:v0.6.0 is older than vllm 0.8.5; "
            "use a newer image, or leave it out for vllm/vllm-openai:v0.33.0",
            id="old image",
        ),
        pytest.param(
            "llama-cpp",
            {"source": HF | {"revision": "abc"}},
            Reason.UNSUPPORTED_FEATURE,
            "spec.source.revision: llama-cpp cannot pin a revision of hf://; leave it out, "
            "or use a path or file that never changes",
            id="revision that nothing would enforce",
        ),
        pytest.param(
            "vllm",
            {"source": {"uri": "oci://registry.example.com:5000/tiny:1", "revision": "2"}},
            Reason.INVALID_SPEC,
            "spec.source.revision: oci://registry.example.com:5000/tiny:1 has a tag or digest "
            "already; give it once",
            id="tag twice",
        ),
        pytest.param(
            "vllm",
            {
                "source": {
                    "uri": "oci://registry.example.com/tiny",
                    "secretRef": {"name": "registry"},
                }
            },
            Reason.UNSUPPORTED_FEATURE,
            "spec.source.secretRef: vllm takes no token for oci://; name the Secret in "
            "spec.podTemplate.imagePullSecrets",
            id="pull secret in the wrong place",
        ),
        pytest.param(
            "vllm",
            {"source": {"uri": "s3://bucket/tiny", "secretRef": {"name": "aws"}}},
            Reason.UNSUPPORTED_FEATURE,
            "spec.source.secretRef: vllm takes no token for s3://; give the credentials as "
            "spec.engine.env or by spec.podTemplate.serviceAccountName",
            id="bucket credentials",
        ),
        pytest.param(
            "vllm",
            {
                "source": HF | {"secretRef": {"name": "one"}},
                "adapters": [
                    {"name": "a", "source": {"uri": "hf://a/b", "secretRef": {"name": "two"}}}
                ],
            },
            Reason.INVALID_SPEC,
            "spec.adapters[a].source.secretRef: vllm takes one token for all sources of hf://; "
            "use the same Secret",
            id="two tokens",
        ),
        pytest.param(
            "tei",
            {"adapters": [{"name": "a", "source": {"uri": "hf://a/b"}}]},
            Reason.UNSUPPORTED_FEATURE,
            "spec.adapters: tei takes no adapters; merge them into the weights, or choose "
            "another engine",
            id="no adapters",
        ),
        pytest.param(
            "llama-cpp",
            {"adapters": [{"name": "a", "source": {"uri": "hf://a/b"}}]},
            Reason.UNSUPPORTED_SOURCE,
            "spec.adapters[a].source.uri: llama-cpp takes adapters from pvc://",
            id="adapter from elsewhere",
        ),
        pytest.param(
            "vllm",
            {"adapters": [{"name": "a", "source": {"uri": "hf://a/b", "revision": "abc"}}]},
            Reason.UNSUPPORTED_FEATURE,
            "spec.adapters[a].source.revision: only an adapter from oci:// can be pinned; "
            "leave it out",
            id="adapter's revision",
        ),
        pytest.param(
            "ollama",
            {"source": PVC, "servedNames": ["a"]},
            Reason.UNSUPPORTED_FEATURE,
            "spec.servedNames: ollama takes no name: its weights have theirs",
            id="no name",
        ),
        pytest.param(
            "sglang",
            {"servedNames": ["a", "b"]},
            Reason.UNSUPPORTED_FEATURE,
            "spec.servedNames: sglang takes one name",
            id="one name",
        ),
        pytest.param(
            "vllm",
            {"engine": {"args": ["--max-model-len=1", "--port=9000"]}},
            Reason.INVALID_SPEC,
            "spec.engine.args[1]: --port is set from other fields of the spec; remove it",
            id="reserved flag",
        ),
        pytest.param(
            "vllm",
            {"engine": {"args": ["--served_model_name", "x"]}},
            Reason.INVALID_SPEC,
            "spec.engine.args[0]: --served-model-name is set from other fields of the spec; "
            "remove it",
            id="reserved flag with underscores",
        ),
        pytest.param(
            "vllm",
            {"engine": {"args": ["--port=1", "--dtype=half", "--served-model-name", "x"]}},
            Reason.INVALID_SPEC,
            "spec.engine.args[0], [2]: --port, --served-model-name are set from other fields of "
            "the spec; remove them",
            id="two reserved flags",
        ),
        pytest.param(
            "llama-cpp",
            {"engine": {"args": ["-m", "/etc/passwd"]}},
            Reason.INVALID_SPEC,
            "spec.engine.args[0]: -m is set from other fields of the spec; remove it",
            id="short form",
        ),
        pytest.param(
            "ollama",
            {"source": PVC, "engine": {"env": [{"name": "OLLAMA_HOST", "value": "x"}]}},
            Reason.INVALID_SPEC,
            "spec.engine.env[OLLAMA_HOST]: this variable is set by the operator; remove it",
            id="reserved variable",
        ),
        pytest.param(
            "ollama",
            {"source": PVC, "engine": {"env": [{"name": "OLLAMA_HOST"}, {"name": "HOME"}]}},
            Reason.INVALID_SPEC,
            "spec.engine.env[OLLAMA_HOST], [HOME]: these variables are set by the operator; "
            "remove them",
            id="two reserved variables",
        ),
        pytest.param(
            "vllm",
            {
                "source": HF | {"secretRef": {"name": "hf"}},
                "engine": {"env": [{"name": "HF_TOKEN", "value": "x"}]},
            },
            Reason.INVALID_SPEC,
            "spec.engine.env[HF_TOKEN]: this variable is set by the operator; remove it",
            id="token twice",
        ),
        pytest.param(
            "vllm",
            {"engine": {"env": [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}]}},
            Reason.INVALID_SPEC,
            "spec.engine.env[NVIDIA_VISIBLE_DEVICES]: this variable is set by the operator; "
            "remove it",
            id="GPUs past the scheduler",
        ),
    ],
)
def test_refused(engine: str, spec: dict[str, Any], reason: Reason, advice: str) -> None:
    choice = {"name": engine} | spec.get("engine", {})
    model = model_with(**{"source": HF} | spec | {"engine": choice})

    assert why_unusable(model, engine_named(engine)) == (reason, advice)


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"engine": {"name": "vllm", "args": ["-5", "--seed=-1", "x"]}}, id="numbers"),
        pytest.param(
            {"engine": {"name": "vllm", "env": [{"name": "HF_TOKEN", "value": "x"}]}},
            id="a token of one's own",
        ),
        pytest.param(
            {"resources": {"gpus": 1}, "servedNames": ["a", "b", "c"]}, id="several names"
        ),
        pytest.param(
            {"source": {"uri": "oci://registry.example.com:5000/tiny", "revision": DIGEST}},
            id="a registry's port is no tag",
        ),
        pytest.param(
            {
                "source": HF | {"secretRef": {"name": "hf"}},
                "adapters": [
                    {"name": "a", "source": {"uri": "hf://a/b", "secretRef": {"name": "hf"}}}
                ],
            },
            id="one token for both",
        ),
    ],
)
def test_accepted(spec: dict[str, Any]) -> None:
    assert why_unusable(model_with(**{"source": HF} | spec), engine_named()) is None


def test_a_broken_engine_document_is_named() -> None:
    broken = engine_with(command=["run", "{what}"])

    assert why_unusable(model_with(), broken) == (
        Reason.INVALID_SPEC,
        f"Engine vllm: {why_invalid(broken)}",
    )


@pytest.mark.parametrize(
    ("gpus", "image"),
    [
        pytest.param(0, "ghcr.io/ggml-org/llama.cpp:server-b9851", id="CPU"),
        pytest.param(1, "ghcr.io/ggml-org/llama.cpp:server-cuda-b9851", id="GPU"),
    ],
)
def test_the_image_fits_the_hardware(gpus: int, image: str) -> None:
    model = model_with(engine={"name": "llama-cpp"}, resources={"gpus": gpus})

    assert command.image_for(model, engine_named("llama-cpp")) == image


def test_an_engine_may_say_the_version_of_its_image() -> None:
    engine = engine_with(image="registry.example.com/vllm:ours", version="0.17")

    assert command.version_for(model_with(), engine) == (0, 17, 0)
    assert "--shutdown-timeout" not in command.arguments_for(model_with(), engine)
