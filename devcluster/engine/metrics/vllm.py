"""vLLM's page, with the names since 0.12 and those of 0.9."""

from devcluster.engine.metrics.exposition import Page
from devcluster.engine.metrics.tally import Load, Tally

# fmt: off
_TTFT = (.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0,
         40.0, 80.0, 160.0, 640.0, 2560.0)
_PER_TOKEN = (.01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0,
              40.0, 80.0)
_REQUEST = (.3, .5, .8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0,
            240.0, 480.0, 960.0, 1920.0, 7680.0)
_TOKENS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10000.0,
           20000.0)
# fmt: on

BOUNDS = {
    "ttft": _TTFT,
    "itl": _PER_TOKEN,
    "tpot": _PER_TOKEN,
    "e2e": _REQUEST,
    "queue": _REQUEST,
    "inference": _REQUEST,
    "prefill": _REQUEST,
    "decode": _REQUEST,
    "prompt_tokens": _TOKENS,
    "generation_tokens": _TOKENS,
    "max_tokens": _TOKENS,
    "params_n": (1.0, 2.0, 5.0, 10.0, 20.0),
    "preemptions": (1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0),
    "iteration_tokens": (1.0, *(float(2**power) for power in range(3, 15))),
}

_REASONS = ("stop", "length", "abort", "error", "repetition")
_REASONS_0_9 = _REASONS[:3]
_BLOCK_SIZE = 16


def page(model: str, tally: Tally, load: Load, kv_tokens: int, adapters: tuple[str, ...]) -> str:
    """Return the page of a vLLM of 2026."""
    out = Page({"engine": "0", "model_name": model})
    _shared(out, tally, load, _REASONS)
    _by_reason(out, load)
    out.gauge("vllm:kv_cache_usage_perc", "Share of the KV cache in use, 0 to 1", load.kv_usage)
    _prefix_cache(out, "vllm:prefix_cache", tally)
    _prompt_sources(out, tally)
    _sleep_state(out)
    _histograms(out, tally, {"itl": "vllm:inter_token_latency_seconds", **_TIMES, **_NEW})
    _cache_config(out, kv_tokens)
    text = out.text() + _rejections(model, tally) + _adapters(adapters)
    return text + _http(tally) + _process(tally)


def page_0_9(
    model: str, tally: Tally, load: Load, kv_tokens: int, adapters: tuple[str, ...]
) -> str:
    """Return the page of a vLLM 0.9."""
    out = Page({"engine": "0", "model_name": model})
    _shared(out, tally, load, _REASONS_0_9)
    out.gauge("vllm:gpu_cache_usage_perc", "Share of the KV cache in use, 0 to 1", load.kv_usage)
    _prefix_cache(out, "vllm:gpu_prefix_cache", tally)
    _histograms(out, tally, {"itl": "vllm:time_per_output_token_seconds", **_TIMES})
    _cache_config(out, kv_tokens)
    return out.text() + _adapters(adapters) + _http(tally) + _process(tally)


_TIMES = {
    "ttft": "vllm:time_to_first_token_seconds",
    "e2e": "vllm:e2e_request_latency_seconds",
    "queue": "vllm:request_queue_time_seconds",
    "inference": "vllm:request_inference_time_seconds",
    "prefill": "vllm:request_prefill_time_seconds",
    "decode": "vllm:request_decode_time_seconds",
    "prompt_tokens": "vllm:request_prompt_tokens",
    "generation_tokens": "vllm:request_generation_tokens",
    "iteration_tokens": "vllm:iteration_tokens_total",
    "max_tokens": "vllm:request_params_max_tokens",
    "params_n": "vllm:request_params_n",
}
_NEW = {
    "tpot": "vllm:request_time_per_output_token_seconds",
    "preemptions": "vllm:request_num_preemptions",
}


def _shared(out: Page, tally: Tally, load: Load, reasons: tuple[str, ...]) -> None:
    out.gauge("vllm:num_requests_running", "Requests in the batch", load.running)
    out.gauge("vllm:num_requests_waiting", "Requests in the queue", load.waiting)
    out.counter("vllm:num_preemptions_total", "Preemptions", tally.preemptions)
    out.counter("vllm:prompt_tokens_total", "Prompt tokens computed", tally.prompt_tokens)
    out.counter("vllm:generation_tokens_total", "Tokens generated", tally.generation_tokens)
    out.family("vllm:request_success_total", "counter", "Requests that ended, by reason")
    for reason in reasons:
        ended = tally.ended[reason, True] + tally.ended[reason, False]
        out.sample("vllm:request_success_total", ended, finished_reason=reason)


def _by_reason(out: Page, load: Load) -> None:
    name = "vllm:num_requests_waiting_by_reason"
    out.family(name, "gauge", "Requests in the queue, by what they wait for")
    out.sample(name, load.waiting, reason="capacity")
    out.sample(name, 0, reason="deferred")


def _prefix_cache(out: Page, name: str, tally: Tally) -> None:
    out.counter(f"{name}_queries_total", "Prompt tokens looked up", tally.prompt_tokens)
    out.counter(f"{name}_hits_total", "Prompt tokens found", 0)


def _prompt_sources(out: Page, tally: Tally) -> None:
    name = "vllm:prompt_tokens_by_source_total"
    out.family(name, "counter", "Prompt tokens by where they came from")
    out.sample(name, tally.prompt_tokens, source="local_compute")
    out.sample(name, 0, source="local_cache_hit")
    out.sample(name, 0, source="external_kv_transfer")
    out.counter("vllm:prompt_tokens_cached_total", "Prompt tokens not computed", 0)


def _sleep_state(out: Page) -> None:
    out.family("vllm:engine_sleep_state", "gauge", "1 for the state the engine is in")
    for state in ("awake", "weights_offloaded", "discard_all"):
        out.sample("vllm:engine_sleep_state", state == "awake", sleep_state=state)


def _histograms(out: Page, tally: Tally, names: dict[str, str]) -> None:
    for key, name in names.items():
        out.histogram(name, f"Simulated {key}", tally.histogram(key))


def _cache_config(out: Page, kv_tokens: int) -> None:
    out.gauge(
        "vllm:cache_config_info",
        "Settings of the KV cache",
        1,
        block_size=str(_BLOCK_SIZE),
        cache_dtype="auto",
        enable_prefix_caching="True",
        gpu_memory_utilization="0.92",
        num_gpu_blocks=str(kv_tokens // _BLOCK_SIZE),
    )


def _rejections(model: str, tally: Tally) -> str:
    out = Page({"model_name": model})  # without the engine: it never saw them
    name = "vllm:admission_rejections_total"
    out.family(name, "counter", "Requests refused because the queue was full")
    out.sample(name, tally.rejections, reason="max_num_queued_reqs")
    out.sample(name, 0, reason="max_num_queued_tokens")
    return out.text()


def _adapters(adapters: tuple[str, ...]) -> str:
    if not adapters:
        return ""
    out = Page()
    names = ",".join(adapters)
    labels = {"max_lora": "8", "running_lora_adapters": names, "waiting_lora_adapters": ""}
    out.gauge("vllm:lora_requests_info", "Adapters in use", 1, **labels)
    return out.text()


def _http(tally: Tally) -> str:
    out = Page()
    out.family("http_requests_total", "counter", "Requests by handler, method and status")
    for (handler, method, status), times in sorted(tally.http.items()):
        out.sample("http_requests_total", times, handler=handler, method=method, status=status)
    return out.text()


def _process(tally: Tally) -> str:
    out = Page()
    started = "process_start_time_seconds"
    out.gauge(started, "Start of the process in seconds since the epoch", tally.started)
    return out.text()
