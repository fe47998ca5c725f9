"""Helm 4 and 3 and a devcluster that has nothing of modelfleet in it yet."""

import os
from collections.abc import AsyncIterator, Iterator

import pytest

from chart.helm import MAJORS, NAMESPACE, Helm
from chart.monitoring import crds
from chart.served import OURS, TEAM
from support.running import Client, kubectl

MISSING = "these tests need a devcluster: run `make test-chart`"
RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"
WARNED = "pod-security.kubernetes.io/warn=restricted"


@pytest.fixture(scope="session", autouse=True)
def control_plane() -> None:
    """Refuse to run against anything but a devcluster; make the namespaces of the cases."""
    if "DEVCLUSTER" not in os.environ:
        pytest.exit(MISSING, returncode=4)
    for name in (NAMESPACE, "team-a", "team-b"):
        kubectl("create", "namespace", name, check=False)
        kubectl("label", "namespace", name, RESTRICTED, WARNED, "--overwrite")


@pytest.fixture(scope="session")
def monitoring() -> None:
    """Install the kinds of the Prometheus operator."""
    for file in crds():
        kubectl("apply", "--server-side", "-f", str(file))
        kubectl("wait", "--for=condition=Established", "-f", str(file), "--timeout=30s")


@pytest.fixture(scope="session", params=MAJORS)
def helm(request: pytest.FixtureRequest) -> Helm:
    """Helm 4, then Helm 3."""
    return Helm.of(request.param)


@pytest.fixture(scope="session")
def helm4() -> Helm:
    """Helm 4, where the version makes no difference."""
    return Helm.of("4")


@pytest.fixture
def empty_cluster(helm4: Helm) -> Iterator[None]:
    """Start without a release and CRDs of ours, and leave none behind."""
    _clean(helm4)
    yield
    _clean(helm4)


def _clean(helm4: Helm) -> None:
    for name in helm4.releases():
        helm4.uninstall(name, "--no-hooks")
    kubectl("-n", NAMESPACE, "delete", "lease", "--all")
    kubectl("-n", NAMESPACE, "delete", "configmap", "-l", "modelfleet.dev/ledger")
    kubectl(
        "-n", NAMESPACE, "delete", "endpointslice", "modelfleet-gateway-1", "--ignore-not-found"
    )
    policy = ("validatingadmissionpolicy", "validatingadmissionpolicybinding")
    for kind in policy:
        kubectl("delete", kind, "crds.modelfleet.dev", "--ignore-not-found")
    kubectl("delete", "crd", "-l", "app.kubernetes.io/part-of=modelfleet", "--timeout=60s")


@pytest.fixture
def no_models_left(empty_cluster: None) -> Iterator[None]:  # noqa: ARG001
    """Take Models away while there is a CRD."""
    yield
    kubectl("delete", "models.modelfleet.dev", "--all", "-A", check=False)
    kubectl("-n", TEAM, "wait", "--for=delete", "pod", "-l", OURS, "--timeout=60s", check=False)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """Talk to the API server as its administrator."""
    async with Client() as one:
        yield one
