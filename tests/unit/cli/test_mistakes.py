"""`modelfleet plan` on what is wrong: one line for each mistake, and never a traceback."""

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelfleet.cli.mistakes import one_line
from support import corpus, manifests
from support.chance import examples

Run = Callable[..., Result]

GOOD = yaml.safe_dump(manifests.model("team"))
HEAD = """\
apiVersion: modelfleet.dev/v1alpha1
kind: Model
metadata: {name: chat, namespace: team}
spec:
  source: {uri: "hf://Qwen/Qwen2.5-7B-Instruct"}
  engine: {name: vllm}
"""


def told(result: Result) -> list[str]:
    """The mistakes of a run that must have some."""
    assert result.exit_code == 1
    return [line for line in result.stderr.splitlines() if not line.startswith("note: ")]


# --- what is no object at all -----------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "there is no Model here"),
        ("# nothing\n---\n---\n", "there is no Model here"),
        ("- a\n- b\n", ":1: an object is expected, not a list"),
        ("42\n", ":1: an object is expected, not a single value"),
        ("kind: [\n", ":2: not readable as YAML: "),
        ("a:\n\t- b\n", ":2: not readable as YAML: found character that cannot start any token"),
        ("a: 1\nb: 2\na: 3\n", ":3: not readable as YAML: the key 'a' is given twice"),
        ("a: {b: 1, b: 2}\n", ":1: not readable as YAML: the key 'b' is given twice"),
        ("a: &a [*a]\n", ":1: not readable as YAML: an anchor refers to itself"),
        ("a: *nowhere\n", ":1: not readable as YAML: found undefined alias"),
        ("? [a]\n: b\n", ":1: not readable as YAML: found unhashable key"),
        ("a: !!python/object/apply:os.system [ls]\n", ":1: not readable as YAML: could not "),
        ("a: =\n", ":1: not readable as YAML: could not determine a constructor"),
        ("a: \0\n", ": not readable as YAML: control characters are not allowed"),
        (r'a: "\ud800"' + "\n", ":1: not readable as YAML: found invalid Unicode character"),
        ("[" * 100_000, ":1: not readable as YAML: nested too deeply"),
        ("x: " + "{a: " * 500 + "1" + "}" * 500, ":1: not readable as YAML: nested too deeply"),
        ("a: " + "9" * 5000, "Exceeds the limit"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_what_is_no_object(run: Run, folder: Path, text: str, line: str) -> None:
    (folder / "x.yaml").write_text(text)

    (mistake,) = told(run("plan", "-f", "x.yaml"))

    assert mistake.startswith("x.yaml:")
    assert line in mistake


def bomb(levels: int, merged: bool = False) -> str:
    """A few lines that stand for ten to the power of `levels` values."""
    lines = ["a0: &a0 {x: 1}" if merged else "a0: &a0 [x, x]"]
    for level in range(1, levels):
        references = ", ".join([f"*a{level - 1}"] * 10)
        inside = f"{{<<: [{references}]}}" if merged else f"[{references}]"
        lines.append(f"a{level}: &a{level} {inside}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("merged", [False, True])
def test_a_file_that_would_grow_without_bounds_is_refused(run: Run, merged: bool) -> None:
    (mistake,) = told(run("plan", "-f", "-", stdin=bomb(30, merged)))

    assert "values when its aliases are written out" in mistake


def test_anchors_and_merges_are_used_as_they_are_meant(run: Run) -> None:
    text = "x: &defaults {replicas: 0}\n---\n" + HEAD.replace(
        "spec:", "spec: &one\n  <<: {replicas: 2}"
    )

    result = run("plan", "-f", "-", stdin=text)

    assert result.exit_code == 0
    assert "replicas: 2" in result.stdout


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\xff\xfea\0p\0i\0", "not UTF-8 text (invalid start byte at byte 0)"),
        (random.Random(1).randbytes(1000), "not UTF-8 text"),
        (b"\x1f\x8b\x08\x00", "not UTF-8 text"),
        (b" " * (16 << 20) + b"x", "larger than 16 MiB"),
    ],
    ids=["UTF-16", "random", "gzip", "huge"],
)
def test_what_is_no_text(run: Run, folder: Path, data: bytes, says: str) -> None:
    (folder / "x.yaml").write_bytes(data)

    (mistake,) = told(run("plan", "-f", "x.yaml"))

    assert mistake.startswith(f"x.yaml: {says}")


