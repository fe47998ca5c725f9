"""Pods as this process needs them, read once from what the API server sends."""

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

import orjson

from devcluster.engine.dialects import (
    TRITON_METRICS_PORT,
    Arguments,
    Dialect,
    dialect_for,
    first_adapters,
    profile_for,
    served_names,
    shutdown_timeout_for,
)
from devcluster.engine.lies import Lie
from devcluster.engine.profiles import BadProfile, Profile, overridden

MODEL_LABEL = "modelfleet.dev/model"
ENGINE_LABEL = "modelfleet.dev/engine"
ANNOTATION = "sim.modelfleet.dev/"
LOST_ANNOTATION = "sim.modelfleet.dev/lost"
_SECONDS = re.compile(r"\d+(\.\d+)?s?")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec:
    """What a pod says of the model server in it. Two pods of one template are alike."""

    dialect: Dialect
    names: tuple[str, ...]
    image: str
    ports: tuple[int, ...]
    """The serving port, and the one for metrics where it is another."""
    profile: Profile
    real: bool
    error_rate: float
    abort_rate: float
    crash_after: int | None
    """Requests after which the process ends by itself; None: never."""
    shutdown_timeout: float
    """Seconds that vLLM and Triton let requests finish after SIGTERM."""
    adapters: tuple[tuple[str, str], ...]
    """Names and paths of those that the engine starts with."""
    metrics_on: bool
    adapters_on: bool
    max_model_len: int | None
    ranks: int
    lie: Lie | None = None
    """What is wrong with its page of metrics."""
    remarks: tuple[str, ...] = ()
    """What could not be understood and was left at its default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """One observation of a pod."""

    uid: str
    namespace: str
    name: str
    node: str
    ip: str
    running: bool
    """The container (of a pod without an engine: any container) runs."""
    loaded: bool
    ended: bool
    """The pod has finished and will not start again."""
    container: str
    restarts: int
    pre_stop_seconds: float
    deletes_at: float | None
    """`metadata.deletionTimestamp`, in seconds since the epoch: the end of the grace period."""
    grace_seconds: float
    has_finalizers: bool
    engine: EngineSpec | None = field(repr=False)
    container_statuses: tuple[Mapping[str, Any], ...] = field(repr=False, compare=False)


def pod_from(document: Mapping[str, Any], known: dict[bytes, EngineSpec] | None = None) -> Pod:
    """Read a pod as the API server gives it. `known` lets pods of one template share a spec."""
    metadata, spec = document["metadata"], document.get("spec", {})
    status = document.get("status", {})
    container = _serving_container(spec.get("containers", []))
    statuses = tuple(status.get("containerStatuses") or ())
    own = _status_of(container, statuses)
    deletion = metadata.get("deletionTimestamp")
    return Pod(
        uid=metadata["uid"],
        namespace=metadata["namespace"],
        name=metadata["name"],
        node=spec.get("nodeName", ""),
        ip=status.get("podIP", ""),
        running=any("running" in (s.get("state") or {}) for s in own),
        loaded=any(s.get("ready") or s.get("started") for s in own),
        ended=status.get("phase") in ("Succeeded", "Failed"),
        container=container.get("name", ""),
        restarts=max((s.get("restartCount", 0) for s in own), default=0),
        pre_stop_seconds=max(map(_pre_stop, spec.get("containers", [])), default=0.0),
        deletes_at=datetime.fromisoformat(deletion).timestamp() if deletion else None,
        grace_seconds=float(metadata.get("deletionGracePeriodSeconds") or 0),
        has_finalizers=bool(metadata.get("finalizers")),
        engine=_engine_from(metadata, container, {} if known is None else known),
        container_statuses=statuses,
    )


def is_lost(node: Mapping[str, Any]) -> bool:
    """Say whether the machine behind a Node is gone, whatever its conditions still claim."""
    annotations = node["metadata"].get("annotations") or {}
    return bool(annotations.get(LOST_ANNOTATION) == "true")


def _serving_container(containers: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    for container in containers:
        if any(port.get("name") == "http" for port in container.get("ports") or ()):
            return container
    return {}


def _status_of(
    container: Mapping[str, Any], statuses: tuple[Mapping[str, Any], ...]
) -> tuple[Mapping[str, Any], ...]:
    own = tuple(s for s in statuses if s.get("name") == container.get("name"))
    return own or (() if container else statuses)


def _pre_stop(container: Mapping[str, Any]) -> float:
    hook = (container.get("lifecycle") or {}).get("preStop") or {}
    if "sleep" in hook:
        return float(hook["sleep"].get("seconds") or 0)
    command = (hook.get("exec") or {}).get("command") or []
    words = _words(command)
    after = [b for a, b in pairwise(words) if a.rsplit("/", 1)[-1] == "sleep"]
    return sum(float(word.rstrip("s")) for word in after if _SECONDS.fullmatch(word))


def _words(*parts: Iterable[str] | None) -> list[str]:
    """Return the words of a command; those of a shell's script are taken apart."""
    words: list[str] = []
    for part in parts:
        for word in part or ():
            words += _split(word) if words[-1:] in (["-c"], ["-ec"], ["-lc"]) else [word]
    return words


