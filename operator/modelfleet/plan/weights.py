"""Where weights lie, and how an engine sees them."""

from collections.abc import Iterator

from modelfleet.api.v1alpha1.engine import Engine, SourceSupport
from modelfleet.api.v1alpha1.model import Adapter, Model, Source
from modelfleet.engines import template

CACHE = "/cache"
"""Writable, and the home directory: downloads and compiled kernels, gone with the pod."""

MODEL_MOUNT = "/mnt/model"
ADAPTER_MOUNT = "/mnt/adapters"


def scheme_of(source: Source) -> str:
    """Return `hf`, `oci`, `pvc`, …"""
    return source.uri.partition("://")[0]


def path_of(source: Source) -> str:
    """Return the URI without its scheme, and without a slash at its end."""
    return source.uri.partition("://")[2].rstrip("/")


def support_for(engine: Engine, source: Source) -> SourceSupport | None:
    """Return how the engine reads this source, or None if it does not."""
    scheme = scheme_of(source)
    return next((one for one in engine.spec.sources if one.scheme == scheme), None)


def sources_of(model: Model) -> Iterator[tuple[str, Source]]:
    """Yield every source with the field that it stands in."""
    yield "spec.source", model.spec.source
    for adapter in model.spec.adapters:
        yield f"spec.adapters[{adapter.name}].source", adapter.source


def adapter_mount(adapter: Adapter) -> str:
    """Return where an adapter is mounted."""
    return f"{ADAPTER_MOUNT}/{adapter.name}"


def claim_of(source: Source) -> tuple[str, str]:
    """Split `pvc://claim/some/path` into the claim and the path, which may be empty."""
    claim, _, path = path_of(source).partition("/")
    return claim, path


def image_of(source: Source) -> str:
    """Return an oci source as an image reference, with its revision as the tag or digest."""
    if source.revision is None:
        return path_of(source)
    separator = "@" if source.revision.startswith("sha256:") else ":"
    return f"{path_of(source)}{separator}{source.revision}"


def has_tag(source: Source) -> bool:
    """Tell whether an oci URI itself names a tag or digest."""
    return ":" in path_of(source).rsplit("/", 1)[-1]


def seen_at(source: Source, mount: str) -> str:
    """Return the path of what is mounted at `mount`; for a claim, of what it names inside."""
    if scheme_of(source) != "pvc":
        return mount
    _, path = claim_of(source)
    return f"{mount}/{path}" if path else mount


def model_argument(engine: Engine, source: Source) -> str:
    """Return the value of `{model}`: a repository, a URL or a path."""
    support = support_for(engine, source)
    if support is None:
        return ""
    values = {
        "uri": literal(source.uri),
        "path": literal(path_of(source)),
        "mount": seen_at(source, MODEL_MOUNT),
    }
    return template.fill(support.model, values)


def adapter_argument(engine: Engine, adapter: Adapter, index: int) -> str:
    """Return one adapter in the engine's words."""
    if engine.spec.adapters is None:
        return ""
    is_repository = scheme_of(adapter.source) == "hf"
    mounted = seen_at(adapter.source, adapter_mount(adapter))
    path = path_of(adapter.source) if is_repository else mounted
    values = {"name": adapter.name, "path": literal(path), "index": str(index)}
    return template.fill(engine.spec.adapters.argument, values)


def literal(text: str) -> str:
    """Keep the kubelet from reading `$(NAME)` in a user's URI as a variable."""
    return text.replace("$(", "$$(")