def test_a_byte_order_mark_is_no_mistake(run: Run) -> None:
    assert run("plan", "-f", "-", stdin=b"\xef\xbb\xbf" + GOOD.encode()).exit_code == 0


# --- files and folders --------------------------------------------------------------


def test_files_that_cannot_be_read(run: Run, folder: Path) -> None:
    (folder / "in").mkdir()
    (folder / "in" / "broken.yaml").symlink_to("nowhere")
    (folder / "in" / "folder.yaml").mkdir()
    os.mkfifo(folder / "in" / "pipe.yaml")
    (folder / "in" / "good.yaml").write_text(GOOD)

    result = run("plan", "-f", "in", "-f", "missing", "-f", "in/broken.yaml", "-f", "x" * 300)

    assert told(result) == [
        "in/broken.yaml: No such file or directory",
        "missing: No such file or directory",
        "in/broken.yaml: No such file or directory",
        f"{'x' * 300}: File name too long",
    ]
    assert result.stdout


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable for root")
def test_what_may_not_be_read(run: Run, folder: Path) -> None:
    (folder / "locked").mkdir()
    (folder / "file.yaml").write_text(GOOD)
    (folder / "file.yaml").chmod(0)
    (folder / "locked").chmod(0)

    assert set(told(run("plan", "-f", "."))) == {
        "file.yaml: Permission denied",
        "./locked: Permission denied",
    }


def test_a_folder_without_yaml(run: Run, folder: Path) -> None:
    (folder / "model.txt").write_text(GOOD)

    assert told(run("plan", "-f", ".")) == [".: no file in this folder ends in .yaml, .yml, .json"]


def test_nothing_to_read_is_a_wrong_use(run: Run) -> None:
    result = run("plan")

    assert result.exit_code == 2
    assert "--filename" in result.stderr


# --- objects -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        (
            HEAD + "  replicas: many\n  gpus: 1\n  resources:\n    gpus: -1\n",
            [
                "7: Model team/chat: spec.replicas: must be a valid integer",
                "8: Model team/chat: spec.gpus: unknown field",
                "10: Model team/chat: spec.resources.gpus: must be greater than or equal to 0",
            ],
        ),
        (
            "kind: Model\nmetadata: {name: chat}\n",
            ["1: Model chat: apiVersion: write modelfleet.dev/v1alpha1"],
        ),
        (
            HEAD.replace("v1alpha1", "v1beta1"),
            [
                "1: Model team/chat: apiVersion: modelfleet.dev/v1beta1 is unknown, "
                "use modelfleet.dev/v1alpha1"
            ],
        ),
        (
            HEAD.replace("kind: Model", "kind: Modle"),
            [
                "2: Modle team/chat: kind: unknown; modelfleet.dev/v1alpha1 has "
                "AutoscalingPolicy, Engine, GPUNodePool, Model"
            ],
        ),
        (
            HEAD.replace("metadata: {name: chat, namespace: team}\n", ""),
            ["1: Model ?: metadata: required, but not given"],
        ),
        (
            HEAD.replace("{name: chat, namespace: team}", "chat"),
            ["3: Model ?: metadata: must be an object"],
        ),
        (
            HEAD.replace("{name: vllm}", "{name: vllm, args: [1, 2.5]}"),
            [
                "6: Model team/chat: spec.engine.args[0]: must be a valid string",
                "6: Model team/chat: spec.engine.args[1]: must be a valid string",
            ],
        ),
        (
            HEAD.replace("name: chat", "name: Chat"),
            [
                "3: Model team/chat: metadata.name: at most 50 characters: lower case, digits "
                "and '-', a letter first"
            ],
        ),
        (
            HEAD.replace("spec:", "spec:\n  1: 2"),
            ["5: Model team/chat: spec[1]: Keys should be strings"],
        ),
    ],
)
def test_each_mistake_names_file_line_object_and_field(
    run: Run, folder: Path, text: str, mistakes: list[str]
) -> None:
    (folder / "model.yaml").write_text(text)

    result = run("plan", "-f", "model.yaml")

    found = [line.replace("Model team/Chat", "Model team/chat") for line in told(result)]
    assert found == [f"model.yaml:{one}" for one in mistakes]
    assert result.stdout == ""


