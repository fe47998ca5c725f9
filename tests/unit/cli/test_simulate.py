"""`modelfleet simulate`: files in, figures out."""

import json
import re
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Run = Callable[..., Result]
EXAMPLES = Path(__file__).parents[3] / "examples" / "simulate"
POLICY, PROFILE = EXAMPLES / "policy.yaml", EXAMPLES / "profile-7b.yaml"
TRACE = EXAMPLES / "azure_llm_2023_code_part.csv"
MADE = "generated:steps,hours=0.2,requests-per-second=2"
FIGURES = {
    *("name", "gpu_hours", "dollars", "scale_changes", "cold_starts", "requests"),
    *("over_objective", "ttft_seconds"),
}


def simulate(run: Run, *more: object, trace: object = MADE, **files: Path) -> Result:
    policy, profile = files.get("policy", POLICY), files.get("profile", PROFILE)
    return run("simulate", "--trace", trace, "--policy", policy, "--profile", profile, *more)


def runs_in(result: Result) -> list[dict[str, Any]]:
    assert (result.exit_code, result.stderr) == (0, "")
    found: list[dict[str, Any]] = json.loads(result.stdout)["runs"]
    return found


def test_a_trace_is_replayed_and_its_figures_printed(run: Run) -> None:
    (one,) = runs_in(simulate(run, "-o", "json", trace=TRACE))

    assert set(one) >= FIGURES
    assert one["name"] == "chat"
    assert one["requests"] == len(TRACE.read_text().splitlines()) - 1
    assert 0 < one["ttft_seconds"]["p50"] <= one["ttft_seconds"]["p95"]
    assert one["ttft_seconds"]["p95"] <= one["ttft_seconds"]["p99"]
    assert one["dollars"] == pytest.approx(1.2 * one["gpu_hours"], abs=0.001)
    assert one["scale_changes"] == len(one["changes"]) > 0
    assert "tokens/s" in one["changes"][0]["because"]


def test_others_are_compared_at_their_best(run: Run) -> None:
    runs = runs_in(simulate(run, "--against", "hpa,kpa", "-o", "json"))

    assert [one["name"] for one in runs] == ["chat", "hpa", "kpa"]
    assert all("in flight per pod" in one["settings"] for one in runs[1:])
    assert len({one["requests"] for one in runs}) == 1


def test_a_part_to_tune_by_is_not_measured(run: Run) -> None:
    (whole,) = runs_in(simulate(run, "-o", "json"))

    first, second = runs_in(simulate(run, "-o", "json", "--against", "hpa", "--tune", "0.5"))

    assert first["requests"] == second["requests"] < whole["requests"]
    assert first["gpu_hours"] < whole["gpu_hours"]


def test_the_same_is_shown_as_a_table(run: Run) -> None:
    result = simulate(run, "--against", "kpa")

    head, *rows = [line for line in result.stdout.splitlines() if line.startswith(("run", "chat"))]
    assert re.split(" {2,}", head)[:4] == ["run", "GPU hours", "dollars", "changes"]
    assert rows[0].startswith("chat ")
    assert "kpa of 24" in result.stdout


