"""What the base of every class does beyond pydantic, as the API server does it."""

from typing import Annotated, Any

import pytest
from pydantic import Field, ValidationError

from modelfleet.api.fields import Between, Bool, Bytes, Cpu, DnsLabel, Labels
from modelfleet.api.schema import ATOMIC, SET, Schema, list_map, rule


class Item(Schema):
    zone_name: DnsLabel
    number: Annotated[int, Between(0, 9)] = 0


class Thing(Schema):
    flag: Bool = False
    number: Annotated[int, Between(0, 9)] = 1
    cpu: Cpu | None = None
    memory: Bytes | None = None
    labels: Labels = Field(default_factory=dict)
    items: Annotated[
        tuple[Item, ...], Field(max_length=5, json_schema_extra=list_map("zoneName", "number"))
    ] = ()
    tags: Annotated[tuple[DnsLabel, ...], Field(max_length=5, json_schema_extra=SET)] = ()
    words: Annotated[tuple[DnsLabel, ...], Field(max_length=5, json_schema_extra=ATOMIC)] = ()
    needed: DnsLabel = "x"

    @rule("self.number != 4", "four {is} unlucky", ".number")
    def lucky(self) -> bool:
        return self.number != 4

    @rule("size(self.needed) < 3", "too much")
    def short(self) -> bool:
        return len(self.needed) < 3


class Box(Schema):
    thing: Thing


def errors(body: dict[str, Any]) -> list[tuple[Any, str]]:
    with pytest.raises(ValidationError) as refused:
        Box.model_validate({"thing": body}, extra="forbid")
    return [(error["loc"], error["msg"]) for error in refused.value.errors()]


@pytest.mark.parametrize("given", ["1", True, 1.5, [], {}, 10, -1])
def test_an_integer_is_no_text_and_no_boolean(given: Any):
    assert [where for where, _ in errors({"number": given})] == [("thing", "number")]


@pytest.mark.parametrize("given", ["true", "yes", 0, 1, 1.0])
def test_a_boolean_is_no_text_and_no_number(given: Any):
    assert [where for where, _ in errors({"flag": given})] == [("thing", "flag")]


def test_a_number_without_a_fraction_is_an_integer():
    thing = Thing.model_validate({"number": 3.0, "cpu": 4.0})

    assert (thing.number, type(thing.number), thing.cpu) == (3, int, "4")


def test_a_null_is_left_out():
    thing = Thing.model_validate({"number": None, "labels": {"a": None, "b": "c"}, "cpu": None})

    assert (thing.number, thing.labels) == (1, {"b": "c"})


@pytest.mark.parametrize(
    ("body", "where"),
    [
        pytest.param({"unknown": None}, ("unknown",), id="an unknown field"),
        pytest.param({"words": [None]}, ("words", 0), id="an item"),
        pytest.param(
            {"items": [{"zoneName": None}]}, ("items", 0, "zoneName"), id="what is needed"
        ),
    ],
)
def test_a_null_elsewhere_is_refused(body: dict[str, Any], where: tuple[Any, ...]):
    assert [found for found, _ in errors(body)] == [("thing", *where)]


def test_two_items_with_the_same_keys_are_duplicates():
    items = [{"zoneName": "a"}, {"zoneName": "a", "number": 1}, {"zoneName": "a", "number": 0}]

    assert errors({"items": items}) == [(("thing", "items", 2), "given twice")]


def test_a_set_has_no_duplicates_and_an_atomic_list_may():
    assert errors({"tags": ["a", "b", "a"], "words": ["a", "a"]}) == [
        (("thing", "tags", 2), "given twice")
    ]


def test_all_broken_rules_are_told_and_name_their_field():
    assert errors({"number": 4, "needed": "much"}) == [
        (("thing", "number"), "four {is} unlucky"),
        (("thing",), "too much"),
    ]


@pytest.mark.parametrize("cpu", ["4", 4, "0.5", "1.125", "250m", "9999", 0])
def test_cpu_is_in_cores(cpu: Any):
    assert Thing.model_validate({"cpu": cpu}).cpu == str(cpu)


@pytest.mark.parametrize(
    "cpu", ["4Gi", "-1", "0.0005", "1e3", "", ".5", "5.", 0.5, -1, True, "\u0661"]
)
def test_what_is_no_cpu_is_refused(cpu: Any):
    assert [where for where, _ in errors({"cpu": cpu})] == [("thing", "cpu")]


@pytest.mark.parametrize("memory", ["32GB", "32 Gi", "512m", "1E", "-1Gi", "Gi", "1gi", 1.5])
def test_what_is_no_memory_is_refused(memory: Any):
    assert [where for where, _ in errors({"memory": memory})] == [("thing", "memory")]
