"""Triton's page, with what its TensorRT-LLM backend adds."""

from devcluster.engine.metrics.exposition import Page
from devcluster.engine.metrics.tally import Load, Tally

_BLOCK_TOKENS = 64
_GPU_BYTES = 80 * 2**30


def page(model: str, tally: Tally, load: Load, kv_tokens: int, max_running: int) -> str:
    """Return the page. Durations are microseconds, as Triton counts them."""
    out = Page({"model": model, "version": "1"})
    good = sum(n for (reason, _), n in tally.ended.items() if reason in ("stop", "length"))
    failed = sum(n for (reason, _), n in tally.ended.items() if reason in ("abort", "error"))
    busy = tally.prefill_seconds + tally.decode_seconds
    out.counter("nv_inference_request_success", "Requests answered", good)
    name = "nv_inference_request_failure"
    out.family(name, "counter", "Requests not answered")
    out.sample(name, failed, reason="OTHER")
    out.sample(name, tally.rejections, reason="REJECTED")
    out.counter("nv_inference_count", "Inferences", good)
    out.counter("nv_inference_exec_count", "Batches", int(tally.decode_steps))
    total = busy + tally.queue_seconds
    out.counter("nv_inference_request_duration_us", "In all", total * 1e6)
    out.counter("nv_inference_queue_duration_us", "In the queue", tally.queue_seconds * 1e6)
    out.counter("nv_inference_compute_infer_duration_us", "In the model", busy * 1e6)
    out.gauge("nv_inference_pending_request_count", "Requests in the queue", load.waiting)
    _requests(out, load, max_running)
    _blocks(out, load, kv_tokens)
    return out.text() + _gpu(load)


def _requests(out: Page, load: Load, max_running: int) -> None:
    name = "nv_trt_llm_request_metrics"
    out.family(name, "gauge", "Requests by state")
    out.sample(name, load.waiting, request_type="waiting")
    out.sample(name, load.running, request_type="scheduled")
    out.sample(name, load.running + load.waiting, request_type="active")
    out.sample(name, max_running, request_type="max")


def _blocks(out: Page, load: Load, kv_tokens: int) -> None:
    name = "nv_trt_llm_kv_cache_block_metrics"
    most = kv_tokens // _BLOCK_TOKENS
    used = round(most * load.kv_usage)
    out.family(name, "gauge", "Blocks of the KV cache")
    out.sample(name, load.kv_usage, kv_cache_block_type="fraction")
    out.sample(name, most, kv_cache_block_type="max")
    out.sample(name, used, kv_cache_block_type="used")
    out.sample(name, most - used, kv_cache_block_type="free")
    out.sample(name, _BLOCK_TOKENS, kv_cache_block_type="tokens_per")


def _gpu(load: Load) -> str:
    out = Page({"gpu_uuid": "GPU-simulated"})
    out.gauge("nv_gpu_utilization", "Share of time, 0 to 1", 1.0 if load.running else 0.0)
    out.gauge("nv_gpu_memory_total_bytes", "Memory of the GPU", _GPU_BYTES)
    out.gauge("nv_gpu_memory_used_bytes", "Memory in use", 0.92 * _GPU_BYTES)
    return out.text()
