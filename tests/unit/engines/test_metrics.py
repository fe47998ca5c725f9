import math
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet.api.v1alpha1.engine import MetricNames, Metrics
from modelfleet.engines import built_in
from modelfleet.engines.metrics import MOST_SERIES, Reader, Reading, Unreadable

REAL_VLLM = Path(__file__).parent.parent / "servers" / "pages" / "vllm-0.32.0.txt"

VLLM_NEW = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="tiny"} 3.0
vllm:num_requests_running{engine="1",model_name="tiny"} 4.0
vllm:num_requests_waiting{engine="0",model_name="tiny"} 0.0
vllm:kv_cache_usage_perc{engine="0",model_name="tiny"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="tiny"} 0.75
vllm:request_success_total{engine="0",finished_reason="stop",model_name="tiny"} 10.0
vllm:request_success_total{engine="0",finished_reason="length",model_name="tiny"} 2.0
vllm:request_success_total{engine="0",finished_reason="abort",model_name="tiny"} 5.0
vllm:request_success_total{engine="0",finished_reason="error",model_name="tiny"} 1.0
vllm:generation_tokens_total{engine="0",model_name="tiny"} 1.2e+06
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.1",model_name="tiny"} 1.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf",model_name="tiny"} 3.0
vllm:time_to_first_token_seconds_bucket{engine="1",le="0.1",model_name="tiny"} 2.0
vllm:time_to_first_token_seconds_bucket{engine="1",le="+Inf",model_name="tiny"} 2.0
vllm:time_to_first_token_seconds_sum{engine="0",model_name="tiny"} 4.5
vllm:time_to_first_token_seconds_sum{engine="1",model_name="tiny"} 0.1
"""
VLLM_OLD = 'vllm:gpu_cache_usage_perc{model_name="tiny"} 0.5\n'
SGLANG_RANKS = """\
sglang:num_running_reqs{model_name="m",tp_rank="0",pp_rank="0",dp_rank="0"} 3
sglang:num_running_reqs{model_name="m",tp_rank="1",pp_rank="0",dp_rank="0"} 3
sglang:num_running_reqs{model_name="m",tp_rank="0",pp_rank="0",dp_rank="1"} 2
"""


TTFT = "vllm:time_to_first_token_seconds"


def reader_of(engine: str) -> Reader:
    found = built_in()[engine].spec.metrics
    assert found
    return Reader(found)


def read(page: str, engine: str = "vllm") -> Reading:
    return reader_of(engine).read(page)


def buckets(*counts: float, labels: str = "") -> str:
    """A histogram with bounds at 1, 2, … and no bound."""
    bounds = [str(number) for number in range(1, len(counts))] + ["+Inf"]
    return "".join(
        f'{TTFT}_bucket{{{labels}le="{bound}"}} {count}\n'
        for bound, count in zip(bounds, counts, strict=True)
    )


def test_signals_of_a_page() -> None:
    assert read(VLLM_NEW).values == {
        "running": 7.0,
        "waiting": 0.0,
        "kvCacheUsage": 0.75,
        "generationTokens": 1_200_000.0,
        "succeeded": 12.0,
        "errors": 1.0,
        "aborted": 5.0,
    }


def test_histograms_of_a_page() -> None:
    found = read(VLLM_NEW).histograms

    assert list(found) == ["timeToFirstToken"]
    assert found["timeToFirstToken"].bounds == (0.1, math.inf)
    assert found["timeToFirstToken"].counts == (3.0, 5.0)
    assert found["timeToFirstToken"].count == 5.0
    assert found["timeToFirstToken"].sum == pytest.approx(4.6)


def test_a_page_of_a_real_engine() -> None:
    """Recorded from vLLM 0.32.0 on a CPU, with requests running and waiting."""
    found = read(REAL_VLLM.read_text())

    assert found.values == pytest.approx(
        {
            "running": 4.0,
            "waiting": 4.0,
            "kvCacheUsage": 0.001953602,
            "promptTokens": 57.0,
            "generationTokens": 629.0,
            "succeeded": 2.0,
            "errors": 0.0,
            "aborted": 0.0,
            "preemptions": 0.0,
        },
        rel=1e-6,
    )
    assert found.histograms["timeToFirstToken"].count == 6
    assert found.histograms["timePerOutputToken"].count == 623
    assert found.started == 1795422002.61


def test_an_older_version_is_read_by_its_older_names() -> None:
    assert read(VLLM_OLD).values == {"kvCacheUsage": 0.5}


def test_the_newer_name_goes_first() -> None:
    page = VLLM_OLD + 'vllm:kv_cache_usage_perc{model_name="tiny"} 0.25\n'

    assert read(page).values == {"kvCacheUsage": 0.25}


def test_ranks_of_one_replica_are_not_added_up() -> None:
    assert read(SGLANG_RANKS, "sglang").values == {"running": 5.0}


def test_an_engine_without_labels() -> None:
    page = "llamacpp:requests_processing 2\nllamacpp:requests_deferred 0\n"

    assert read(page, "llama-cpp").values == {"running": 2.0, "waiting": 0.0}


def test_histograms_of_ranks_are_not_added_up() -> None:
    ranks = buckets(3, 4, labels='tp_rank="0",') + buckets(3, 5, labels='tp_rank="1",')

    assert read(ranks).histograms["timeToFirstToken"].counts == (3, 5)


def test_histograms_are_added_up_at_the_bounds_that_all_have() -> None:
    coarse = buckets(3, 4, labels='engine="0",')
    fine = buckets(1, 2, 6, labels='engine="1",')

    found = read(coarse + fine).histograms["timeToFirstToken"]

    assert (found.bounds, found.counts) == ((1.0, math.inf), (4, 10))


def test_a_sum_that_is_missing_is_unknown() -> None:
    assert read(buckets(1, 2)).histograms["timeToFirstToken"].sum is None


@pytest.mark.parametrize(
    "page",
    [
        buckets(1, 2).replace("+Inf", "7"),
        buckets(2, 1),
        buckets(-1, 1),
        buckets(1, math.inf),
        buckets(1, math.nan),
        buckets(1, 2).replace('le="1"', 'le="one"'),
        buckets(1, 2).replace('le="1"', 'other="1"'),
        buckets(1, 2) + f"{TTFT}_bucket nonsense\n",
    ],
    ids=[
        "no last bound",
        "falls",
        "below zero",
        "infinite",
        "not a number",
        "no bound",
        "no le",
        "a broken line",
    ],
)
def test_what_cannot_be_a_histogram_is_unknown(page: str) -> None:
    assert read(page).histograms == {}


@pytest.mark.parametrize(
    "labels",
    [
        'role="x",',
        'a=",le=",',
        r'a="\",le=\"7",',
        'a="{}, }",',
        "",
    ],
    ids=["ends like le", "a value like le", "an escaped value like le", "braces", "none"],
)
def test_bounds_are_found_among_strange_labels(labels: str) -> None:
    after = buckets(1, 2).replace('"}', f'",{labels.removesuffix(",")}}}')

    for page in (buckets(1, 2, labels=labels), after):
        assert read(page).histograms["timeToFirstToken"].bounds == (1.0, math.inf)


@pytest.mark.parametrize(
    "page",
    [
        "",
        "# only comments\n",
        "another_engine 1\n",
        "vllm:num_requests_running NaN\n",
        "vllm:num_requests_running +Inf\n",
        'vllm:num_requests_running{engine="0"} 1\nvllm:num_requests_running{engine="1"} NaN\n',
        'vllm:num_requests_running{engine="0"} 1\nvllm:num_requests_running{engine="1"}\n',
        f'vllm:num_requests_running{{engine="{"x" * 20_000}"}} 1\n',
        "vllm:num_requests_running_total 1\n",
    ],
    ids=[
        "empty",
        "comments",
        "another engine",
        "not a number",
        "infinite",
        "one of two not a number",
        "one of two broken",
        "a label without end",
        "a longer name",
    ],
)
def test_what_is_missing_is_unknown_and_not_zero(page: str) -> None:
    assert read(page) == Reading()


@pytest.mark.parametrize("page", ["<html>not found</html>", '{"error": 1}', "\0\0"])
def test_what_is_no_page_is_refused(page: str) -> None:
    with pytest.raises(Unreadable):
        read(page)


def test_a_page_with_too_many_series_is_refused() -> None:
    with pytest.raises(Unreadable):
        read("vllm:num_requests_running 1\n" * (MOST_SERIES + 1))


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("up 1", 1.0),
        ("up 1 1700000000000", 1.0),
        ("up\t1", None),
        ("up 1\r", 1.0),
        ('up{x="1,2}",y=""} 3', 3.0),
        (r'up{x="say \"hi\"\n\\"} -0.5', -0.5),
        ('up{x="1"} 3 # {trace="7"} 0.5', None),
    ],
)
def test_lines(line: str, value: float | None) -> None:
    up = Metrics(signals=(MetricNames(signal="running", names=("up",)),))

    assert Reader(up).read(f"other 1\n{line}\n").values.get("running") == value


def test_a_label_is_compared_by_what_it_means() -> None:
    wanted = MetricNames(signal="errors", names=("bad",), label="why", values=('say "no"\n',))
    page = 'bad{why="say \\"no\\"\\n"} 2\nbad{why="other"} 5\n'

    assert Reader(Metrics(signals=(wanted,))).read(page).values == {"errors": 2.0}


@given(st.text())
def test_no_page_is_too_strange(page: str) -> None:
    with suppress(Unreadable):
        assert isinstance(read(page), Reading)


@given(st.lists(st.sampled_from(VLLM_NEW.splitlines()), max_size=40), st.data())
def test_no_page_of_broken_lines_is_too_strange(lines: list[str], data: st.DataObject) -> None:
    broken = [line[: data.draw(st.integers(0, len(line)))] for line in lines]

    for one in read("\n".join([*broken, "up 1"])).histograms.values():
        assert one.bounds[-1] == math.inf
