"""The metric pages of the engines: right names, types, labels and buckets, fed by real traffic."""

from collections.abc import Mapping

from devcluster.engine.dialects import Dialect
from devcluster.engine.metrics import llama_cpp, sglang, tei, triton, vllm
from devcluster.engine.metrics.exposition import Bounds
from devcluster.engine.metrics.tally import Load, Tally
from devcluster.engine.pods import EngineSpec

BOUNDS: Mapping[Dialect, Mapping[str, Bounds]] = {
    Dialect.VLLM: vllm.BOUNDS,
    Dialect.VLLM_0_9: vllm.BOUNDS,
    Dialect.SGLANG: sglang.BOUNDS,
    Dialect.TEI: tei.BOUNDS,
}


def tally_for(dialect: Dialect) -> Tally:
    """Return an empty tally with the histograms of `dialect`."""
    return Tally(BOUNDS.get(dialect, {}))


def page_for(spec: EngineSpec, tally: Tally, load: Load, adapters: tuple[str, ...] = ()) -> str:
    """Return the page of an engine; empty for one that has none."""
    model, kv_tokens = spec.names[0], spec.profile.kv_tokens
    match spec.dialect:
        case Dialect.VLLM:
            return vllm.page(model, tally, load, kv_tokens, adapters)
        case Dialect.VLLM_0_9:
            return vllm.page_0_9(model, tally, load, kv_tokens, adapters)
        case Dialect.SGLANG:
            return sglang.page(model, tally, load, kv_tokens, spec.ranks)
        case Dialect.LLAMA_CPP:
            return llama_cpp.page(tally, load)
        case Dialect.TEI:
            return tei.page(tally, load)
        case Dialect.TRITON:
            return triton.page(model, tally, load, kv_tokens, spec.profile.max_running)
        case Dialect.OLLAMA:
            return ""
