"""SGLang's page. The scheduler reports once per rank, the tokenizer once."""

from devcluster.engine.metrics.exposition import Page
from devcluster.engine.metrics.tally import Load, Tally

# fmt: off
_TTFT = (.1, .2, .4, .6, .8, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 20.0, 40.0, 60.0, 80.0, 100.0, 200.0,
         400.0)
_ITL = (.002, .004, .006, .008, .01, .015, .02, .025, .03, .035, .04, .06, .08, .1, .2, .4, .6, .8,
        1.0, 2.0, 4.0, 6.0, 8.0)
_QUEUE = (0.0, .001, .005, .01, .05, .1, .2, .5, *map(float, range(1, 6)), 10.0, 15.0,
          *map(float, range(20, 101, 10)), *map(float, range(200, 1001, 100)),
          1200.0, 1400.0, 1600.0, 1800.0, 2000.0, 2500.0, 3000.0)
# fmt: on

BOUNDS = {
    "ttft": _TTFT,
    "itl": _ITL,
    "e2e": (*_TTFT, 600.0, 1200.0, 1800.0, 2400.0),
    "queue": _QUEUE,
}


def page(model: str, tally: Tally, load: Load, kv_tokens: int, ranks: int) -> str:
    """Return the page; each scheduler gauge has a series per tensor-parallel rank."""
    base = {"engine_type": "unified", "model_name": model}
    out = Page({**base, "moe_ep_rank": "0", "pp_rank": "0"})
    _gauges(out, tally, load, kv_tokens, ranks)
    tokenizer = Page(base)
    _counters(tokenizer, tally)
    _histograms(tokenizer, tally)
    return out.text() + tokenizer.text()


def _gauges(out: Page, tally: Tally, load: Load, kv_tokens: int, ranks: int) -> None:
    used = min(load.kv_used, kv_tokens)
    gauges = {
        "num_running_reqs": load.running,
        "num_queue_reqs": load.waiting,
        "num_paused_reqs": 0,
        "token_usage": load.kv_usage,
        "kv_used_tokens": used,
        "kv_available_tokens": kv_tokens - used,
        "max_total_num_tokens": kv_tokens,
        "cache_hit_rate": 0,
        "gen_throughput": load.token_rate,
        "utilization": 1.0 if load.running else 0.0,
    }
    for name, value in gauges.items():
        out.family(f"sglang:{name}", "gauge", name.replace("_", " "))
        for rank in range(ranks):
            out.sample(f"sglang:{name}", value, tp_rank=str(rank))
    name = "sglang:num_retracted_requests_total"
    out.family(name, "counter", "Requests that lost their KV cache")
    for rank in range(ranks):
        out.sample(name, tally.preemptions, tp_rank=str(rank))
    out.family("sglang:queue_time_seconds", "histogram", "Time in the queue")
    for rank in range(ranks):
        out.buckets("sglang:queue_time_seconds", tally.histogram("queue"), tp_rank=str(rank))


def _counters(out: Page, tally: Tally) -> None:
    """Add what the tokenizer counts; it learns of a request when that has ended."""
    for name, key in (("prompt_tokens", "prompt"), ("generation_tokens", "generation")):
        out.family(f"sglang:{name}_total", "counter", f"Tokens of ended requests: {key}")
        for streamed in (True, False):
            value = tally.tokens[key, streamed]
            out.sample(f"sglang:{name}_total", value, is_streaming=str(streamed).lower())
    out.family("sglang:num_requests_total", "counter", "Requests that ended")
    for streamed in (True, False):
        value = sum(n for (_, flag), n in tally.ended.items() if flag is streamed)
        out.sample("sglang:num_requests_total", value, is_streaming=str(streamed).lower())
    aborted = tally.ended["abort", True] + tally.ended["abort", False]
    out.counter("sglang:num_aborted_requests_total", "Requests aborted", aborted)
    out.counter("sglang:cached_tokens_total", "Prompt tokens found", 0, cache_source="device")


def _histograms(out: Page, tally: Tally) -> None:
    names = {
        "ttft": "sglang:time_to_first_token_seconds",
        "itl": "sglang:inter_token_latency_seconds",
        "e2e": "sglang:e2e_request_latency_seconds",
    }
    for key, name in names.items():
        out.histogram(name, f"Simulated {key}", tally.histogram(key))
