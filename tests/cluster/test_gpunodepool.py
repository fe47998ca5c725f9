"""What a pool tells about its nodes."""

import pytest

from support.manifests import model, pool
from support.running import Client, apply, condition, kubectl

pytestmark = pytest.mark.usefixtures("operator")

L40S = {"nvidia.com/gpu.product": "NVIDIA-L40S"}


async def test_a_pool_counts_its_gpus(client: Client, namespace: str) -> None:
    """Of pool a10, which no other test uses."""
    apply(model(namespace, resources={"gpus": 1}, nodePools=["a10"]))
    await client.until_ready(namespace, "chat")

    busy = await client.until(
        "GPUNodePool", "", "a10", lambda p: p["status"]["gpus"]["allocated"] == 1
    )

    assert busy["status"]["gpus"] == {"total": 2, "allocated": 1, "free": 1, "largestFreeBlock": 1}
    (accelerator,) = busy["status"]["accelerators"]
    assert (accelerator["name"], accelerator["nodes"]) == ("NVIDIA-A10", 2)
    assert (condition(busy, "Ready") or {})["status"] == "True"


async def test_a_pool_without_nodes_says_which_labels_it_looks_for(
    client: Client, namespace: str
) -> None:
    apply(pool(namespace, colour="none"))

    found = await client.until(
        "GPUNodePool",
        "",
        namespace,
        lambda p: (condition(p, "Ready") or {}).get("reason") == "NoNodeMatches",
    )

    assert "colour=none" in (condition(found, "Ready") or {})["message"]
    kubectl("delete", "gpunodepool", namespace)


async def test_two_pools_that_claim_one_node_both_say_so(client: Client, namespace: str) -> None:
    apply(pool(namespace, **L40S))

    for name, other in ((namespace, "l40s"), ("l40s", namespace)):
        found = await client.until(
            "GPUNodePool",
            "",
            name,
            lambda p: (condition(p, "Stalled") or {}).get("reason") == "NodesOverlap",
        )
        assert other in (condition(found, "Stalled") or {})["message"]

    kubectl("delete", "gpunodepool", namespace)
    await client.until("GPUNodePool", "", "l40s", lambda p: condition(p, "Stalled") is None)