@pytest.mark.parametrize("example", corpus.examples("invalid"), ids=lambda one: one.name)
def test_every_invalid_object_of_the_corpus_is_refused(run: Run, example: corpus.Example) -> None:
    for mistake in told(run("plan", "-f", "-", stdin=example.text)):
        assert mistake.startswith("<stdin>:")


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"engine": {"name": "vlm"}}, "UnknownEngine: spec.engine.name: there is no engine 'vlm'"),
        ({"source": {"uri": "ollama://x"}}, "UnsupportedSource: spec.source.uri"),
        ({"nodePools": ["b200"], "resources": {"gpus": 1}}, "PoolMissing: spec.nodePools"),
    ],
)
def test_what_the_operator_would_refuse_is_a_mistake(
    run: Run, spec: dict[str, Any], says: str
) -> None:
    pool = manifests.pool("h100", gpu="h100")
    text = yaml.safe_dump_all([pool, manifests.model("team", **spec)])

    (mistake,) = told(run("plan", "-f", "-", stdin=text))

    assert f"Model team/chat: {says}" in mistake


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (HEAD.replace("hf://Qwen/Qwen2.5-7B-Instruct", "ollama://x"), 5, "spec.source.uri: "),
        (HEAD.replace("vllm", "vlm"), 6, "spec.engine.name: "),
        (
            HEAD.replace(
                "{name: vllm}",
                "\n    name: vllm\n    args:\n    - --dtype=half\n    - --port\n    - --host=x",
            ),
            10,
            "spec.engine.args[1], [2]: --port, --host are set from other fields",
        ),
        (
            HEAD.replace(
                "{name: vllm}", "\n    name: vllm\n    env:\n    - name: A\n    - name: HOME"
            ),
            10,
            "spec.engine.env[HOME]: ",
        ),
        (
            HEAD + "  adapters:\n  - name: french\n    source:\n      uri: hf://a/b\n"
            "      revision: main\n",
            11,
            "spec.adapters[french].source.revision: ",
        ),
        (HEAD + "  replicas: 1\n  rollout:\n    pinRevision: aaaaaaaaaa\n", 9, "spec.rollout.pin"),
    ],
)
def test_a_mistake_in_the_meaning_names_the_line_of_its_field(
    run: Run, text: str, line: int, says: str
) -> None:
    (mistake,) = told(run("plan", "-f", "-", stdin=text))

    assert mistake.startswith(f"<stdin>:{line}: Model team/chat: ")
    assert says in mistake


def test_a_mistake_in_the_meaning_of_an_engine_names_its_line(run: Run) -> None:
    engine = manifests.engine(
        "our-own", args=[{"values": ["--a"]}, {"values": ["b", "{nonsense}"]}]
    )
    text = yaml.safe_dump(engine)
    line = text[: text.index("{nonsense}")].count("\n") + 1

    (mistake,) = told(run("plan", "-f", "-", stdin=text))

    assert mistake.startswith(f"<stdin>:{line}: Engine our-own: spec.args[1].values[1]: ")


def test_an_engine_that_cannot_be_used_is_a_mistake(run: Run) -> None:
    engine = manifests.engine("our-own", args=[{"values": ["{nonsense}"]}])

    (mistake,) = told(run("plan", "-f", "-", stdin=yaml.safe_dump(engine)))

    assert "Engine our-own: spec.args" in mistake


