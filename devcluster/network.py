"""The addresses of a cluster. Each has a network of its own, so all have the same ones."""

POD_RANGE = "10.244.0.0/16"
SERVICE_RANGE = "10.96.0.0/16"
NODE_RANGE = "172.20.0.0/16"
API_ADDRESS = "192.168.77.1"
API_PORT = 6443
ETCD_PORT = 2379
KWOK_PORT = 10247

SETUP = f"""\
link set lo up
addr replace {POD_RANGE} dev lo
addr replace {NODE_RANGE} dev lo
addr replace {API_ADDRESS}/32 dev lo
route replace local {SERVICE_RANGE} dev lo src {POD_RANGE.partition("/")[0]}
"""
"""For `ip -batch -`. Pods and nodes are addresses of lo, so that one process can answer for all.

ClusterIPs need a route before kube-proxy's rules are looked at. It makes them ours: one that has no
rules yet refuses. Else the first packet would be lost, and conntrack would keep the later ones of
that connection from the rules, too.
"""


def node_address(number: int) -> str:
    """Return the InternalIP of the node with this number, from 1 to 65,000."""
    return f"172.20.{number // 254}.{number % 254 + 1}"
