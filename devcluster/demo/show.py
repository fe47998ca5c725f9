"""What the demo does inside the cluster's network: apply, watch, chat."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from http.client import HTTPResponse
from pathlib import Path

from devcluster import processes
from devcluster.demo import CLUSTER, NAMESPACE
from devcluster.layout import Layout

ROOT = Path(__file__).parent.parent.parent
READY_SECONDS = 120.0
SYSTEM = "modelfleet-system"
QUESTION = "What is the capital of France?"
METRICS = "127.0.0.1:8080"


class Failed(Exception):
    """The demo cannot go on. The message says what to do."""


def main() -> None:
    """Apply everything, show the models coming up, and ask one of them."""
    try:
        apply()
        start_operator()
        say("[4/4] models coming up")
        watch()
        say("\n$ kubectl get models,gpunodepools\n" + kubectl("get", "models,gpunodepools", "-A"))
        chat("smollm")
        chat("qwen-chat")
    except Failed as error:
        sys.exit(f"\n{error}")
    say(HINTS.format(root=ROOT))


def apply() -> None:
    """Install the CRDs, and what is not there yet of the examples: the rest may be edited."""
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
    kubectl("wait", "--for=condition=Established", "-f", str(ROOT / "crds"), "--timeout=30s")
    for namespace in (SYSTEM, NAMESPACE):
        if namespace not in kubectl("get", "namespaces", "-o", "name"):
            kubectl("create", "namespace", namespace)
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "hf-token", "namespace": NAMESPACE},
        "stringData": {"token": "none-is-needed-by-a-simulated-engine"},
    }
    create("-f", "-", stdin=json.dumps(secret))
    created, there = create("-f", str(ROOT / "examples"))
    left = f", {there} left as they are" if there else ""
    say(f"[3/4] the CRDs are installed; of examples/, {created} created{left}")


def create(*arguments: str, stdin: str | None = None) -> tuple[int, int]:
    """Create objects; return how many were created, and how many were there. Raises Failed."""
    done = _kubectl("create", *arguments, stdin=stdin)
    told = [line for line in done.stderr.splitlines() if not line.startswith("Warning:")]
    if other := [line for line in told if "(AlreadyExists)" not in line]:
        raise Failed(f"kubectl create {' '.join(arguments)}: {' '.join(other)}")
    return len(done.stdout.splitlines()), len(told)


def start_operator() -> None:
    """Start the operator if it does not run: its process outlives the demo's."""
    at = Layout.of(CLUSTER)
    record = processes.load(at, "operator")
    if record and record.is_alive():
        say("      the operator runs")
    else:
        say("      starting the operator")
        with (at.logs / "operator.log").open("ab") as log:
            started = subprocess.Popen(
                [sys.executable, "-m", "modelfleet", "operator", "--namespace", SYSTEM,
                 "--metrics-address", METRICS, "--log-format", "text"],
                env=os.environ, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                start_new_session=True, cwd=ROOT,
            )  # fmt: skip
        processes.save(at, "operator", processes.record_of(started.pid))
    deadline = time.monotonic() + READY_SECONDS
    while not _answers(f"http://{METRICS}/readyz"):
        if time.monotonic() > deadline:
            raise Failed(f"the operator does not get ready; its log: {at.logs}/operator.log")
        time.sleep(0.2)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except OSError:
        return False


def watch() -> None:
    """Show the models until all are ready, in place on a terminal, else each change once."""
    deadline, shown = time.monotonic() + READY_SECONDS, ""
    while True:
        table = kubectl("get", "models", "-A")
        if sys.stdout.isatty() or ageless(table) != ageless(shown):
            redraw(shown, table)
            shown = table
        if ready():
            return
        if time.monotonic() > deadline:
            raise Failed(f"not ready: kubectl describe models\n{kubectl('get', 'models', '-A')}")
        time.sleep(0.5)


def ageless(table: str) -> list[str]:
    """Return the lines of a table without their last column, which differs each second."""
    return [line.rpartition(" ")[0].rstrip() for line in table.splitlines()]


def redraw(old: str, new: str) -> None:
    """Replace what was shown, where the terminal can."""
    if sys.stdout.isatty() and old:
        sys.stdout.write(f"\x1b[{old.count(chr(10))}A\x1b[J")
    elif old:
        sys.stdout.write("\n")
    sys.stdout.write(new)
    sys.stdout.flush()


def ready() -> bool:
    """Whether every Model is ready at its newest generation."""
    models = json.loads(kubectl("get", "models", "-A", "-o", "json"))["items"]
    return all(_is_ready(model) for model in models)


def _is_ready(model: dict[str, dict[str, object]]) -> bool:
    conditions: list[dict[str, str]] = model["status"].get("conditions", [])  # type: ignore[assignment]
    current = model["status"].get("observedGeneration") == model["metadata"]["generation"]
    return current and any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def chat(model: str) -> None:
    """Ask a model through its Service: kube-proxy, an EndpointSlice and a pod's IP.

    Who has answered is read from the answer: a simulated engine says so in a header.
    """
    address = kubectl("-n", NAMESPACE, "get", "service", model, "-o", "jsonpath={.spec.clusterIP}")
    with _opened(address, model) as answer:
        simulated = answer.headers.get("x-modelfleet-simulated") == "true"
        who = "a SIMULATED engine" if simulated else "a REAL llama-server with real weights"
        say(f"{model}, asked through its Service ({address}), is answered by {who}:")
        say(f"  > {QUESTION}")
        sys.stdout.write("  ")
        for piece in _pieces(answer):
            sys.stdout.write(piece)
            sys.stdout.flush()
    sys.stdout.write("\n\n")


def _pieces(answer: Iterable[bytes]) -> Iterator[str]:
    for line in answer:
        data = line.decode().removeprefix("data:").strip()
        if data.startswith("{") and (choices := json.loads(data).get("choices")):
            yield choices[0].get("delta", {}).get("content") or ""


def _opened(address: str, model: str) -> HTTPResponse:
    """Open the stream; kube-proxy may need a second to learn of a new Service."""
    body = {
        "model": model, "stream": True, "max_tokens": 24, "temperature": 0,
        "messages": [{"role": "user", "content": QUESTION}],
    }  # fmt: skip
    request = urllib.request.Request(
        f"http://{address}/v1/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    deadline = time.monotonic() + 15
    while True:
        try:
            opened: HTTPResponse = urllib.request.urlopen(request, timeout=30)
        except OSError as error:
            if time.monotonic() > deadline:
                raise Failed(f"no answer from {request.full_url}: {error}") from error
            time.sleep(0.5)
        else:
            return opened


def kubectl(*arguments: str, stdin: str | None = None) -> str:
    """Run kubectl and return what it prints. Raises Failed."""
    done = _kubectl(*arguments, stdin=stdin)
    if done.returncode:
        raise Failed(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def _kubectl(*arguments: str, stdin: str | None) -> subprocess.CompletedProcess[str]:
    command: Sequence[str] = ("kubectl", *arguments)
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)


def say(text: str) -> None:
    """Tell the user what goes on."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


HINTS = """What you change in the demo's objects stays, also when `make demo` runs again.
Go on in a shell inside the cluster's network, with KUBECONFIG set:
  .venv/bin/python -m devcluster shell demo
    kubectl get models -w
    kubectl scale model qwen-chat --replicas=3
    kubectl edit model mistral              # change spec.engine.args: a new revision
    kubectl describe model llama-70b
Remove everything: make demo-down"""


if __name__ == "__main__":
    main()