def test_the_good_ones_are_printed_beside_the_mistakes(run: Run, folder: Path) -> None:
    (folder / "a.yaml").write_text("[")
    broken = HEAD.replace("name: chat", "name: broken") + "  replicas: many\n"
    (folder / "b.yaml").write_text(f"{broken}---\n{GOOD}---\nx: [\n")
    (folder / "c.yaml").write_text(GOOD.replace("name: chat", "name: other"))

    result = run("plan", "-f", ".")

    assert [line.partition(":")[0] for line in told(result)] == ["a.yaml", "b.yaml", "b.yaml"]
    kinds = [one["kind"] for one in yaml.safe_load_all(result.stdout)]
    assert kinds.count("Deployment") == 2
    assert "also" not in result.stderr


def test_a_name_that_is_given_twice_is_told_with_both_places(run: Run, folder: Path) -> None:
    (folder / "a.yaml").write_text(f"{GOOD}---\n{GOOD}")
    (folder / "b.yaml").write_text(GOOD)

    result = run("plan", "-f", "a.yaml", "-f", "b.yaml")

    line = GOOD.count("\n") + 2
    assert told(result) == [
        f"a.yaml:{line}: Model team/chat: also in a.yaml:1",
        "b.yaml:1: Model team/chat: also in a.yaml:1",
    ]
    assert result.stdout.count("kind: Deployment") == 1


def test_a_deployment_alone_is_not_what_was_meant(run: Run, folder: Path) -> None:
    (folder / "x.yaml").write_text("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n")

    assert told(run("plan", "-f", "x.yaml")) == ["x.yaml: there is no Model here"]


def test_items_of_a_list_are_told_by_their_own_lines(run: Run, folder: Path) -> None:
    items = "".join(
        "  - " + HEAD.replace("\n", "\n    ").rstrip(" ").replace("name: chat", f"name: m{at}")
        for at in range(2)
    )
    wrong = items + "      replicas: -1\n"
    (folder / "x.yaml").write_text(f"apiVersion: v1\nkind: List\nitems:\n{wrong}  - 7\n")

    result = run("plan", "-f", "x.yaml")

    assert told(result) == [
        "x.yaml:16: Model team/m1: spec.replicas: must be greater than or equal to 0",
        "x.yaml:17: an object is expected, not a single value",
    ]
    assert result.stdout.count("kind: Deployment") == 1


def test_no_mistake_writes_to_the_terminal_what_it_obeys(run: Run) -> None:
    text = HEAD.replace("name: chat", r'name: "\e[31mred\r\n\u202e\x00"')

    (mistake,) = told(run("plan", "-f", "-", stdin=text))

    assert mistake.isprintable()


def test_one_line_is_bounded() -> None:
    assert len(one_line("x y\n" * 10_000)) == 2000


# --- anything at all -------------------------------------------------------------------


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3)
    ),
    max_leaves=12,
)
FIELDS = ("apiVersion", "kind", "metadata", "spec", "items", "status")


@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    body=st.dictionaries(st.sampled_from(FIELDS), VALUES),
    kind=st.sampled_from(["Model", "Engine", "GPUNodePool", "List", "Deployment"]),
)
def test_any_object_is_planned_or_told(run: Run, body: dict[str, Any], kind: str) -> None:
    whole = {"apiVersion": "modelfleet.dev/v1alpha1", "kind": kind, **body}

    result = run("plan", "-f", "-", stdin=yaml.safe_dump(whole))

    assert result.exit_code in (0, 1)


@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    data=st.one_of(
        st.binary(max_size=60),
        st.text(alphabet="ab:-[]{}&*!|>'\"#%@`,?\n \t\0é<", max_size=40).map(str.encode),
    )
)
def test_any_bytes_are_planned_or_told(run: Run, data: bytes) -> None:
    result = run("plan", "-f", "-", stdin=data)

    assert result.exit_code == 1
    assert all(line.startswith(("<stdin>", "-: ")) for line in result.stderr.splitlines())
