"""Both formats of traces, and what may be wrong with them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelfleet.plan.simulation import traceformats
from modelfleet.plan.simulation.traceformats import Wrong
from support.chance import examples

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
AZURE = [HEADER, "2023-11-16 18:17:03.9799600,4808,10\n", "2023-11-16 18:17:04.0319600,3180,8\n"]
MOONCAKE = [
    '{"timestamp": 27000, "input_length": 6955, "output_length": 52, "hash_ids": [1, 2]}\n',
    '{"timestamp": 30500, "input_length": 6472, "output_length": 26, "hash_ids": [1, 3]}\n',
]


def test_azures_trace_begins_at_zero() -> None:
    trace, wrong = traceformats.read(AZURE)

    assert wrong == ()
    assert list(trace.at) == pytest.approx([0.0, 0.052])
    assert (list(trace.prompt), list(trace.output)) == ([4808, 3180], [10, 8])
    assert trace.seconds == pytest.approx(0.052)


def test_mooncakes_timestamps_are_milliseconds() -> None:
    trace, wrong = traceformats.read(MOONCAKE)

    assert wrong == ()
    assert list(trace) == [(0.0, 6955, 52), (3.5, 6472, 26)]


def test_requests_are_put_in_order() -> None:
    trace, _ = traceformats.read([MOONCAKE[1], MOONCAKE[0]])

    assert list(trace.prompt) == [6955, 6472]


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(["\ufeff" + HEADER, *AZURE[1:]], id="a byte order mark"),
        pytest.param([AZURE[0], "\n", AZURE[1], AZURE[2], "\n"], id="empty lines"),
        pytest.param(
            [
                "GeneratedTokens, TIMESTAMP ,x,ContextTokens\r\n",
                "10,2023-11-16 18:17:03.97996,a,4808\r\n",
                "8,2023-11-16 18:17:04.03196,b,3180\r\n",
            ],
            id="columns in another order",
        ),
        pytest.param(
            [
                HEADER,
                "2023-11-16 20:17:03.979960+02:00,4808,10",
                "2023-11-16T18:17:04.03196Z,3180,8",
            ],
            id="time zones",
        ),
    ],
)
def test_the_same_trace_in_other_words(lines: list[str]) -> None:
    assert traceformats.read(lines) == traceformats.read(AZURE)


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        pytest.param([], Wrong(0, "there is no request in this file"), id="an empty file"),
        pytest.param([HEADER], Wrong(0, "there is no request in this file"), id="only a header"),
        pytest.param(
            ["a,b,c"],
            Wrong(
                1,
                "neither a header with TIMESTAMP,ContextTokens,GeneratedTokens nor a JSON object "
                "with timestamp, input_length, output_length",
            ),
            id="neither format",
        ),
        pytest.param(
            [*AZURE, "2023-11-16,1"],
            Wrong(4, "2 columns, where the header has 3"),
            id="a short line",
        ),
        pytest.param(
            [*AZURE, "yesterday,1,1"],
            Wrong(4, "TIMESTAMP: 'yesterday' is no date and time"),
            id="no instant",
        ),
        pytest.param(
            [*AZURE, "2023-11-16 18:17:05,-1,1"],
            Wrong(4, "ContextTokens: '-1' is not a number of tokens up to 10000000"),
            id="fewer than no tokens",
        ),
        pytest.param(
            [*AZURE, "2023-11-16 18:17:05,1,10000001"],
            Wrong(4, "GeneratedTokens: '10000001' is not a number of tokens up to 10000000"),
            id="too many tokens",
        ),
        pytest.param([*MOONCAKE, "{"], Wrong(3, "not a JSON object"), id="half an object"),
        pytest.param([*MOONCAKE, "[1]"], Wrong(3, "not a JSON object"), id="a list"),
        pytest.param(
            [*MOONCAKE, '{"timestamp": 1, "input_length": 1}'],
            Wrong(3, "output_length is missing"),
            id="a member is missing",
        ),
        pytest.param(
            [*MOONCAKE, '{"timestamp": NaN, "input_length": 1, "output_length": 1}'],
            Wrong(3, "timestamp: 'nan' is no number of milliseconds"),
            id="an instant that is not a number",
        ),
        pytest.param(
            [*MOONCAKE, '{"timestamp": 1, "input_length": true, "output_length": 1}'],
            Wrong(3, "input_length: 'True' is not a number of tokens up to 10000000"),
            id="tokens that are no number",
        ),
        pytest.param(
            [*AZURE, "2024-11-16 18:17:05,1,1"],
            Wrong(0, "from first to last request are more than 31 days"),
            id="too long a time",
        ),
        pytest.param(
            [*MOONCAKE, "{" + " " * traceformats.LONGEST_LINE],
            Wrong(3, "longer than 1048576 characters"),
            id="too long a line",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(lines: list[str], wrong: Wrong) -> None:
    assert traceformats.read(lines)[1] == (wrong,)


def test_a_wrong_line_is_left_out_and_the_rest_is_read() -> None:
    trace, wrong = traceformats.read([AZURE[0], AZURE[1], "x", AZURE[2]])

    assert len(trace) == 2
    assert [one.line for one in wrong] == [3]


def test_a_file_that_is_all_wrong_is_given_up() -> None:
    _, wrong = traceformats.read([HEADER, *["x\n"] * 1000])

    assert len(wrong) == traceformats.MOST_WRONG


@settings(max_examples=examples(50))
@given(st.lists(st.text(max_size=60) | st.sampled_from([*AZURE, *MOONCAKE]), max_size=6))
def test_every_text_is_a_trace_or_a_mistake(lines: list[str]) -> None:
    trace, wrong = traceformats.read(lines)

    assert wrong or len(trace)
    assert list(trace.at) == sorted(trace.at)
    assert all(0 <= one.line <= len(lines) for one in wrong)