def _split(script: str) -> list[str]:
    try:
        return shlex.split(script)
    except ValueError:
        return script.split()


def _engine_from(
    metadata: Mapping[str, Any], container: Mapping[str, Any], known: dict[bytes, EngineSpec]
) -> EngineSpec | None:
    labels = metadata.get("labels") or {}
    if not container or ENGINE_LABEL not in labels:
        return None
    annotations = {
        key.removeprefix(ANNOTATION): value
        for key, value in (metadata.get("annotations") or {}).items()
        if key.startswith(ANNOTATION)
    }
    own_labels = [labels[ENGINE_LABEL], labels.get(MODEL_LABEL, metadata["name"])]
    key = orjson.dumps([own_labels, annotations, container], option=orjson.OPT_SORT_KEYS)
    if key not in known:
        spec = _spec(own_labels[0], own_labels[1], annotations, container)
        if spec is None:
            return None
        known[key] = spec
    return known[key]


def _spec(
    engine: str, model: str, annotations: Mapping[str, str], container: Mapping[str, Any]
) -> EngineSpec | None:
    image = container.get("image", "")
    remarks: list[str] = []
    dialect = _dialect(engine, image, annotations, remarks)
    if dialect is None:
        return None
    arguments = Arguments(_words(container.get("command"), container.get("args")))
    environment = {e["name"]: e.get("value", "") for e in container.get("env") or ()}
    return EngineSpec(
        dialect=dialect,
        names=served_names(dialect, arguments, model),
        image=image,
        ports=_ports(dialect, container),
        profile=_profile(dialect, arguments, annotations, remarks),
        real=annotations.get("engine") == "real" and dialect is Dialect.LLAMA_CPP,
        error_rate=_rate("error-rate", annotations, remarks),
        abort_rate=_rate("abort-rate", annotations, remarks),
        crash_after=_count("crash-after-requests", annotations, remarks),
        shutdown_timeout=shutdown_timeout_for(dialect, arguments),
        adapters=first_adapters(arguments),
        metrics_on=_metrics_on(dialect, arguments, environment),
        adapters_on=_adapters_on(dialect, arguments, environment),
        max_model_len=arguments.number("--max-model-len", "--context-length"),
        lie=_lie(annotations, remarks),
        ranks=arguments.number("--tp-size", "--tensor-parallel-size", "--tp") or 1,
        remarks=tuple(remarks),
    )


def _dialect(
    engine: str, image: str, annotations: Mapping[str, str], remarks: list[str]
) -> Dialect | None:
    wanted = annotations.get("dialect")
    if wanted is not None:
        dialect = dialect_for(wanted, "")
        if dialect is not None:
            return dialect
        remarks.append(f"annotation dialect: {wanted!r} is unknown")
    return dialect_for(engine, image)


def _ports(dialect: Dialect, container: Mapping[str, Any]) -> tuple[int, ...]:
    named = {p.get("name"): int(p["containerPort"]) for p in container.get("ports") or ()}
    metrics = named.get("metrics", TRITON_METRICS_PORT if dialect is Dialect.TRITON else 0)
    return tuple(dict.fromkeys(port for port in (named["http"], metrics) if port))


def _profile(
    dialect: Dialect, arguments: Arguments, annotations: Mapping[str, str], remarks: list[str]
) -> Profile:
    base = profile_for(dialect, arguments)
    if "profile" not in annotations:
        return base
    try:
        return overridden(base, orjson.loads(annotations["profile"]))
    except (BadProfile, orjson.JSONDecodeError) as error:
        remarks.append(f"annotation profile: {error}")
        return base


def _rate(name: str, annotations: Mapping[str, str], remarks: list[str]) -> float:
    try:
        return min(max(float(annotations.get(name, 0)), 0.0), 1.0)
    except ValueError:
        remarks.append(f"annotation {name}: not a number")
        return 0.0


def _lie(annotations: Mapping[str, str], remarks: list[str]) -> Lie | None:
    given = annotations.get("metrics")
    if given is None or given in list(Lie):
        return Lie(given) if given else None
    remarks.append(f"annotation metrics: {given!r} is unknown")
    return None


def _metrics_on(dialect: Dialect, arguments: Arguments, environment: Mapping[str, str]) -> bool:
    if dialect is Dialect.SGLANG:
        return arguments.has("--enable-metrics")
    if dialect is Dialect.LLAMA_CPP:
        switch = environment.get("LLAMA_ARG_ENDPOINT_METRICS", "")
        return arguments.has("--metrics") or switch in ("1", "true", "on")
    return dialect is not Dialect.OLLAMA


def _adapters_on(dialect: Dialect, arguments: Arguments, environment: Mapping[str, str]) -> bool:
    if dialect is Dialect.SGLANG:
        return arguments.has("--enable-lora")
    allowed = environment.get("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "").lower() in ("1", "true")
    return dialect.is_vllm and allowed and arguments.has("--enable-lora")


def _count(name: str, annotations: Mapping[str, str], remarks: list[str]) -> int | None:
    given = annotations.get(name)
    if given is None or (given.isdecimal() and int(given)):
        return int(given) if given else None
    remarks.append(f"annotation {name}: not a number above 0")
    return None
