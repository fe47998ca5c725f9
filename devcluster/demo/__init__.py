"""`make demo`: the operator's main job, shown on a cluster of one's own."""

CLUSTER = "demo"
POOLS = (
    "h100=2x8:NVIDIA-H100-80GB-HBM3:taint=true",
    "l40s=2x4:NVIDIA-L40S:taint=true",
    "a10=3x1:NVIDIA-A10:taint=true",
)
CPU_NODES = 2
NAMESPACE = "default"
