"""`modelfleet plan` on what is right."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

from modelfleet.api.v1alpha1 import Model
from modelfleet.plan import revision
from support import manifests

Run = Callable[..., Result]
EXAMPLES = Path(__file__).parents[3] / "examples"
KINDS = ["ControllerRevision", "ServiceAccount", "Service", "PodDisruptionBudget", "Deployment"]
CPU = manifests.model("team", "chat")
GPU = manifests.model("team", "big", resources={"gpus": 2})


def as_yaml(*objects: dict[str, Any]) -> str:
    return yaml.safe_dump_all(objects)


def printed(result: Result) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(result.stdout))


def test_the_examples_are_planned_without_a_word(run: Run) -> None:
    result = run("plan", "-f", EXAMPLES)

    assert (result.exit_code, result.stderr) == (0, "")
    models = [one for one in EXAMPLES.glob("*.yaml") if "kind: Model" in one.read_text()]
    assert [one["kind"] for one in printed(result)] == KINDS * len(models)


def test_objects_come_in_the_order_in_which_they_can_be_created(run: Run) -> None:
    result = run("plan", "-f", "-", stdin=as_yaml(CPU))

    assert [one["kind"] for one in printed(result)] == KINDS


def test_two_runs_print_the_same_bytes(run: Run) -> None:
    first, second = (run("plan", "-f", EXAMPLES).stdout for _ in range(2))

    assert first == second
    assert first.startswith("---\n")


def test_it_is_what_the_operator_would_apply(run: Run) -> None:
    result = run("plan", "-f", "-", stdin=as_yaml(CPU))

    wanted = revision.hash_for(Model.model_validate(CPU))
    deployment = printed(result)[-1]
    assert deployment["metadata"]["name"] == f"chat-{wanted}"
    snapshot = printed(result)[0]
    assert snapshot["data"]["template"] == deployment["spec"]["template"]


@pytest.mark.parametrize("namespace", [None, "team"])
def test_a_namespace_is_printed_only_where_one_is_given(run: Run, namespace: str | None) -> None:
    body = manifests.model("x")
    body["metadata"] = {"name": "chat", **({"namespace": namespace} if namespace else {})}

    result = run("plan", "-f", "-", stdin=as_yaml(body))

    assert {one["metadata"].get("namespace") for one in printed(result)} == {namespace}


def test_without_a_uid_nothing_has_an_owner(run: Run) -> None:
    result = run("plan", "-f", "-", stdin=as_yaml(CPU))

    assert not any("ownerReferences" in one["metadata"] for one in printed(result))


def test_what_kubectl_get_prints_can_be_planned(run: Run) -> None:
    stored = {
        **CPU,
        "metadata": {
            **CPU["metadata"],
            "uid": "6b1f",
            "resourceVersion": "12",
            "generation": 3,
            "creationTimestamp": "2026-11-24T12:00:00Z",
            "managedFields": [{"manager": "kubectl"}],
        },
        "status": {"replicas": 1, "conditions": [{"type": "from another version"}]},
    }
    listed = {"apiVersion": "v1", "kind": "List", "items": [stored], "metadata": {}}

    result = run("plan", "-f", "-", stdin=as_yaml(listed))

    assert result.exit_code == 0
    assert {one["metadata"]["ownerReferences"][0]["uid"] for one in printed(result)} == {"6b1f"}


def test_json_is_read_too(run: Run, folder: Path) -> None:
    (folder / "model.json").write_text('{"apiVersion": "modelfleet.dev/v1alpha1", "kind": "Model",'
        '\t"metadata": {"name": "a"}, "spec": {"source": {"uri": "hf://a/b"}, '
        '"engine": {"name": "tei"}}}')  # fmt: skip

    assert run("plan", "-f", folder).exit_code == 0


def test_json_may_write_a_character_as_two_escapes(run: Run) -> None:
    """As most writers of JSON do that keep to ASCII; YAML has no such pairs."""
    words = "😀 and \\ud83d\\ude00"
    body = manifests.model("team", podTemplate={"annotations": {"note": words}})

    result = run("plan", "-f", "-", stdin=json.dumps(body, indent=1))

    assert printed(result)[-1]["spec"]["template"]["metadata"]["annotations"]["note"] == words


def test_folders_are_read_through_and_hidden_ones_are_not(run: Run, folder: Path) -> None:
    for where in (".git", "team/deep"):
        (folder / where).mkdir(parents=True)
    (folder / ".git" / "model.yaml").write_text("[")
    (folder / "team" / "deep" / "model.yml").write_text(as_yaml(CPU))
    (folder / "team" / "notes.txt").write_text("[")

    result = run("plan", "-f", "team", "-f", ".")

    assert "also in team/deep/model.yml:1" in result.stderr
    assert len(printed(result)) == len(KINDS)


def test_engines_and_pools_of_the_files_are_used(run: Run) -> None:
    pool = manifests.pool("h100", gpu="h100")
    engine = manifests.engine("our-own")
    body = manifests.model("team", engine={"name": "our-own"}, resources={"gpus": 1})

    result = run("plan", "-f", "-", stdin=as_yaml(pool, engine, body))

    assert (result.exit_code, result.stderr) == (0, "")
    pod = printed(result)[-1]["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "example.com/engine:1.0"
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    assert "h100" in str(pod["affinity"])


def test_without_pools_their_labels_stay_open_and_it_is_said_once(run: Run) -> None:
    other = manifests.model("team", "other", resources={"gpus": 1}, nodePools=["l40s"])

    result = run("plan", "-f", "-", stdin=as_yaml(GPU, other))

    assert result.exit_code == 0
    (note,) = result.stderr.splitlines()
    assert note.startswith("note: no GPUNodePool is among the files")
    assert "any-pool, l40s" in note
    assert "labels-of-pool" in result.stdout


def test_other_objects_are_left_out(run: Run) -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "chat"}}

    result = run("plan", "-f", "-", stdin=as_yaml(config, CPU, config))

    assert (result.exit_code, result.stderr) == (0, "")
    assert [one["kind"] for one in printed(result)] == KINDS


def test_objects_without_a_model_are_checked_and_that_is_all(run: Run) -> None:
    result = run("plan", "-f", "-", stdin=as_yaml(manifests.pool("h100", gpu="h100")))

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("note: there is no Model here")


def test_a_paused_model_would_be_left_alone(run: Run) -> None:
    result = run("plan", "-f", "-", stdin=as_yaml(manifests.model("team", paused=True)))

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("note: Model team/chat: spec.paused")


def test_two_models_of_one_name_in_two_namespaces(run: Run) -> None:
    result = run("plan", "-f", "-", stdin=as_yaml(CPU, manifests.model("other", "chat")))

    assert result.exit_code == 0
    assert len(printed(result)) == 2 * len(KINDS)


@pytest.mark.parametrize(
    "text", ["y", "n", "1e3", "2e34567234", "0o17", "017", "1_0", "yes", "~", ""]
)
def test_text_that_looks_like_something_else_stays_text(run: Run, text: str) -> None:
    """YAML 1.1 and 1.2, Go and Python take different words for numbers and truths."""
    body = manifests.model("team", podTemplate={"annotations": {"note": text}})

    result = run("plan", "-f", "-", stdin=as_yaml(body))

    assert printed(result)[-1]["spec"]["template"]["metadata"]["annotations"]["note"] == text
    assert f"note: '{text}'\n" in result.stdout


def test_nothing_is_written_with_anchors(run: Run) -> None:
    result = run("plan", "-f", EXAMPLES)

    assert "&id" not in result.stdout


def test_what_is_printed_survives_any_text(run: Run) -> None:
    words = "größe 😀 \u2028 \x85 'quoted' \"twice\" # no comment: {a}"
    body = manifests.model("team", podTemplate={"annotations": {"note": words}})

    result = run("plan", "-f", "-", stdin=as_yaml(body))

    assert printed(result)[-1]["spec"]["template"]["metadata"]["annotations"]["note"] == words


def test_a_policy_of_the_files_says_with_how_many_replicas_a_model_begins(run: Run) -> None:
    follows = manifests.model("team", "chat", autoscaling={"policyRef": {"name": "chat"}})
    policy = {
        "apiVersion": manifests.API_VERSION,
        "kind": "AutoscalingPolicy",
        "metadata": {"name": "chat", "namespace": "team"},
        "spec": {"signals": {"kvCachePercent": 80}, "minReplicas": 3, "maxReplicas": 4},
    }

    both = run("plan", "-f", "-", stdin=as_yaml(follows, policy))
    alone = run("plan", "-f", "-", stdin=as_yaml(follows))

    assert (printed(both)[-1]["spec"]["replicas"], both.stderr) == (3, "")
    assert printed(alone)[-1]["spec"]["replicas"] == 1
    assert "AutoscalingPolicy chat is not among the files" in alone.stderr
