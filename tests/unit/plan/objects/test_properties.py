"""What holds for the children of every Model that an engine can serve."""

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from modelfleet.api.v1alpha1 import Model
from modelfleet.plan.engine import why_unusable
from support.chance import examples
from unit.plan.models import engine_named, model_with
from unit.plan.objects.cases import children_of, template_of

ENGINES = ("vllm", "sglang", "llama-cpp", "tei", "ollama", "triton")
HOSTILE = "$(id);`id`&&{model}'\"\\x"
"""What would run in a shell, and what would be filled in where templates are read twice."""

NAMES = st.from_regex(r"[a-z]([-a-z0-9]{0,48}[a-z0-9])?", fullmatch=True)
WORDS = st.sampled_from(["a", "b-c", "d.e"])
LABELS = st.dictionaries(st.sampled_from(["example.com/a", "b"]), WORDS)
SOURCES = st.sampled_from(
    [
        {"uri": "hf://acme/tiny"},
        {"uri": "hf://acme/tiny", "revision": "abc", "secretRef": {"name": "hf"}},
        {"uri": "pvc://weights/some/tiny"},
        {"uri": "oci://registry.example.com/tiny", "revision": "v1"},
        {"uri": f"s3://bucket/{HOSTILE}".replace("\\", "").replace(" ", "")},
        {"uri": "https://example.com/tiny.gguf"},
    ]
)
ADAPTERS = st.sampled_from(
    [
        [],
        [{"name": "a", "source": {"uri": "pvc://lora/a"}}],
        [{"name": "b", "source": {"uri": "oci://registry.example.com/b:1"}}],
    ]
)
VALUES = st.sampled_from([HOSTILE, "plain", ""])
SPECS = st.fixed_dictionaries(
    {
        "source": SOURCES,
        "engine": st.fixed_dictionaries(
            {"name": st.sampled_from(ENGINES)},
            optional={
                "args": st.lists(VALUES, max_size=3),
                "env": VALUES.map(lambda value: [{"name": "A", "value": value}]),
            },
        ),
    },
    optional={
        "resources": st.fixed_dictionaries(
            {},
            optional={
                "gpus": st.integers(0, 8),
                "cpu": st.sampled_from(["500m", "4", "0.5"]),
                "memory": st.sampled_from(["32Gi", "33554432Ki", "1.5G"]),
                "sharedMemory": st.sampled_from(["1Gi", "1024Mi"]),
            },
        ),
        "nodePools": st.sampled_from([["h100"], ["h100-spot", "h100"]]),
        "adapters": ADAPTERS,
        "startup": st.integers(10, 86400).map(lambda n: {"deadlineSeconds": n}),
        "drain": st.integers(0, 3600).map(lambda n: {"timeoutSeconds": n}),
        "servedNames": st.sampled_from([[], ["one"], ["one", "org/two"]]),
        "podTemplate": st.fixed_dictionaries(
            {},
            optional={
                "labels": LABELS,
                "annotations": st.dictionaries(st.just("c"), VALUES),
                "nodeSelector": LABELS,
                "serviceAccountName": WORDS,
                "tolerations": st.just([{"operator": "Exists"}]),
            },
        ),
    },
)


@st.composite
def models(draw: st.DrawFn) -> Model:
    """Draw a Model that its engine can serve."""
    spec: dict[str, Any] = draw(SPECS)
    model = model_with(draw(NAMES), **spec)
    assume(why_unusable(model, engine_named(model.spec.engine.name)) is None)
    return model


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each innermost value, empty ones included, with its path."""
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = [(f".{key}", inner) for key, inner in value.items()]
    elif isinstance(value, list | tuple):
        items = [(f"[{place}]", inner) for place, inner in enumerate(value)]
    if not items:
        yield path, value
    for key, inner in items:
        yield from leaves(inner, f"{path}{key}")


thorough = settings(
    max_examples=examples(60),
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


@thorough
@given(models())
def test_no_child_has_an_empty_value(model: Model) -> None:
    """The API server drops empty values, so an apply would differ for ever."""
    empty = [
        path
        for child in children_of(model)
        for path, value in leaves({key: child[key] for key in child if key != "data"})
        if value in (None, "", [], {}, ())
        and not path.endswith("emptyDir")
        and ".annotations." not in path
        and ".args[" not in path
    ]

    assert empty == []


@thorough
@given(models())
def test_names_fit_and_owners_are_set(model: Model) -> None:
    for child in children_of(model):
        assert len(child["metadata"]["name"]) <= 63
        assert child["metadata"]["ownerReferences"][0]["controller"] is True
        assert child["metadata"]["namespace"] == model.metadata.namespace


@thorough
@given(models())
def test_strangers_words_are_arguments_and_values_and_nothing_else(model: Model) -> None:
    template = template_of(model)
    container = template["spec"]["containers"][0]
    hostile = [path for path, value in leaves(template) if "`id`" in str(value)]

    assert all(
        path.startswith((".spec.containers[0].args[", ".spec.containers[0].env["))
        or path == ".metadata.annotations.c"
        for path in hostile
    )
    command = engine_named(model.spec.engine.name).spec.command
    assert container.get("command", []) == list(command)
    assert not {"sh", "bash", "-c"} & set(command)
    assert container["lifecycle"]["preStop"].keys() == {"sleep"}


@thorough
@given(models())
def test_the_users_arguments_come_last_and_unchanged(model: Model) -> None:
    given_arguments = list(model.spec.engine.args)
    arguments = template_of(model)["spec"]["containers"][0]["args"]

    assert arguments[len(arguments) - len(given_arguments) :] == given_arguments


@thorough
@given(models())
def test_quantities_are_what_the_user_wrote(model: Model) -> None:
    resources = template_of(model)["spec"]["containers"][0].get("resources", {})
    asked = model.spec.resources

    for name in ("cpu", "memory"):
        if wanted := getattr(asked, name):
            assert resources["requests"][name] == wanted
    assert resources.get("limits", {}).get("memory") == asked.memory
    assert resources.get("limits", {}).get("nvidia.com/gpu") == (
        str(asked.gpus) if asked.gpus else None
    )


@thorough
@given(models())
def test_the_pod_outlives_its_drain(model: Model) -> None:
    pod = template_of(model)["spec"]
    waits = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace = pod["terminationGracePeriodSeconds"]

    assert 0 < waits < grace
    assert grace > model.spec.drain.timeout_seconds


@thorough
@given(models())
def test_every_mount_has_its_volume(model: Model) -> None:
    pod = template_of(model)["spec"]
    mounts = [mount["name"] for mount in pod["containers"][0]["volumeMounts"]]
    paths = [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]

    assert sorted(mounts) == sorted(volume["name"] for volume in pod["volumes"])
    assert len(set(mounts)) == len(mounts)
    assert len(set(paths)) == len(paths)


@thorough
@given(models())
def test_a_variable_is_given_once(model: Model) -> None:
    names = [one["name"] for one in template_of(model)["spec"]["containers"][0]["env"]]

    assert len(set(names)) == len(names)


@thorough
@given(models())
def test_a_second_look_renders_the_same_bytes(model: Model) -> None:
    again = Model.model_validate(json.loads(model.model_dump_json(by_alias=True)))

    assert json.dumps(children_of(again)) == json.dumps(children_of(model))
