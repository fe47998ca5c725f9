"""From what was committed before to what is here, and not back where that would lose data."""

import io
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart.helm import CHART, CRDS_CHART, ROOT, Helm, Refused
from chart.installed import InstalledOperator, deployment
from chart.served import TEAM, answer, chat, pods
from support.running import Client, apply, kubectl, until

pytestmark = pytest.mark.usefixtures("no_models_left")

BEFORE = "0.0.1-before-"
"""Begins the version of a chart that is older."""

COMMITS = {
    "previous": ("rev-parse", "--verify", "--quiet", "HEAD~1"),
    "first": ("log", "--diff-filter=A", "--reverse", "--format=%H", "--", "charts/modelfleet"),
}
"""What git is asked for the commit before this one, and the first that had a chart."""


def git(*arguments: str) -> bytes:
    """Return what git prints, nothing where it fails."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else b""


@pytest.fixture(params=COMMITS)
def before(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return charts and operator of an older commit."""
    commit, *_ = [*git(*COMMITS[request.param]).decode().split(), ""]
    packed = git("archive", commit, "charts", "operator") if commit else b""
    if not packed:
        pytest.skip("this clone has no history with charts")
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


async def test_an_upgrade_from_an_older_commit_restarts_no_model(
    helm: Helm, client: Client, before: Path
) -> None:
    helm.install(chart=before / "charts/modelfleet")
    with InstalledOperator(source=before / "operator"):
        apply(chat())
        await client.until_ready(TEAM, "chat")
    old = await pods(client)

    helm.upgrade()
    with InstalledOperator():
        apply(chat(replicas=2))
        await client.until_ready(TEAM, "chat")

    new = await pods(client)
    assert len(new) == 2
    assert old.items() <= new.items()
    assert await answer(client) == "chat"


@pytest.fixture(params=[CHART, CRDS_CHART], ids=lambda one: one.name)
def chart(request: pytest.FixtureRequest) -> Path:
    """Each chart that has the CRDs."""
    found: Path = request.param
    return found


@pytest.fixture
def older(chart: Path, tmp_path: Path) -> Path:
    """Return the chart as it was before Models could be rolled out in a certain way."""
    copy = Path(shutil.copytree(chart, tmp_path / chart.name))
    file = copy / "files/crds/modelfleet.dev_models.yaml"
    crd = yaml.safe_load(file.read_text())
    del _spec(crd)["rollout"]
    fields = crd["metadata"]["annotations"]["modelfleet.dev/fields"].split()
    kept = [one for one in fields if not one.startswith("spec.rollout")]
    crd["metadata"]["annotations"]["modelfleet.dev/fields"] = " ".join(kept)
    file.write_text(yaml.safe_dump(crd))
    about = copy / "Chart.yaml"
    about.write_text(about.read_text().replace("appVersion: ", f"appVersion: {BEFORE}"))
    return copy


def _spec(crd: dict[str, Any]) -> dict[str, Any]:
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    found: dict[str, Any] = schema["properties"]["spec"]["properties"]
    return found


def test_a_downgrade_that_would_lose_data_is_refused(helm: Helm, chart: Path, older: Path) -> None:
    helm.install(chart=chart)
    apply(chat(rollout={"strategy": "Surge"}))
    _until_the_policy_is_there(older)

    with pytest.raises(Refused, match=r"older than the installed one and would lose spec\.rollout"):
        helm.upgrade(chart=older)

    assert kubectl("-n", TEAM, "get", "model", "chat", "-o", STRATEGY) == "Surge"
    helm.upgrade(chart=chart)


STRATEGY = "jsonpath={.spec.rollout.strategy}"


@pytest.mark.parametrize("chart", [CHART], ids=["modelfleet"])
def test_a_refused_downgrade_can_be_taken_back_whole(helm: Helm, chart: Path, older: Path) -> None:
    helm.install(chart=chart)
    _until_the_policy_is_there(older)

    with pytest.raises(Refused, match="would lose"):
        helm.upgrade(None, ATOMIC[helm.major], chart=older)

    assert BEFORE not in str(deployment()["spec"]), "the operator is the newer one again"


ATOMIC = {"4": "--rollback-on-failure", "3": "--atomic"}


def test_a_downgrade_by_hand_is_let_through(helm: Helm, chart: Path, older: Path) -> None:
    helm.install(chart=chart)
    kubectl("annotate", "crd", "models.modelfleet.dev", "modelfleet.dev/allow-downgrade=true")

    helm.upgrade(chart=older)

    def forgotten() -> bool:
        return "does not exist" in kubectl("explain", "model.spec.rollout", check=False)

    until(forgotten, "the API server still knows spec.rollout")


def test_kubectl_is_refused_too(helm4: Helm, chart: Path, older: Path) -> None:
    helm4.install(chart=chart)
    _until_the_policy_is_there(older)


def _until_the_policy_is_there(older: Path) -> None:
    """The API server learns of a policy a moment after it was created."""
    file = older / "files/crds/modelfleet.dev_models.yaml"
    command = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", str(file))

    def refused() -> bool:
        return "would lose spec.rollout" in kubectl(*command, check=False)

    until(refused, "the policy lets a downgrade through")
