"""The page of Text Embeddings Inference. Its counters have no `_total`."""

from devcluster.engine.metrics.exposition import Page
from devcluster.engine.metrics.tally import Load, Tally

_DURATION = tuple(0.00001 * 1.5**power for power in range(1, 36))

BOUNDS = {
    "e2e": _DURATION,
    "queue": _DURATION,
    "inference": _DURATION,
    "prompt_tokens": tuple(float(2**power) for power in range(20)),
}


def page(tally: Tally, load: Load) -> str:
    """Return the page."""
    out = Page()
    good = tally.ended["stop", False]
    failed = sum(times for (reason, _), times in tally.ended.items() if reason == "error")
    out.gauge("te_queue_size", "Requests in the queue", load.waiting)
    out.counter("te_request_count", "Requests", good + failed, method="single")
    out.counter("te_request_success", "Requests answered", good, method="single")
    out.counter("te_request_failure", "Requests refused", tally.rejections, err="overloaded")
    out.counter("te_embed_count", "Texts", good + failed)
    out.counter("te_embed_success", "Texts embedded", good)
    for name in ("te_request", "te_embed"):
        labels = {"method": "single"} if name == "te_request" else {}
        out.histogram(
            f"{name}_duration", "From request to answer", tally.histogram("e2e"), **labels
        )
        out.histogram(f"{name}_queue_duration", "In the queue", tally.histogram("queue"), **labels)
        inference = tally.histogram("inference")
        out.histogram(f"{name}_inference_duration", "In the model", inference, **labels)
    out.histogram("te_request_input_length", "Tokens of a text", tally.histogram("prompt_tokens"))
    return out.text()
