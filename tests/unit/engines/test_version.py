import pytest

from modelfleet.engines import version


@pytest.mark.parametrize(
    ("image", "found"),
    [
        ("vllm/vllm-openai:v0.9.2", (0, 9, 2)),
        ("vllm/vllm-openai:0.9.2-cu12", (0, 9, 2)),
        ("vllm/vllm-openai:v0.8.5.post1", (0, 8, 5)),
        ("registry.example.com:5000/vllm:v0.18", (0, 18, 0)),
        ("nvcr.io/nvidia/tritonserver:26.07-py3", (26, 7, 0)),
        ("ghcr.io/huggingface/text-embeddings-inference:cpu-1.9", (1, 9, 0)),
        (f"vllm/vllm-openai:v0.9.2@sha256:{'0' * 64}", (0, 9, 2)),
        (f"vllm/vllm-openai@sha256:{'1' * 64}", None),
        ("registry.example.com:5000/vllm", None),
        ("vllm/vllm-openai:latest", None),
        ("ghcr.io/ggml-org/llama.cpp:server-b9851", None),
        ("vllm/vllm-openai:cu124-nightly", None),
        ("1.2.3/image", None),
    ],
)
def test_version_in(image: str, found: version.Version | None) -> None:
    assert version.version_in(image) == found


@pytest.mark.parametrize(
    ("known", "since", "reaches"),
    [
        ((0, 18, 0), "0.18", True),
        ((0, 17, 1), "0.18", False),
        ((0, 9, 2), "0.10", False),
        ((1, 0, 0), "0.18.1", True),
        ((0, 1, 0), None, True),
        (None, "99", True),
    ],
)
def test_reaches(known: version.Version | None, since: str | None, reaches: bool) -> None:
    assert version.reaches(known, since) is reaches
