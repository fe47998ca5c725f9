"""The operator of an installed chart as a process: no cluster without images can run its pods."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Self

import yaml

from chart.helm import NAMESPACE
from support.running import Operator, kubectl

NAME = "modelfleet"


def deployment(name: str = NAME) -> dict[str, Any]:
    """Return the operator's Deployment, or another one, as it is in the cluster."""
    found: dict[str, Any] = json.loads(
        kubectl("-n", NAMESPACE, "get", "deployment", name, "-o", "json")
    )
    return found


def token(name: str = NAME) -> str:
    """Return a token of the operator's ServiceAccount, by the TokenRequest API."""
    account = deployment(name)["spec"]["template"]["spec"]["serviceAccountName"]
    return kubectl("-n", NAMESPACE, "create", "token", account, "--duration=1h").strip()


def environment(name: str = NAME) -> dict[str, str]:
    """Return the environment that the chart gives the operator's container."""
    (container,) = deployment(name)["spec"]["template"]["spec"]["containers"]
    fields = {"metadata.name": f"{NAME}-0", "metadata.namespace": NAMESPACE}
    return {one["name"]: _value(one, fields) for one in container["env"]}


def _value(variable: dict[str, Any], fields: dict[str, str]) -> str:
    if "valueFrom" in variable:
        return fields[variable["valueFrom"]["fieldRef"]["fieldPath"]]
    return str(variable.get("value", ""))


class InstalledOperator(Operator):
    """It has what the chart gives it, its ServiceAccount's token included, and nothing more."""

    name = NAME
    command = ("operator",)

    def __init__(self, server: str | None = None, source: Path | None = None) -> None:
        """`server` replaces the API server's URL: a proxy that records. `source`, our own code."""
        super().__init__()
        self._variables = {
            **os.environ,
            **environment(self.name),
            "PYTHONUNBUFFERED": "1",
            "MODELFLEET_METRICS_ADDRESS": f"127.0.0.1:{self.port}",
            "KUBECONFIG": str(kubeconfig_file(server, self.name)),
        }
        if source:
            self._variables["PYTHONPATH"] = str(source)

    def start(self) -> Self:
        """Start the process; it may not be ready yet."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "modelfleet", *self.command],
            env=self._variables,
            stdout=self.log.open("ab"),
            stderr=subprocess.STDOUT,
        )
        return self


class InstalledGateway(InstalledOperator):
    """The same of a gateway, which answers for the simulated pod of its Deployment."""

    name = f"{NAME}-gateway"

    def __init__(self, host: str) -> None:
        super().__init__()
        self.command = ("gateway", "--host", host)


def kubeconfig_file(server: str | None = None, name: str = NAME) -> Path:
    """Write a kubeconfig with a fresh token of the ServiceAccount."""
    document = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    document["users"][0]["user"] = {"token": token(name)}
    if server:
        document["clusters"][0]["cluster"] = {"server": server}
    file = Path(tempfile.mkstemp(prefix="kubeconfig-")[1])
    file.write_text(yaml.safe_dump(document))
    return file