class Page(HTMLParser):
    """Notes what a page would fetch, and whether its tags fit."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "line", "polygon", "path"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("line", "polygon", "path"):
            assert self.open.pop() == tag


def test_a_page_needs_nothing_else(run: Run) -> None:
    result = simulate(run, "--against", "hpa", "-o", "html")

    page = Page()
    page.feed(result.stdout)
    assert page.open == page.fetched == []
    assert page.seen.count("svg") == 2
    assert "script" not in page.seen
    assert "http" not in result.stdout
    assert "prefers-color-scheme: dark" in result.stdout


def test_a_picture_is_a_png(run: Run, folder: Path) -> None:
    result = simulate(run, "--picture", "replay.png")

    assert (result.exit_code, result.stderr) == (0, "")
    assert (folder / "replay.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_without_matplotlib_says_what_to_install(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    result = simulate(run, "--picture", "replay.png")

    assert result.exit_code == 1
    assert "pip install 'modelfleet[pictures]'" in result.stderr


@pytest.mark.parametrize(
    "profile", sorted(EXAMPLES.glob("profile-*.yaml")), ids=lambda one: one.stem
)
def test_every_example_can_be_replayed(run: Run, profile: Path) -> None:
    (one,) = runs_in(simulate(run, "-o", "json", profile=profile))

    assert one["unfinished"] == 0


def test_a_trace_may_come_from_standard_input(run: Run) -> None:
    arguments = ("simulate", "--trace", "-", "--policy", POLICY, "--profile", PROFILE, "-o", "json")
    line = '{"timestamp": 0, "input_length": 1000, "output_length": 10}\n'

    assert runs_in(run(*arguments, stdin=line))[0]["requests"] == 1


def test_more_load_is_more_requests(run: Run) -> None:
    (once,) = runs_in(simulate(run, "-o", "json"))
    (twice,) = runs_in(simulate(run, "-o", "json", "--times", "2"))

    assert twice["requests"] == 2 * once["requests"]


@pytest.mark.parametrize(
    ("trace", "told"),
    [
        pytest.param("none.csv", "none.csv: No such file or directory", id="no file"),
        pytest.param(".", ".: Is a directory", id="a folder"),
        pytest.param(
            "bad.csv",
            "bad.csv:3: ContextTokens: 'x' is not a number of tokens up to 10000000",
            id="a bad line",
        ),
        pytest.param(
            "generated:square", "generated:square: known shapes: diurnal, steps", id="no such shape"
        ),
        pytest.param(
            "generated:steps,hours=many",
            "generated:steps,hours=many: hours: 'many' is not a number",
            id="no number",
        ),
        pytest.param(
            "generated:steps,hours=1e9",
            "generated:steps,hours=1e9: a trace of this length or rate cannot be made",
            id="too long",
        ),
        pytest.param(
            "generated:steps,days=1",
            "generated:steps,days=1: known settings: hours, requests-per-second, prompt-tokens, "
            "output-tokens, seed",
            id="no such setting",
        ),
    ],
)
def test_a_trace_that_cannot_be_read_is_a_mistake(
    run: Run, folder: Path, trace: str, told: str
) -> None:
    (folder / "bad.csv").write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03,1,1\n2023-11-16 18:17:04,x,1"
    )

    result = simulate(run, trace=trace)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"{told}\n"


@pytest.mark.parametrize(
    ("profile", "told"),
    [
        pytest.param("{}", "p.yaml:1: name: required, but not given", id="no name"),
        pytest.param(
            "name: a\nengine:\n  kvTokens: 0",
            "p.yaml:3: engine.kvTokens: Input should be greater than or equal to 1",
            id="no cache",
        ),
        pytest.param("name: a\nspeed: 1", "p.yaml:2: speed: unknown field", id="an unknown field"),
        pytest.param("", "p.yaml: one profile is expected, not 0", id="nothing"),
    ],
)
def test_a_profile_that_is_none_is_a_mistake(
    run: Run, folder: Path, profile: str, told: str
) -> None:
    (folder / "p.yaml").write_text(profile)

    result = simulate(run, profile=Path("p.yaml"))

    assert (result.exit_code, result.stderr) == (1, f"{told}\n")


def test_a_policy_that_the_api_server_would_refuse_is_a_mistake(run: Run, folder: Path) -> None:
    (folder / "policy.yaml").write_text(
        POLICY.read_text().replace("minReplicas: 1", "minReplicas: 99")
    )

    result = simulate(run, policy=Path("policy.yaml"))

    assert result.exit_code == 1
    assert "policy.yaml:" in result.stderr
    assert "minReplicas is more than maxReplicas" in result.stderr


def test_a_model_is_no_policy(run: Run) -> None:
    result = simulate(run, policy=EXAMPLES.parent / "qwen-chat.yaml")

    assert result.exit_code == 1
    assert result.stderr.endswith("one AutoscalingPolicy is expected, not 0\n")


def test_an_unknown_comparison_is_a_wrong_use(run: Run) -> None:
    result = simulate(run, "--against", "hpa,vpa")

    assert result.exit_code == 2
    assert "'vpa' is not one of hpa, kpa" in result.stderr
