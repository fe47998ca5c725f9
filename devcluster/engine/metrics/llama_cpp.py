"""llama-server's page: no labels, no histograms, nothing about the KV cache."""

from devcluster.engine.metrics.exposition import Page
from devcluster.engine.metrics.tally import Load, Tally


def page(tally: Tally, load: Load) -> str:
    """Return the page. Token counters move when a request ends, as the real ones do."""
    out = Page()
    counters = {
        "prompt_tokens_total": tally.ended_prompt_tokens,
        "prompt_tokens_cached_total": 0,
        "prompt_seconds_total": tally.prefill_seconds,
        "tokens_predicted_total": tally.ended_generation_tokens,
        "tokens_predicted_seconds_total": tally.decode_seconds,
        "n_decode_total": int(tally.decode_steps),
        "n_tokens_max": tally.longest,
        "spec_decode_num_draft_tokens_total": 0,
        "spec_decode_num_accepted_tokens_total": 0,
        "spec_decode_num_drafts_total": 0,
    }
    gauges = {
        "prompt_tokens_seconds": _rate(tally.ended_prompt_tokens, tally.prefill_seconds),
        "predicted_tokens_seconds": _rate(tally.ended_generation_tokens, tally.decode_seconds),
        "requests_processing": load.running,
        "requests_deferred": load.waiting,
        "n_busy_slots_per_decode": _rate(tally.decode_slots, tally.decode_steps),
    }
    for name, value in counters.items():
        out.counter(f"llamacpp:{name}", name.replace("_", " "), value)
    for name, value in gauges.items():
        out.gauge(f"llamacpp:{name}", name.replace("_", " "), value)
    return out.text()


def _rate(amount: float, per: float) -> float:
    return amount / per if per else 0.0
