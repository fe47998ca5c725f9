"""Our own kinds, also as no version of ours would write them."""

from typing import Any

import pytest
from pydantic import ValidationError

from modelfleet.api.v1alpha1.model import Model, ModelStatus
from modelfleet.cluster import customs
from modelfleet.plan.world import Key, Unreadable
from support import manifests


def stored(body: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """Return an object as the API server sends it."""
    metadata = {**body["metadata"], "uid": "u1", "generation": 4, "resourceVersion": "7"}
    return {**body, "metadata": {**metadata, "managedFields": []}, **parts}


def broken(**parts: Any) -> Unreadable:
    found = customs.model(stored(manifests.model("team", replicas="many"), **parts))
    assert isinstance(found, Unreadable)
    return found


def test_a_model_is_parsed() -> None:
    found = customs.model(stored(manifests.model("team", replicas=2)))

    assert isinstance(found, Model)
    assert (found.metadata.uid, found.metadata.generation, found.spec.replicas) == ("u1", 4, 2)


def test_fields_of_a_later_version_are_no_mistake() -> None:
    body = stored(manifests.model("team", aFieldToCome={"x": 1}), status={"aFigure": 2})

    assert isinstance(customs.model(body), Model)


def test_what_does_not_parse_says_which_field_and_keeps_its_identity() -> None:
    found = broken()

    assert found.key == Key("Model", "team", "chat")
    assert (found.uid, found.generation) == ("u1", 4)
    assert found.error.startswith("spec.replicas: ")
    assert "\n" not in found.error


def test_its_old_status_is_kept_where_that_can_be_read() -> None:
    assert broken(status={"replicas": 3, "observedGeneration": 3}).old.replicas == 3


@pytest.mark.parametrize("status", [None, {}, {"replicas": "x"}, {"conditions": 7}, []])
def test_a_status_that_makes_no_sense_counts_as_none(status: Any) -> None:
    assert broken(status=status).old == ModelStatus()


def test_a_status_that_makes_no_sense_makes_the_whole_model_unreadable() -> None:
    """A status of a wrong form was not written by us, so it is told instead of overwritten."""
    found = customs.model(stored(manifests.model("team"), status={"replicas": "x"}))

    assert isinstance(found, Unreadable)
    assert found.error.startswith("status.replicas: ")


@pytest.mark.parametrize("spec", [None, 7, [], {}])
def test_any_spec_is_a_value(spec: Any) -> None:
    assert isinstance(customs.model(stored({**manifests.model("team"), "spec": spec})), Unreadable)


def test_a_mistake_that_has_no_field_is_told_without_one() -> None:
    with pytest.raises(ValidationError) as caught:
        Model.model_validate(7)

    assert not customs.why(caught.value).startswith(":")


def test_pools_and_engines_are_parsed_or_refused() -> None:
    pool = customs.pool(stored(manifests.pool("h100", gpu="h100")))
    engine = customs.engine(stored(manifests.engine("our-own")))
    assert (pool.metadata.name, engine.metadata.name) == ("h100", "our-own")

    with pytest.raises(ValidationError):
        customs.pool(stored({**manifests.pool("h100"), "spec": {"nodeSelector": 7}}))
    with pytest.raises(ValidationError):
        customs.engine(stored(manifests.engine("our-own", port="http")))
