"""Keys, certificates and kubeconfigs of a cluster, all made by kubeadm."""

import base64
import socket
import subprocess
from pathlib import Path

import yaml

from devcluster import building, layout, network
from devcluster.layout import Layout

ADMINISTRATOR = "super-admin"
"""kubeadm's name for the member of system:masters, who needs no role to be bound first."""


class CertificatesFailed(Exception):
    """kubeadm has not made what it was asked for."""


def provide(at: Layout) -> None:
    """Make what is missing; what is there stays, so that clients of an old start still work.

    Raises `CertificatesFailed`.
    """
    if at.kubeconfig.exists():
        return
    configuration = at.folder / "kubeadm.yaml"
    layout.write(configuration, _configuration(at))
    _kubeadm(at, "init", "phase", "certs", "all", f"--config={configuration}")
    _kubeadm(
        at,
        *("init", "phase", "kubeconfig", ADMINISTRATOR),
        f"--config={configuration}",
        f"--kubeconfig-dir={at.folder}",
    )
    proxy = _kubeadm(
        at, "kubeconfig", "user", "--client-name=system:kube-proxy", f"--config={configuration}"
    )
    layout.write(at.folder / "proxy.kubeconfig", proxy)
    _finish(at, at.folder / f"{ADMINISTRATOR}.conf")


def _finish(at: Layout, administrator: Path) -> None:
    """Write the kubeconfig, last: its being there says that all is there."""
    document = yaml.safe_load(administrator.read_text())
    user = document["users"][0]["user"]
    for field, name in (("client-certificate-data", "admin.crt"), ("client-key-data", "admin.key")):
        (at.pki / name).write_bytes(base64.b64decode(user[field]))
    (at.pki / "admin.key").chmod(0o600)
    administrator.rename(at.kubeconfig)


def _kubeadm(at: Layout, *arguments: str) -> str:
    done = subprocess.run(
        [str(at.bin / "kubeadm"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if done.returncode:
        raise CertificatesFailed(f"kubeadm {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def _configuration(at: Layout) -> str:
    endpoint = {"advertiseAddress": network.API_ADDRESS, "bindPort": network.API_PORT}
    api = "kubeadm.k8s.io/v1beta4"
    documents = (
        {
            "apiVersion": api,
            "kind": "InitConfiguration",
            "localAPIEndpoint": endpoint,
            "nodeRegistration": {"name": socket.gethostname().lower()},
        },
        {
            "apiVersion": api,
            "kind": "ClusterConfiguration",
            "clusterName": f"devcluster-{at.name}",
            "kubernetesVersion": building.kubernetes_version(),
            "certificatesDir": str(at.pki),
            "controlPlaneEndpoint": f"{network.API_ADDRESS}:{network.API_PORT}",
            "encryptionAlgorithm": "ECDSA-P256",
            "networking": {"serviceSubnet": network.SERVICE_RANGE},
            "apiServer": {"certSANs": ["127.0.0.1", "localhost", network.API_ADDRESS]},
        },
    )
    return yaml.safe_dump_all(documents)
