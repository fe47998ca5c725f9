import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet.cluster.rest import NODES, PODS
from modelfleet.cluster.store import TOMBSTONES, Raw, Store
from support.objects import an_object, stored


def label(raw: Raw) -> str:
    return str(raw["metadata"]["labels"]["app"])


@pytest.fixture
def store() -> Store[str]:
    return Store(PODS, label, index={"app": lambda value: value})


def pod(version: int, app: str = "a", uid: str = "u1", name: str = "p") -> Raw:
    return stored(PODS, name, version, uid, app=app)


def elsewhere(version: int) -> Raw:
    raw = stored(PODS, "other", version, app="a")
    return {**raw, "metadata": {**raw["metadata"], "namespace": "elsewhere"}}


def test_a_value_is_found_by_name_and_by_index(store):
    store.feed("ADDED", pod(1, "a"))

    assert store.get("team", "p") == "a"
    assert store.by("app", "a") == ["a"]
    assert len(store) == 1
    assert list(store) == ["a"]


def test_a_cluster_wide_kind_has_no_namespace():
    store = Store(NODES, lambda raw: raw["metadata"]["name"])

    store.feed("ADDED", stored(NODES, "n1", 1))

    assert store.get(None, "n1") == store.get("", "n1") == "n1"


def test_an_older_version_does_not_replace_a_newer_one(store):
    store.feed("MODIFIED", pod(5, "new"))
    store.feed("ADDED", pod(3, "old"))

    assert store.get("team", "p") == "new"


def test_versions_are_numbers_and_not_text(store):
    store.feed("ADDED", pod(9, "old"))
    store.feed("MODIFIED", pod(10, "new"))

    assert store.get("team", "p") == "new"


def test_a_change_moves_the_value_in_its_index(store):
    store.feed("ADDED", pod(1, "a"))
    store.feed("MODIFIED", pod(2, "b"))

    assert store.by("app", "a") == []
    assert store.by("app", "b") == ["b"]
    assert store.keys("app") == ["b"]


def test_a_deletion_leaves_nothing_behind(store):
    store.feed("ADDED", pod(1))
    store.feed("DELETED", pod(2))

    assert store.get("team", "p") is None
    assert store.keys("app") == []


def test_a_late_event_does_not_bring_back_what_was_deleted(store):
    store.feed("ADDED", pod(1))
    store.feed("DELETED", pod(3))
    store.feed("MODIFIED", pod(2))

    assert store.get("team", "p") is None


def test_a_late_deletion_does_not_take_the_namesake(store):
    store.feed("ADDED", pod(5, "new", uid="u2"))
    store.feed("DELETED", pod(3, "old", uid="u1"))

    assert store.get("team", "p") == "new"


def test_a_namesake_replaces_what_was_deleted(store):
    store.feed("ADDED", pod(1, "old", uid="u1"))
    store.feed("DELETED", pod(2, "old", uid="u1"))
    store.feed("ADDED", pod(3, "new", uid="u2"))

    assert store.entry("team", "p").uid == "u2"


def test_we_read_what_we_have_written(store):
    store.feed("ADDED", pod(1, "before"))
    store.put(pod(2, "after"))

    assert store.get("team", "p") == "after"


def test_the_watch_may_tell_of_our_write_after_its_answer(store):
    store.put(pod(4, "after"))
    store.feed("MODIFIED", pod(3, "between"))
    store.feed("MODIFIED", pod(4, "after"))

    assert store.get("team", "p") == "after"


def test_a_late_answer_does_not_bring_back_what_the_watch_saw_deleted(store):
    store.feed("ADDED", pod(1))
    store.feed("DELETED", pod(3))
    store.put(pod(2))

    assert store.get("team", "p") is None


def test_a_late_answer_does_not_bring_back_what_a_list_did_not_have(store):
    store.retain(set(), 10)
    store.put(pod(8))

    assert store.get("team", "p") is None


def test_our_object_that_was_deleted_meanwhile_goes(store):
    store.put(pod(2))
    store.feed("DELETED", pod(3))

    assert store.get("team", "p") is None


def test_a_list_drops_what_it_has_not(store):
    store.feed("ADDED", pod(1, name="stays"))
    store.feed("ADDED", pod(2, name="goes"))

    assert store.retain({("team", "stays")}, 5) == [("team", "goes")]
    assert store.names() == [("team", "stays")]


def test_a_list_of_one_namespace_says_nothing_of_another(store):
    store.feed("ADDED", elsewhere(1), "elsewhere")
    store.feed("ADDED", pod(2, name="goes"), "team")

    assert store.retain(set(), 5, "team") == [("team", "goes")]
    assert store.names() == [("elsewhere", "other")]


def test_the_watch_of_one_namespace_does_not_tell_all_of_another(store):
    store.feed("ADDED", elsewhere(9), "elsewhere")
    store.put(pod(4))

    assert store.get("team", "p") == "a"


