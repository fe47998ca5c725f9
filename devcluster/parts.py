"""The parts of a control plane: their command lines and where they say that they are well.

Pure. The order is the order of starting; stopping goes the other way round.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from devcluster import network
from devcluster.layout import Layout

API = f"https://{network.API_ADDRESS}:{network.API_PORT}"
ETCD = f"http://127.0.0.1:{network.ETCD_PORT}"
REQUESTS = ("2000", "4000")
"""Requests a second, and in a burst, of each controller: their defaults (20 and 30) would be
what a benchmark measures."""

SUPERVISOR = "supervisor"
"""Not a part, but recorded like one."""

Command = Callable[[Layout], list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A process of a cluster. `needs` names a part that has to be well before this one starts."""

    name: str
    command: Command
    healthz: str = ""
    needs: str = ""


def etcd(at: Layout) -> list[str]:
    """Return etcd's command line. It need not survive a power cut, so it never waits for disks."""
    peer = "http://127.0.0.1:2380"
    return [
        str(at.bin / "etcd"),
        f"--data-dir={at.folder / 'etcd'}",
        f"--listen-client-urls={ETCD}",
        f"--advertise-client-urls={ETCD}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
        "--quota-backend-bytes=8589934592",
    ]


def kube_apiserver(at: Layout) -> list[str]:
    """Return kube-apiserver's command line, ready for aggregated APIs."""
    return [
        str(at.bin / "kube-apiserver"),
        f"--etcd-servers={ETCD}",
        f"--bind-address={network.API_ADDRESS}",
        f"--advertise-address={network.API_ADDRESS}",
        f"--secure-port={network.API_PORT}",
        f"--service-cluster-ip-range={network.SERVICE_RANGE}",
        "--authorization-mode=Node,RBAC",
        "--allow-privileged=true",
        "--enable-aggregator-routing=true",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={at.pki / 'sa.pub'}",
        f"--service-account-signing-key-file={at.pki / 'sa.key'}",
        f"--client-ca-file={at.pki / 'ca.crt'}",
        *_pair("tls-cert-file", "tls-private-key-file", at.pki / "apiserver"),
        f"--requestheader-client-ca-file={at.pki / 'front-proxy-ca.crt'}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        *_pair("proxy-client-cert-file", "proxy-client-key-file", at.pki / "front-proxy-client"),
        "--max-requests-inflight=3000",
        "--max-mutating-requests-inflight=1000",
        "--default-watch-cache-size=1000",
    ]


def kube_controller_manager(at: Layout) -> list[str]:
    """Return kube-controller-manager's command line.

    Nodes are given hours between two heartbeats: theirs come rarely, and a node is lost by an
    annotation (see `kwok/lost.go`).
    """
    rate, burst = REQUESTS
    workers = ("deployment", "replicaset", "service-endpoint", "endpoint", "statefulset", "job")
    return [
        str(at.bin / "kube-controller-manager"),
        f"--kubeconfig={at.kubeconfig}",
        "--leader-elect=false",
        # It annotates all nodes anew each time that their number passes a mark.
        "--controllers=*,-ttl-controller",
        f"--kube-api-qps={rate}",
        f"--kube-api-burst={burst}",
        *(f"--concurrent-{name}-syncs=20" for name in workers),
        "--concurrent-gc-syncs=50",
        "--node-monitor-grace-period=3h",
        f"--root-ca-file={at.pki / 'ca.crt'}",
        f"--service-account-private-key-file={at.pki / 'sa.key'}",
        *_pair("cluster-signing-cert-file", "cluster-signing-key-file", at.pki / "ca"),
    ]


def kube_scheduler(at: Layout) -> list[str]:
    """Return kube-scheduler's command line."""
    return [str(at.bin / "kube-scheduler"), f"--config={at.folder / 'scheduler.yaml'}"]


def kube_proxy(at: Layout) -> list[str]:
    """Return kube-proxy's command line. It leaves the kernel's settings alone."""
    return [
        str(at.bin / "kube-proxy"),
        f"--kubeconfig={at.folder / 'proxy.kubeconfig'}",
        "--proxy-mode=iptables",
        "--hostname-override=control-plane",
        "--cluster-cidr=10.244.0.0/16",
        "--conntrack-max-per-core=0",
        "--conntrack-min=0",
        "--conntrack-tcp-timeout-established=0",
        "--conntrack-tcp-timeout-close-wait=0",
        "--iptables-localhost-nodeports=false",
        "--iptables-min-sync-period=100ms",
    ]


def kwok(at: Layout) -> list[str]:
    """Return the command line of what plays all kubelets."""
    return [
        str(at.bin / "kwok"),
        f"--kubeconfig={at.kubeconfig}",
        f"--stages={at.stages_file}",
        f"--pod-range={network.POD_RANGE}",
        f"--healthz=127.0.0.1:{network.KWOK_PORT}",
    ]


def engine(at: Layout) -> list[str]:
    """Return the command line of the simulated model servers."""
    return [
        sys.executable,
        "-m",
        "devcluster.engine",
        "--kubeconfig",
        str(at.kubeconfig),
        "--state-dir",
        str(at.folder / "engine"),
    ]


def scheduler_configuration(kubeconfig: Path) -> str:
    """Return the scheduler's file: unschedulable pods are tried again soon, and fast."""
    rate, burst = REQUESTS
    return f"""\
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection:
  kubeconfig: {kubeconfig}
  qps: {rate}
  burst: {burst}
leaderElection:
  leaderElect: false
podInitialBackoffSeconds: 1
podMaxBackoffSeconds: 2
"""


def _pair(certificate: str, key: str, stem: Path) -> list[str]:
    return [f"--{certificate}={stem}.crt", f"--{key}={stem}.key"]


ALL = (
    Part(name="etcd", command=etcd, healthz=f"{ETCD}/health"),
    Part(name="kube-apiserver", command=kube_apiserver, healthz=f"{API}/readyz", needs="etcd"),
    Part(
        name="kube-controller-manager",
        command=kube_controller_manager,
        healthz="https://127.0.0.1:10257/healthz",
        needs="kube-apiserver",
    ),
    Part(
        name="kube-scheduler",
        command=kube_scheduler,
        healthz="https://127.0.0.1:10259/readyz",
        needs="kube-apiserver",
    ),
    Part(
        name="kwok",
        command=kwok,
        healthz=f"http://127.0.0.1:{network.KWOK_PORT}/healthz",
        needs="kube-apiserver",
    ),
    Part(
        name="kube-proxy",
        command=kube_proxy,
        healthz="http://127.0.0.1:10256/livez",
        needs="kube-apiserver",
    ),
    Part(name="engine", command=engine, needs="kube-apiserver"),
)

PARTS = tuple(
    part for part in ALL if part.name != "engine" or find_spec("devcluster.engine.__main__")
)
"""Without the simulated engines, a cluster still runs; nothing answers on the pods' addresses."""
