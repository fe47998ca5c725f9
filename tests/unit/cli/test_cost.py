"""`modelfleet cost` against an API server that has a ledger."""

import asyncio
import csv
import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from modelfleet.__main__ import main
from modelfleet.cluster import rest
from modelfleet.plan.ledger.checkpoint import Open, pack_days, pack_open
from modelfleet.plan.ledger.sums import Amount, Line
from modelfleet.plan.ledger.units import GRAINS, MILLION
from modelfleet.plan.ledger.values import IDLE, Account, State, Use
from support.fake_api import FakeApi

DOLLAR = MILLION * GRAINS
CHAT = Account("model", "search", "chat", "search")


def line(day: str, account: Account = CHAT, use: Use = Use.USED) -> Line:
    return Line(day, "h100", account, use, False, "spot", "Residual")


def document(name: str, label: str, text: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": f"modelfleet-ledger-{name}",
            "namespace": "modelfleet-system",
            "labels": {"modelfleet.dev/ledger": label},
        },
        "binaryData": {"ledger": text},
    }


@pytest.fixture
def api() -> Iterator[FakeApi]:
    """Serve in a thread: the command has a loop of its own."""
    one, loop, started = FakeApi(), asyncio.new_event_loop(), threading.Event()
    done = asyncio.Event()

    async def serve() -> None:
        async with one.running():
            started.set()
            await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    started.wait(10)
    yield one
    loop.call_soon_threadsafe(done.set)
    thread.join(10)
    loop.close()


@pytest.fixture
def ledger(api: FakeApi) -> FakeApi:
    """Have October and two days of November, of which one is over."""
    state = State(opened_at=0, at=0)
    today = {
        line("2026-11-02"): Amount(cost=3 * DOLLAR, gpu_time=25_200 * 3_600_000),
        line("2026-11-02", IDLE, Use.FREE): Amount(cost=DOLLAR // 3),
    }
    kept = (
        document("2026-10-00", "2026-10", pack_days({line("2026-10-31"): Amount(cost=7 * DOLLAR)})),
        document("2026-11-00", "2026-11", pack_days({line("2026-11-01"): Amount(cost=4 * DOLLAR)})),
        document("open", "open", pack_open(Open(state, today, "2026-11-01"))),
    )
    for one in kept:
        api.objects.create(rest.CONFIG_MAPS, one)
    return api


def run(api: FakeApi, tmp_path: Path, *arguments: str) -> Result:
    file = tmp_path / "kubeconfig"
    file.write_text(
        yaml.safe_dump(
            {
                "current-context": "test",
                "clusters": [{"name": "test", "cluster": {"server": api.connection.server}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
                "users": [{"name": "test", "user": {}}],
            }
        )
    )
    return CliRunner().invoke(main, ["cost", "--kubeconfig", str(file), *arguments])


def test_a_month_as_a_table_that_adds_up(ledger: FakeApi, tmp_path: Path) -> None:
    done = run(ledger, tmp_path, "--month", "2026-11")

    assert done.output.splitlines() == [
        "MODEL        USED  UNALLOCATED  2026-11  2026-10  GPU HOURS",
        "search/chat  7.00         0.00     7.00     7.00       1.00",
        "(idle)       0.00         0.33     0.33     0.00       0.00",
        "all          7.00         0.33     7.33     7.00       1.00",
    ]


def test_json_has_micro_dollars(ledger: FakeApi, tmp_path: Path) -> None:
    told = json.loads(run(ledger, tmp_path, "--month=2026-11", "--by=team", "-ojson").output)

    assert {row["name"]: row["total"] for row in told["rows"]} == {
        "search": 7_000_000, "(idle)": 333_333,
    }  # fmt: skip


def test_focus_has_only_the_month(ledger: FakeApi, tmp_path: Path) -> None:
    done = run(ledger, tmp_path, "--month=2026-11", "-o", "focus-csv")
    rows = list(csv.DictReader(done.output.splitlines()))

    assert sum(float(row["BilledCost"]) for row in rows) == pytest.approx(7.333333)
    assert {row["ChargePeriodStart"][:7] for row in rows} == {"2026-11"}


def test_break_even_is_the_price_of_a_replica_hour_over_that_of_a_token(
    api: FakeApi, tmp_path: Path
) -> None:
    two = Amount(cost=4 * DOLLAR, gpu_time=2 * 25_200 * 3_600_000, length=2 * 3_600_000)
    other = Account("model", "search", "tiny", "search")
    lines = {line("2026-11-01"): two, line("2026-11-01", other): replace(two, unpriced=1)}
    text = pack_open(Open(State(opened_at=0, at=0), lines, ""))
    api.objects.create(rest.CONFIG_MAPS, document("open", "open", text))

    done = run(api, tmp_path, "--month=2026-11", "--break-even", "--input-percent=50")
    rows = [row.split() for row in done.output.splitlines()]

    assert ["search/chat", "2.00", "together/llama-3.3-70b", "1.04", "1,923,077"] in rows
    assert ["search/chat", "2.00", "openai/gpt-4.1", "5.00", "400,000"] in rows
    assert ["search/tiny", "unpriced", "openai/gpt-4.1", "5.00"] in rows
    assert rows[-1] == ["Prices", "of", "APIs", "as", "of", "2026-11-21."]


def test_break_even_as_json(ledger: FakeApi, tmp_path: Path) -> None:
    told = json.loads(run(ledger, tmp_path, "--month=2026-11", "--break-even", "-ojson").output)

    assert told == {"unit": "micro-dollars", "rows": []}, "how long a replica ran is not known"


def test_break_even_has_no_focus_columns(ledger: FakeApi, tmp_path: Path) -> None:
    done = run(ledger, tmp_path, "--break-even", "-o", "focus-csv")

    assert done.exit_code == 1
    assert "use table or json" in done.output


def test_a_picture_is_a_png(ledger: FakeApi, tmp_path: Path) -> None:
    file = tmp_path / "cost.png"

    done = run(ledger, tmp_path, "--month=2026-11", "--picture", str(file))

    assert done.exit_code == 0
    assert "search/chat" in done.output
    assert file.read_bytes().startswith(b"\x89PNG")


def test_a_picture_that_cannot_be_written_says_why(ledger: FakeApi, tmp_path: Path) -> None:
    done = run(ledger, tmp_path, "--month=2026-11", "--picture", str(tmp_path / "no" / "cost.png"))

    assert done.exit_code == 1
    assert "No such file or directory" in done.output


def test_a_picture_without_matplotlib_says_what_to_install(
    ledger: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    done = run(ledger, tmp_path, "--picture", str(tmp_path / "cost.png"))

    assert done.exit_code == 1
    assert "pip install 'modelfleet[pictures]'" in done.output


def test_without_a_ledger_it_says_where_it_looked(api: FakeApi, tmp_path: Path) -> None:
    done = run(api, tmp_path)

    assert done.exit_code == 1
    assert "no ledger in namespace modelfleet-system" in done.output


def test_a_month_that_is_none(ledger: FakeApi, tmp_path: Path) -> None:
    done = run(ledger, tmp_path, "--month", "november")

    assert done.exit_code == 1
    assert "write YYYY-MM" in done.output