def test_a_list_cannot_drop_what_was_written_after_it(store):
    store.put(pod(7))

    assert store.retain(set(), 5) == []
    assert store.get("team", "p") == "a"


def test_changes_are_told_with_old_and_new(store):
    told = []
    store.subscribe(lambda old, new: told.append((old, new)))

    store.feed("ADDED", pod(1, "a"))
    store.feed("MODIFIED", pod(2, "b"))
    store.feed("DELETED", pod(3, "b"))

    assert told == [(None, "a"), ("a", "b"), ("b", None)]


def test_what_looks_the_same_is_not_a_change(store):
    told = []
    store.feed("ADDED", pod(1, "a"))
    store.subscribe(lambda old, new: told.append((old, new)))

    store.feed("MODIFIED", pod(2, "a"))

    assert told == []
    assert store.entry("team", "p").version == 2


def test_a_subscriber_that_fails_does_not_keep_the_others_from_hearing(store):
    told = []

    def broken(_old, _new):
        raise ValueError("a defect")

    store.subscribe(broken)
    store.subscribe(lambda _, new: told.append(new))
    store.feed("ADDED", pod(1))

    assert told == ["a"]


def test_an_object_that_makes_no_sense_any_more_is_reported_and_not_known_as_it_was():
    reported = []
    store = Store(PODS, label, on_unparsable=lambda raw, _: reported.append(raw))
    store.feed("ADDED", pod(1))

    store.feed("MODIFIED", stored(PODS, "p", 2))

    assert [raw["metadata"]["resourceVersion"] for raw in reported] == ["2"]
    assert store.get("team", "p") is None

    store.feed("MODIFIED", pod(3))
    assert store.get("team", "p") == "a"


def test_parsers_get_the_kind_that_list_items_lack_and_no_managed_fields():
    seen = []
    store = Store(PODS, seen.append)
    raw = stored(PODS, "p", 1)
    raw["metadata"]["managedFields"] = [{"manager": "kubelet"}]
    del raw["kind"], raw["apiVersion"]

    store.feed(None, raw)

    assert seen[0]["kind"] == "Pod"
    assert seen[0]["apiVersion"] == "v1"
    assert "managedFields" not in seen[0]["metadata"]
    assert "managedFields" in raw["metadata"], "others look at the same object"


def test_a_parser_may_ask_for_managed_fields():
    seen = []
    store = Store(PODS, seen.append, with_managed_fields=True)
    raw = stored(PODS, "p", 1)
    raw["metadata"]["managedFields"] = [{"manager": "kubelet"}]

    store.feed(None, raw)

    assert seen[0]["metadata"]["managedFields"] == [{"manager": "kubelet"}]


def test_deletions_remembered_are_bounded(store):
    for number in range(TOMBSTONES + 10):
        store.feed("DELETED", pod(number + 1, name=f"p{number}"))
    store.feed("ADDED", pod(1, name=f"p{TOMBSTONES + 9}"))

    assert len(store) == 0


def test_after_a_restore_from_backup_older_versions_count_again(store):
    store.feed("ADDED", pod(100, "before"))
    store.rewind()
    store.feed(None, pod(7, "restored"))

    assert store.get("team", "p") == "restored"


def test_dropping_needs_the_right_uid(store):
    store.feed("ADDED", pod(1, uid="u1"))

    assert not store.drop(("team", "p"), "u2")
    assert store.drop(("team", "p"), "u1")
    assert len(store) == 0


HISTORIES = st.lists(
    st.tuples(st.sampled_from(["p", "q"]), st.sampled_from(["write", "delete"])), max_size=25
)


@given(HISTORIES, st.data())
def test_whatever_comes_late_or_twice_the_store_ends_as_the_history_does(history, data):
    """Events come in order, some of them again later; answers to writes come at any time."""
    world, events, answers = {}, [], []
    for version, (name, what) in enumerate(history, start=1):
        if what == "delete" and name not in world:
            continue
        raw = stored(PODS, name, version, uid=name, app=str(version))
        if what == "delete":
            del world[name]
            events.append(("DELETED", raw))
        else:
            world[name] = str(version)
            events.append(("MODIFIED", raw))
            answers.append(raw)

    store = Store(PODS, label, index={"app": lambda value: value})
    for position, (kind, raw) in enumerate(events):
        for answer in data.draw(st.lists(st.sampled_from(answers), max_size=2)) if answers else ():
            store.put(answer)
        store.feed(kind, raw)
        again = data.draw(st.integers(0, position))
        store.feed(*events[again])

    for answer in answers:
        store.put(answer)

    assert {name: store.get("team", name) for name in world} == world
    assert len(store) == len(world)
    assert sorted(store.keys("app")) == sorted(world.values())


def test_builders_make_objects_of_their_kind():
    assert an_object(NODES, "n")["metadata"] == {"name": "n"}
