"""The metric pages: names, types, labels and buckets of the real engines, fed by traffic."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from devcluster.engine import metrics
from devcluster.engine.metrics.tally import Load
from devcluster.engine.profiles import Profile
from devcluster.engine.sequences import Decoded, Finished, Prefilled
from devcluster.engine.timing import Scheduler
from unit.devcluster_engine.worlds import spec_of

SPECS = {
    "vllm": spec_of(),
    "vllm-0.9": spec_of(image="vllm/vllm-openai:v0.9.2"),
    "sglang": spec_of(engine="sglang", args=["--enable-metrics", "--tp-size", "2"]),
    "llama-cpp": spec_of(engine="llama-cpp", args=["--metrics"]),
    "tei": spec_of(engine="tei"),
    "triton": spec_of(engine="triton"),
}
LOAD = Load(running=3, waiting=2, kv_used=100_000, kv_usage=0.25, token_rate=180)


def a_tally(spec, requests=4):
    """Return the tally of an engine that has answered some requests of 100 and 11 tokens."""
    tally = metrics.tally_for(spec.dialect)
    scheduler = Scheduler(Profile(prefill_tokens_per_second=1000, decode_slowdown=0), now=0.0)
    for _ in range(requests):
        scheduler.submit(100, 11, now=0.0)
    for event in scheduler.advance(60.0):
        match event:
            case Prefilled(sequence):
                tally.prefilled(sequence)
            case Decoded():
                tally.decoded(event)
            case Finished(sequence):
                tally.finished(sequence, "stop", False, sequence.output_tokens)
    return tally


def families(name, tally=None, load=LOAD):
    spec = SPECS[name]
    page = metrics.page_for(spec, tally or a_tally(spec), load)
    return {family.name: family for family in text_string_to_metric_families(page)}


def value(family, **labels):
    found = [s.value for s in family.samples if labels.items() <= s.labels.items()]
    assert len(found) == 1, (family.name, labels, found)
    return found[0]


def count_of(family):
    return sum(s.value for s in family.samples if s.name.endswith("_count"))


@pytest.mark.parametrize(
    ("engine", "kind", "names"),
    [
        (
            "vllm",
            "gauge",
            "num_requests_running num_requests_waiting num_requests_waiting_by_reason "
            "kv_cache_usage_perc engine_sleep_state cache_config_info",
        ),
        (
            "vllm",
            "counter",
            "prompt_tokens generation_tokens request_success num_preemptions admission_rejections "
            "prefix_cache_queries prefix_cache_hits prompt_tokens_by_source prompt_tokens_cached",
        ),
        (
            "vllm",
            "histogram",
            "time_to_first_token_seconds inter_token_latency_seconds e2e_request_latency_seconds "
            "request_time_per_output_token_seconds request_queue_time_seconds "
            "request_inference_time_seconds request_prefill_time_seconds "
            "request_decode_time_seconds request_prompt_tokens request_generation_tokens "
            "iteration_tokens_total request_params_max_tokens request_params_n "
            "request_num_preemptions",
        ),
        ("vllm-0.9", "gauge", "num_requests_running num_requests_waiting gpu_cache_usage_perc"),
        ("vllm-0.9", "counter", "gpu_prefix_cache_queries gpu_prefix_cache_hits prompt_tokens"),
        ("vllm-0.9", "histogram", "time_to_first_token_seconds time_per_output_token_seconds"),
        (
            "sglang",
            "gauge",
            "num_running_reqs num_queue_reqs token_usage kv_used_tokens kv_available_tokens "
            "max_total_num_tokens cache_hit_rate gen_throughput utilization num_paused_reqs",
        ),
        (
            "sglang",
            "counter",
            "prompt_tokens generation_tokens num_requests num_aborted_requests cached_tokens",
        ),
        (
            "sglang",
            "histogram",
            "time_to_first_token_seconds inter_token_latency_seconds e2e_request_latency_seconds "
            "queue_time_seconds",
        ),
        (
            "llama-cpp",
            "counter",
            "prompt_tokens prompt_tokens_cached prompt_seconds tokens_predicted "
            "tokens_predicted_seconds n_decode n_tokens_max spec_decode_num_drafts",
        ),
        (
            "llama-cpp",
            "gauge",
            "prompt_tokens_seconds predicted_tokens_seconds requests_processing "
            "requests_deferred n_busy_slots_per_decode",
        ),
        ("tei", "gauge", "te_queue_size"),
        ("tei", "counter", "te_request_count te_request_success te_embed_count te_embed_success"),
        ("tei", "histogram", "te_request_duration te_embed_duration te_request_input_length"),
        (
            "triton",
            "gauge",
            "nv_inference_pending_request_count nv_trt_llm_request_metrics "
            "nv_trt_llm_kv_cache_block_metrics nv_gpu_utilization nv_gpu_memory_used_bytes",
        ),
        ("triton", "counter", "nv_inference_request_success nv_inference_request_failure"),
    ],
)
def test_names_and_types(engine, kind, names):
    prefix = {"vllm": "vllm:", "vllm-0.9": "vllm:", "sglang": "sglang:", "llama-cpp": "llamacpp:"}
    page = families(engine)

    found = {name: page[prefix.get(engine, "") + name].type for name in names.split()}

    assert set(found.values()) == {kind}, found


@pytest.mark.parametrize(
    ("engine", "absent"),
    [
        ("vllm", "vllm:gpu_cache_usage_perc"),
        ("vllm", "vllm:time_per_output_token_seconds"),
        ("vllm-0.9", "vllm:kv_cache_usage_perc"),
        ("vllm-0.9", "vllm:inter_token_latency_seconds"),
        ("vllm-0.9", "vllm:num_requests_waiting_by_reason"),
        ("llama-cpp", "llamacpp:kv_cache_usage_ratio"),
    ],
)
def test_names_of_other_versions_are_absent(engine, absent):
    assert absent not in families(engine)


def test_vllm_reports_what_it_served():
    page = families("vllm")

    assert value(page["vllm:prompt_tokens"]) == 400
    assert value(page["vllm:generation_tokens"]) == 44
    assert value(page["vllm:request_success"], finished_reason="stop") == 4
    assert value(page["vllm:kv_cache_usage_perc"]) == 0.25
    assert value(page["vllm:num_requests_waiting_by_reason"], reason="capacity") == 2
    assert count_of(page["vllm:time_to_first_token_seconds"]) == 4
    assert count_of(page["vllm:inter_token_latency_seconds"]) == 40
    assert page["vllm:num_requests_running"].samples[0].labels == {
        "engine": "0",
        "model_name": "chat",
    }


@pytest.mark.parametrize(
    ("engine", "says"), [("vllm", True), ("vllm-0.9", True), ("sglang", False), ("tei", False)]
)
def test_who_says_when_it_started(engine, says):
    tally = a_tally(SPECS[engine])
    tally.started = 1_790_000_000.5

    found = families(engine, tally).get("process_start_time_seconds")

    assert [one.value for one in found.samples] == [tally.started] if says else found is None


def test_histograms_are_cumulative_and_end_at_infinity():
    family = families("vllm")["vllm:time_to_first_token_seconds"]
    buckets = [(s.labels["le"], s.value) for s in family.samples if s.name.endswith("_bucket")]

    assert [le for le, _ in buckets][:4] == ["0.001", "0.005", "0.01", "0.02"]
    assert buckets[-1] == ("+Inf", 4)
    assert [n for _, n in buckets] == sorted(n for _, n in buckets)
    # Prompts of 100 tokens at 1,000 tokens per second, one after another.
    assert dict(buckets)["0.25"] == 2


def test_sglang_has_a_series_per_rank_and_counts_at_the_end():
    page = families("sglang")

    running = page["sglang:num_running_reqs"].samples
    assert [s.labels["tp_rank"] for s in running] == ["0", "1"]
    assert {s.value for s in running} == {3}
    assert value(page["sglang:generation_tokens"], is_streaming="false") == 44
    assert count_of(page["sglang:queue_time_seconds"]) == 8


def test_llama_cpp_has_no_labels():
    page = families("llama-cpp")

    assert all(s.labels == {} for family in page.values() for s in family.samples)
    assert value(page["llamacpp:tokens_predicted"]) == 44
    assert value(page["llamacpp:requests_deferred"]) == 2


def test_tei_counts_requests_without_total():
    names = {s.name for family in families("tei").values() for s in family.samples}

    assert {"te_queue_size", "te_request_duration_bucket"} <= names


def test_an_idle_engine_has_all_its_series():
    spec = SPECS["vllm"]
    idle = families("vllm", metrics.tally_for(spec.dialect), Load())

    assert count_of(idle["vllm:time_to_first_token_seconds"]) == 0
    assert set(idle) == set(families("vllm"))


def test_quotes_in_a_name_do_not_break_the_page():
    spec = spec_of(args=["--served-model-name", 'a"b\\c'])
    page = metrics.page_for(spec, metrics.tally_for(spec.dialect), Load())

    labels = next(iter(text_string_to_metric_families(page))).samples[0].labels
    assert labels["model_name"] == 'a"b\\c'
