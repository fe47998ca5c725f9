import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet.api.v1alpha1.engine import Metrics
from modelfleet.engines import built_in, metrics

VLLM_NEW = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="tiny"} 3.0
vllm:num_requests_running{engine="1",model_name="tiny"} 4.0
vllm:num_requests_waiting{engine="0",model_name="tiny"} 0.0
vllm:kv_cache_usage_perc{engine="0",model_name="tiny"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="tiny"} 0.75
vllm:request_success_total{engine="0",finished_reason="stop",model_name="tiny"} 10.0
vllm:request_success_total{engine="0",finished_reason="length",model_name="tiny"} 2.0
vllm:request_success_total{engine="0",finished_reason="abort",model_name="tiny"} 5.0
vllm:request_success_total{engine="0",finished_reason="error",model_name="tiny"} 1.0
vllm:generation_tokens_total{engine="0",model_name="tiny"} 1.2e+06
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.1",model_name="tiny"} 1.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf",model_name="tiny"} 3.0
vllm:time_to_first_token_seconds_bucket{engine="1",le="0.1",model_name="tiny"} 2.0
vllm:time_to_first_token_seconds_bucket{engine="1",le="+Inf",model_name="tiny"} 2.0
vllm:time_to_first_token_seconds_sum{engine="0",model_name="tiny"} 4.5
vllm:time_to_first_token_seconds_sum{engine="1",model_name="tiny"} 0.1
"""
VLLM_OLD = 'vllm:gpu_cache_usage_perc{model_name="tiny"} 0.5\n'
SGLANG_RANKS = """\
sglang:num_running_reqs{model_name="m",tp_rank="0",pp_rank="0",dp_rank="0"} 3
sglang:num_running_reqs{model_name="m",tp_rank="1",pp_rank="0",dp_rank="0"} 3
sglang:num_running_reqs{model_name="m",tp_rank="0",pp_rank="0",dp_rank="1"} 2
"""


def metrics_of(engine: str) -> Metrics:
    found = built_in()[engine].spec.metrics
    assert found
    return found


def test_signals_of_a_page() -> None:
    assert metrics.read(VLLM_NEW, metrics_of("vllm")) == {
        "running": 7.0,
        "waiting": 0.0,
        "kvCacheUsage": 0.75,
        "generationTokens": 1_200_000.0,
        "succeeded": 12.0,
        "errors": 1.0,
    }


def test_an_older_version_is_read_by_its_older_names() -> None:
    assert metrics.read(VLLM_OLD, metrics_of("vllm")) == {"kvCacheUsage": 0.5}


def test_ranks_of_one_replica_are_not_added_up() -> None:
    assert metrics.read(SGLANG_RANKS, metrics_of("sglang")) == {"running": 5.0}


def test_distributions_of_a_page() -> None:
    found = metrics.distributions(VLLM_NEW, metrics_of("vllm"))

    assert list(found) == ["timeToFirstToken"]
    assert found["timeToFirstToken"].at_most == ((0.1, 3.0), (float("inf"), 5.0))
    assert found["timeToFirstToken"].sum == pytest.approx(4.6)


@pytest.mark.parametrize(
    "page",
    ["", "# only comments\n", "<html>not found</html>", "vllm:num_requests_running NaN\n"],
    ids=["empty", "comments", "another page", "not a number"],
)
def test_what_is_missing_is_unknown_and_not_zero(page: str) -> None:
    assert metrics.read(page, metrics_of("vllm")) == {}


@pytest.mark.parametrize(
    ("line", "sample"),
    [
        ("up 1", ("up", {}, 1.0)),
        ("up 1 1700000000000", ("up", {}, 1.0)),
        ('a:b_total{x="1,2}",y=""} 3', ("a:b_total", {"x": "1,2}", "y": ""}, 3.0)),
        (r'a{x="say \"hi\"\n\\"} -0.5', ("a", {"x": 'say "hi"\n\\'}, -0.5)),
    ],
)
def test_samples(line: str, sample: tuple[str, dict[str, str], float]) -> None:
    (found,) = metrics.samples(line)

    assert (found.name, found.labels, found.value) == sample


@given(st.text())
def test_no_page_is_too_strange(page: str) -> None:
    assert isinstance(list(metrics.samples(page)), list)
