"""The built-in engines: that each document holds together, and the facts that drifted before."""

import pytest
from pydantic import ValidationError

from modelfleet.api.v1alpha1 import Engine
from modelfleet.api.v1alpha1.engine import Signal
from modelfleet.engines import built_in, parse, validity

ENGINES = list(built_in().values())
BY_NAME = pytest.mark.parametrize("engine", ENGINES, ids=lambda one: one.metadata.name)


def test_these_are_the_engines() -> None:
    assert list(built_in()) == ["llama-cpp", "ollama", "sglang", "tei", "triton", "vllm"]


@BY_NAME
def test_each_is_usable(engine: Engine) -> None:
    assert validity.why_invalid(engine) is None


@BY_NAME
def test_each_says_which_image_it_means(engine: Engine) -> None:
    for image in filter(None, (engine.spec.image, engine.spec.cpu_image)):
        tag = image.rsplit("/", 1)[-1].partition(":")[2]
        assert any(letter.isdigit() for letter in tag), "a tag without a number moves"


@BY_NAME
def test_each_reads_weights_that_need_no_download(engine: Engine) -> None:
    assert {"pvc", "oci"} <= {source.scheme for source in engine.spec.sources}


@BY_NAME
def test_each_listens_on_its_port_on_all_addresses(engine: Engine) -> None:
    words = [value for group in engine.spec.args for value in group.values]
    words += [variable.value or "" for variable in engine.spec.env]

    assert any("0.0.0.0" in word for word in words)
    assert any("{port}" in word for word in words)


@pytest.mark.parametrize(
    ("name", "port"),
    [
        ("vllm", 8000),
        ("sglang", 30000),
        ("llama-cpp", 8080),
        ("tei", 8080),
        ("ollama", 11434),
        ("triton", 8000),
    ],
)
def test_ports(name: str, port: int) -> None:
    assert built_in()[name].spec.port == port


@pytest.mark.parametrize(
    ("signal", "names"),
    [
        ("kvCacheUsage", ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")),
        (
            "timePerOutputToken",
            ("vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds"),
        ),
    ],
)
def test_renamed_metrics_are_found_under_both_names(signal: Signal, names: tuple[str, ...]) -> None:
    metrics = built_in()["vllm"].spec.metrics
    assert metrics

    assert {one.signal: one.names for one in metrics.signals}[signal] == names


def test_an_unknown_field_is_an_error() -> None:
    with pytest.raises(ValidationError, match="extra_forbidden"):
        parse("{metadata: {name: x}, spec: {image: x, prot: 1}}")
