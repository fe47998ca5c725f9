"""Who scales a Model beside its policy, as the API server's managedFields tell it."""

from typing import Any

import pytest

from modelfleet.api.v1alpha1.model import Model
from modelfleet.cluster import customs
from modelfleet.plan.scalers import other_scaler
from support import manifests

HPA = "kube-controller-manager"


def entry(manager: str, field: str, **more: Any) -> dict[str, Any]:
    fields = {"f:spec": {f"f:{field}": {}, "f:source": {"f:uri": {}}}}
    return {"manager": manager, "operation": "Update", "fieldsV1": fields, **more}


def scale(manager: str) -> dict[str, Any]:
    return entry(manager, "replicas", subresource="scale")


def a_model(*entries: dict[str, Any]) -> Model:
    body = manifests.model("team", autoscaling={"policyRef": {"name": "chat"}})
    found = customs.model({**body, "metadata": {**body["metadata"], "managedFields": entries}})
    assert isinstance(found, Model)
    return found


@pytest.mark.parametrize(
    ("entries", "who"),
    [
        pytest.param((), "", id="nobody"),
        pytest.param((scale(HPA),), HPA, id="an HPA"),
        pytest.param((entry("argocd", "autoscaling"), scale("keda")), "keda", id="KEDA"),
        pytest.param((scale("kubectl"),), "", id="a person, once"),
        pytest.param((entry("argocd", "replicas"),), "", id="a manifest"),
        pytest.param((entry(HPA, "paused", subresource="scale"),), "", id="another field"),
        pytest.param(
            ({"manager": "x", "subresource": "scale", "fieldsV1": None},), "", id="an empty entry"
        ),
    ],
)
def test_who_else_scales(entries: tuple[dict[str, Any], ...], who: str) -> None:
    assert other_scaler(a_model(*entries)) == who


def test_of_the_fields_only_the_one_that_scales_is_kept() -> None:
    """A Model's status alone is hundreds of fields, and there are a thousand Models."""
    (kept,) = a_model(entry("modelfleet", "source"), scale(HPA)).metadata.managed_fields

    assert (kept.manager, kept.fields_v1) == (HPA, {"f:spec": {"f:replicas": {}}})
