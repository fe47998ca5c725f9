import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from modelfleet.cluster import credentials, errors
from modelfleet.cluster.credentials import CredentialsError, ExecPlugin, TokenFile
from modelfleet.cluster.kubeconfig import Connection
from modelfleet.cluster.rest import NODES
from modelfleet.cluster.session import Limits, Session
from support.objects import an_object

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("first\n")
    return path


async def test_a_token_file_is_read_again_after_a_minute(file):
    now = [0.0]
    token = TokenFile(file, lambda: now[0])
    assert await token.token() == "first"
    file.write_text("second\n")

    now[0] = 59
    assert await token.token() == "first"
    now[0] = 60
    assert await token.token() == "second"


async def test_a_token_that_was_refused_is_read_again_at_once(file):
    token = TokenFile(file, lambda: 0.0)
    await token.token()
    file.write_text("second")
    token.forget()

    assert await token.token() == "second"


async def test_a_file_that_is_gone_for_a_moment_does_no_harm(file):
    token = TokenFile(file, lambda: 0.0)
    await token.token()
    file.unlink()
    token.forget()

    assert await token.token() == "first"


async def test_a_file_that_was_never_there_is_an_error(tmp_path):
    with pytest.raises(CredentialsError, match="cannot read"):
        await TokenFile(tmp_path / "none").token()


async def test_a_rotated_token_costs_no_request(api, file):
    """The old one is refused, the new one is there: the caller sees neither."""
    api.token = "first"
    connection = Connection(api.connection.server, credentials=TokenFile(file, lambda: 0.0))
    async with Session(connection, Limits(attempts=1)) as session:
        await session.page(NODES.all(), {})
        api.token = "second"
        file.write_text("second")
        created = await session.create(NODES.all(), an_object(NODES, "n"))
        assert created["metadata"]["name"] == "n"


async def test_without_a_token_the_server_is_unavailable(api, tmp_path):
    connection = Connection(api.connection.server, credentials=TokenFile(tmp_path / "none"))
    async with Session(connection, Limits(attempts=1)) as session:
        with pytest.raises(errors.Unavailable, match="cannot read"):
            await session.page(NODES.all(), {})


def plugin(folder: Path, status: dict[str, str], code: str = "", **more) -> ExecPlugin:
    """A plugin that logs each call and prints `status`."""
    script = folder / "plugin.py"
    script.write_text(
        "import json, os, sys\n"
        f"open({str(folder / 'calls')!r}, 'a').write(os.environ['KUBERNETES_EXEC_INFO'] + '\\n')\n"
        f"{code}\n"
        f"print(json.dumps({{'kind': 'ExecCredential', 'status': {status!r}}}))\n"
    )
    return ExecPlugin((sys.executable, str(script)), **more)


def calls(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "calls").read_text().splitlines()]


async def test_a_plugin_is_asked_once_by_all_who_wait(tmp_path):
    asked = plugin(tmp_path, {"token": "t"})

    assert await asyncio.gather(*(asked.token() for _ in range(5))) == ["t"] * 5
    assert len(calls(tmp_path)) == 1


async def test_a_plugin_serves_two_loops(tmp_path):
    asked = plugin(tmp_path, {"token": "t"})

    async def ours() -> list[str | None]:
        return await asyncio.gather(*(asked.token() for _ in range(5)))

    here, there = await asyncio.gather(ours(), asyncio.to_thread(asyncio.run, ours()))
    assert here == there == ["t"] * 5


async def test_a_plugin_is_told_what_it_is_for(tmp_path):
    cluster = {"server": "https://x"}
    await plugin(tmp_path, {"token": "t"}, cluster=cluster).token()

    (info,) = calls(tmp_path)
    assert info["kind"] == "ExecCredential"
    assert info["spec"] == {"interactive": False, "cluster": cluster}


async def test_a_plugin_is_asked_again_shortly_before_its_token_ends(tmp_path):
    now = [NOON]
    status = {"token": "t", "expirationTimestamp": "2026-01-01T13:00:00Z"}
    asked = plugin(tmp_path, status, now=lambda: now[0])
    for minutes in (0, 30, 59):
        now[0] = NOON + timedelta(minutes=minutes)
        await asked.token()
    assert len(calls(tmp_path)) == 1

    now[0] = NOON + timedelta(minutes=59, seconds=31)
    await asked.token()
    assert len(calls(tmp_path)) == 2


async def test_a_refused_token_of_a_plugin_is_asked_for_again(tmp_path):
    asked = plugin(tmp_path, {"token": "t"})
    await asked.token()
    asked.forget()
    await asked.token()

    assert len(calls(tmp_path)) == 2


async def test_a_plugin_may_give_a_certificate(tmp_path):
    given = []
    status = {"clientCertificateData": "cert", "clientKeyData": "key"}
    asked = plugin(tmp_path, status, use_certificate=lambda *pair: given.append(pair))

    assert await asked.token() is None
    assert given == [("cert", "key")]


async def test_what_a_failing_plugin_says_is_passed_on(tmp_path):
    with pytest.raises(CredentialsError, match="log in first"):
        await plugin(tmp_path, {}, "sys.exit('log in first')").token()


async def test_a_plugin_that_prints_nonsense_is_an_error(tmp_path):
    with pytest.raises(CredentialsError, match="no ExecCredential"):
        await plugin(tmp_path, {}, "print('hello'); sys.exit()").token()


async def test_a_plugin_that_is_not_installed_is_an_error(tmp_path):
    with pytest.raises(CredentialsError, match="cannot run"):
        await ExecPlugin((str(tmp_path / "none"),)).token()


async def test_a_plugin_that_hangs_is_ended(tmp_path):
    with pytest.raises(CredentialsError, match="did not answer"):
        await plugin(tmp_path, {}, "import time; time.sleep(60)", timeout=0.3).token()


def test_tokens_are_not_shown():
    assert "secret" not in repr(credentials.StaticToken("secret"))
