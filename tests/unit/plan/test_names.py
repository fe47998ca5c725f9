from modelfleet.api.v1alpha1.model import MAX_NAME
from modelfleet.plan import names, revision
from unit.plan.models import model_with


def test_the_longest_name_leaves_room_for_every_child() -> None:
    model = model_with("m" * MAX_NAME)
    wanted = revision.hash_for(model)

    children = (
        names.deployment(model, wanted),
        names.revision(model, wanted),
        names.service(model),
        names.service_account(model),
        names.disruption_budget(model),
    )

    assert max(map(len, children)) <= 63


def test_revisions_of_one_model_have_different_names() -> None:
    model = model_with()

    assert names.deployment(model, "aaaaaaaaaa") == "chat-aaaaaaaaaa"
    assert names.revision(model, "bbbbbbbbbb") == "chat-bbbbbbbbbb"
