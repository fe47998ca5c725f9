"""A pod in the cluster that asks Models, as an application does."""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from kind.cluster import ENVIRONMENT, NAME, command, eventually, kubectl
from kind.served import Served

NAMESPACE = "applications"
SCRIPT = (Path(__file__).parent / "asking.py").read_text()
EXEC = ("-n", NAMESPACE, "exec", "-i", "client", "--", "python3", "-c")

ASK = """
import json, sys, urllib.request as web
url, question, model = sys.argv[1:]
body = {"model": model, "messages": [{"role": "user", "content": question}], "max_tokens": 32}
request = web.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
print(web.urlopen(request, timeout=120).read().decode())
"""

Told = dict[str, Any]

_POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "client", "namespace": NAMESPACE},
    "spec": {
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "containers": [
            {
                "name": "client",
                # It has Python, and an HTTP client that streams.
                "image": "modelfleet:dev",
                "command": ["python3", "-c", "import time; time.sleep(1e6)"],
            }
        ],
    },
}


def start() -> None:
    """Start the pod."""
    kubectl("create", "namespace", NAMESPACE)
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump(_POD))
    kubectl("-n", NAMESPACE, "wait", "--for=condition=Ready", "pod/client", "--timeout=120s")


def python(script: str, *arguments: str) -> str:
    """Run a script in the pod, and return what it printed."""
    return kubectl(*EXEC, script, *arguments)


def ask(model: Served, question: str) -> str:
    """Ask a Model a question, and return its answer."""
    answer = json.loads(python(ASK, model.url, question, model.name))
    content: str = answer["choices"][0]["message"]["content"]
    return content


class Traffic:
    """Streams that run until they are told to end."""

    def __init__(self, model: Served, workers: int, tokens: int) -> None:
        self.told: list[Told] = []
        self._process = subprocess.Popen(
            command(
                *("kubectl", "--context", f"kind-{NAME}", *EXEC, SCRIPT),
                *(model.url, model.name, str(workers), str(tokens)),
            ),
            env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self.told.append(json.loads(line))

    def until_more(self, count: int = 1) -> None:
        """Wait until so many more answers have come."""
        known = len(self.told)
        eventually(lambda: len(self.told) >= known + count, f"no more answers than {self.told}")

    def end(self) -> None:
        """Ask no more, and wait for the answers that are under way."""
        assert self._process.stdin
        self._process.stdin.close()
        self._reader.join()
        assert self._process.wait(60) == 0

    def failures(self) -> list[Told]:
        """Return the answers that are not whole."""
        return [one for one in self.told if not (one["done"] and one["finish"] == "length")]

    def cut(self) -> list[Told]:
        """Return the answers that began, and broke off."""
        return [one for one in self.failures() if one["chunks"]]


@contextmanager
def traffic(model: Served, workers: int = 2, tokens: int = 12) -> Iterator[Traffic]:
    """Stream answers while the block runs; at its end, all have come."""
    running = Traffic(model, workers, tokens)
    try:
        yield running
    finally:
        running.end()
