import asyncio
import base64
import ssl
import subprocess
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from modelfleet.cluster import kubeconfig
from modelfleet.cluster.credentials import ExecPlugin, TokenFile
from modelfleet.cluster.kubeconfig import ConfigError
from modelfleet.cluster.session import Limits, Session


def a_config(user: dict | None = None, cluster: dict | None = None, **context) -> dict:
    return {
        "current-context": "main",
        "clusters": [{"name": "c", "cluster": {"server": "http://api:80/"} | (cluster or {})}],
        "users": [{"name": "u", "user": user or {}}],
        "contexts": [
            {"name": "main", "context": {"cluster": "c", "user": "u"} | context},
            {"name": "anonymous", "context": {"cluster": "c"}},
        ],
    }


def written(folder: Path, config: dict, name: str = "config") -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump(config))
    return path


async def test_the_current_context_counts(tmp_path):
    path = written(tmp_path, a_config({"token": "t"}, namespace="team"))
    connection = kubeconfig.find(str(path), environment={})

    assert connection.server == "http://api:80"
    assert connection.namespace == "team"
    assert connection.tls is None
    assert await connection.credentials.token() == "t"


async def test_another_context_may_be_named(tmp_path):
    connection = kubeconfig.find(str(written(tmp_path, a_config({"token": "t"}))), "anonymous", {})

    assert await connection.credentials.token() is None
    assert connection.namespace == "default"


def test_of_several_files_the_first_to_name_a_thing_wins(tmp_path):
    one = written(tmp_path, a_config(cluster={"server": "http://one"}), "one")
    two = written(tmp_path, a_config(cluster={"server": "http://two"}), "two")

    assert kubeconfig.find(environment={"KUBECONFIG": f"{one}:{two}"}).server == "http://one"
    assert kubeconfig.find(environment={"KUBECONFIG": f"{two}:{one}"}).server == "http://two"


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({}, "no context named ''"),
        (a_config() | {"current-context": "none"}, "no context named 'none'"),
        (a_config() | {"clusters": []}, "no cluster named 'c'"),
        (a_config() | {"users": None}, "no user named 'u'"),
        (a_config(cluster={"server": ""}), "has no server"),
        (a_config(cluster={"server": "https://x", "certificate-authority": "none"}), "certificate"),
    ],
)
def test_what_is_missing_is_named(tmp_path, config, why):
    with pytest.raises(ConfigError, match=why):
        kubeconfig.find(str(written(tmp_path, config)), environment={})


def test_nonsense_is_no_kubeconfig(tmp_path):
    path = tmp_path / "config"
    for text in ("- a\n- b\n", "{"):
        path.write_text(text)
        with pytest.raises(ConfigError):
            kubeconfig.find(str(path), environment={})


def test_paths_are_relative_to_their_file(tmp_path):
    user = {"tokenFile": "token", "exec": None}
    credentials = kubeconfig.find(
        str(written(tmp_path, a_config(user))), environment={}
    ).credentials

    assert isinstance(credentials, TokenFile)
    assert credentials.path == tmp_path / "token"


def test_a_plugin_with_its_arguments_and_environment(tmp_path):
    spec = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": "aws",
        "args": ["eks", "get-token"],
        "env": [{"name": "AWS_PROFILE", "value": "p"}],
        "provideClusterInfo": True,
    }
    plugin = kubeconfig.find(str(written(tmp_path, a_config({"exec": spec}))), "", {}).credentials

    assert isinstance(plugin, ExecPlugin)
    assert plugin.argv == ("aws", "eks", "get-token")
    assert plugin.environment == {"AWS_PROFILE": "p"}
    assert plugin.api_version == spec["apiVersion"]
    assert plugin.cluster["server"] == "http://api:80/"


def test_outside_a_pod_there_is_no_service_account(tmp_path):
    with pytest.raises(ConfigError, match="not in a pod"):
        kubeconfig.in_cluster({"KUBERNETES_SERVICE_HOST": "10.96.0.1"}, tmp_path)


@pytest.fixture(scope="module")
def pki(tmp_path_factory) -> Path:
    """A self-signed certificate for 127.0.0.1, good for server and client."""
    folder = tmp_path_factory.mktemp("pki")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", folder / "key.pem", "-out", folder / "ca.crt"),
        ],
        check=True,
        capture_output=True,
    )
    return folder


async def test_in_a_pod_the_service_account_is_used(pki):
    (pki / "namespace").write_text("system\n")
    (pki / "token").write_text("secret")
    environment = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}
    connection = kubeconfig.in_cluster(environment, pki)

    assert connection.server == "https://[fd00::1]:6443"
    assert connection.namespace == "system"
    assert await connection.credentials.token() == "secret"


@pytest.fixture(params=["inline", "files"])
def mutual(request, pki) -> dict:
    """A user and a cluster that trust each other by certificates."""
    names = {
        "certificate-authority": "ca.crt",
        "client-certificate": "ca.crt",
        "client-key": "key.pem",
    }
    if request.param == "files":
        found = {key: str(pki / name) for key, name in names.items()}
    else:
        found = {
            f"{key}-data": base64.b64encode((pki / name).read_bytes()).decode()
            for key, name in names.items()
        }
    authority = {key: value for key, value in found.items() if "authority" in key}
    return {"cluster": authority, "user": {k: v for k, v in found.items() if "client" in k}}


async def test_certificates_open_a_session(pki, tmp_path, mutual):
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(pki / "ca.crt"))
    tls.load_cert_chain(pki / "ca.crt", pki / "key.pem")
    tls.verify_mode = ssl.CERT_REQUIRED

    async def version(_: web.Request) -> web.Response:
        return web.json_response({"major": "1", "minor": "36"})

    app = web.Application()
    app.router.add_get("/version", version)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    config = a_config(mutual["user"], mutual["cluster"] | {"server": f"https://127.0.0.1:{port}"})
    connection = kubeconfig.find(str(written(tmp_path, config)), environment={})
    try:
        async with asyncio.timeout(10), Session(connection, Limits(attempts=1)) as session:
            assert await session.version() == (1, 36)
    finally:
        await runner.cleanup()
