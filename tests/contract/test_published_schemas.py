"""The published JSON Schemas: complete, described, true of what is really sent, and exact about what they ask for."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from contracts import erasures, joining, stitching, wire
from contracts.description import Described, all_messages
from contracts.description.schemas import content_schema, definitions_for
from contracts.erasures import ERASURE_DONE, PROFILE_ERASED
from contracts.events import (
    AudienceProfileEvent,
    MomentEvent,
    RecoveredEvent,
)
from contracts.joining import INQUIRY, JOINING, REPLY
from contracts.processes import CartContent, empty_content
from contracts.signals import (
    CATALOGUE,
    KINDS,
    Item,
    ProfileReference,
    Reference,
    SignalData,
    SignalEvent,
    SignalKind,
    decode_signal,
    make_signal,
)
from contracts.stitching import IDENTIFIED, STITCHED
from contracts.templates import product_templates
from contracts.times import to_datetime
from contracts.topology import SNAPSHOT_REQUEST, STATE_CONFIGURATION, STATE_MOMENT, STATE_SUPPRESSION, STATE_TOKEN
from contracts.wire import KEY_USED, SIGNAL_REFUSED, SIGNAL_REPLAY, SIGNAL_REPLAYED, SPOOL_WORD
from services.cli.documents import SCHEMAS, documents
from services.cli.options import ROOT
from services.ingestion.admission import Admitted, Listener
from services.ingestion.publication import body_of
from services.ingestion.reading import Accepted, Reception, read_signal
from tests.contract.test_signal_schemas import valid_signal
from tests.support.schemas import faults, undescribed, validator

MESSAGES = {message.name: message for message in all_messages()}
STRUCTS = {
    "signal": SignalEvent,
    "moment": MomentEvent,
    "recovered": RecoveredEvent,
    "audience": AudienceProfileEvent,
}
NOW = 1_795_428_930_000_000
PROFILES = {
    "email": {"email": "Ada@Example.com"},
    "external": {"customerId": 17},
    "phone": {"phone": "+49 30 123456"},
    "deviceId": {"deviceId": "d"},
    "appId": {"appId": "a"},
}


def schema_of(name: str) -> dict[str, Any]:
    """A committed schema."""
    document: dict[str, Any] = json.loads((ROOT / SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    return document


@cache
def holder(name: str) -> Draft202012Validator:
    """The validator of a committed schema."""
    return validator(schema_of(name))


def test_there_is_a_schema_of_every_message_and_no_other() -> None:
    templates = product_templates().values()

    expected = {"signal", "moment", "moment.recovered", "audience.profile", "marker", "tombstone"}
    expected |= {PROFILE_ERASED, ERASURE_DONE, SPOOL_WORD, IDENTIFIED, STITCHED, STATE_SUPPRESSION}
    expected |= {STATE_CONFIGURATION, STATE_MOMENT, STATE_TOKEN, SNAPSHOT_REQUEST, SIGNAL_REFUSED, KEY_USED}
    expected |= {SIGNAL_REPLAY, SIGNAL_REPLAYED, JOINING, INQUIRY, REPLY}
    expected |= {kind.routing_key for kind in KINDS}
    expected |= {f"moment.{template.type}" for template in templates}
    expected |= {f"moment.{template.type}.recovered" for template in templates if template.completes}
    committed = {path.stem for path in (ROOT / SCHEMAS).glob("*.json")} - {"asyncapi"}

    assert set(MESSAGES) == committed == expected
    assert {path.name for path in documents() if path.parent == SCHEMAS} == {
        f"{name}.json" for name in (*expected, "asyncapi")
    }


def test_every_struct_that_services_send_each_other_has_a_schema() -> None:
    structs = [
        value
        for module in (wire, erasures, stitching, joining)
        for value in vars(module).values()
        if getattr(value, "__module__", "") == module.__name__
    ]
    sent = [struct for struct in structs if isinstance(struct, type) and issubclass(struct, msgspec.Struct)]

    schemas = [schema_of(name) for name in MESSAGES]
    described = {frozenset(schema["properties"]) for schema in schemas}
    described |= {
        frozenset(part.get("properties", ())) for schema in schemas for part in schema.get("$defs", {}).values()
    }

    assert len(sent) >= 3
    assert [struct.__name__ for struct in sent if frozenset(struct.__struct_encode_fields__) not in described] == []


@pytest.mark.parametrize("name", MESSAGES)
def test_every_field_of_every_message_is_described(name: str) -> None:
    schema = schema_of(name)

    assert list(undescribed(schema)) == []
    assert schema["description"].endswith(".")


@pytest.mark.parametrize("name", MESSAGES)
def test_every_example_holds_and_has_nothing_undeclared(name: str) -> None:
    schema = schema_of(name)

    assert schema["examples"] == [MESSAGES[name].example_document()]
    assert faults(schema["examples"][0], holder(name)) == []


def required_paths(schema: dict[str, Any], document: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where a required member stands in the document, objects inside objects included."""
    for name in schema.get("required", ()):
        yield (*path, name)
    for name, inner in schema.get("properties", {}).items():
        if name in document and isinstance(document[name], dict):
            yield from required_paths(inner, document[name], (*path, name))


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_without_a_required_field_is_refused(name: str) -> None:
    schema = schema_of(name)
    holds = holder(name)
    paths = list(required_paths(schema, schema["examples"][0]))

    for *outer, last in paths:
        document = copy.deepcopy(schema["examples"][0])
        target = document
        for step in outer:
            target = target[step]
        del target[last]
        assert not holds.is_valid(document), (outer, last)
    assert paths


@pytest.mark.parametrize("name", [name for name, message in MESSAGES.items() if message.readers == "journeys"])
def test_a_message_of_another_kind_or_version_is_refused(name: str) -> None:
    schema, message = schema_of(name), MESSAGES[name]
    holds = holder(name)
    example = schema["examples"][0]

    assert not holds.is_valid(example | {"dataschema": "evt:other/v9"})
    assert not holds.is_valid(example | {"specversion": "0.3"})
    assert not holds.is_valid(example | {"time": "yesterday"})
    if not message.general:
        assert not holds.is_valid(example | {"type": "signal.other.kind"})
        others = [each for each in MESSAGES.values() if not each.general and each.name != name]
        assert [each.name for each in others if holds.is_valid(each.example_document())] == []


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("signal", "data.signal", "cart/fly"),
        ("signal.cart.add", "data.signal", "cart/remove"),
        ("signal.cart.add", "data.items", []),
        ("signal.cart.add", "data.profile.idType", "fax"),
        ("signal.cart.add", "data.site", None),
        ("signal.cart.add", "data.receivedAt", 1_795_428_930),
        ("signal.order.ship", "data.touchpoint", "web"),
        ("moment", "data.raiseNumber", 0),
        ("moment.cart_abandon", "data.moment.type", "browse_abandon"),
        ("moment.cart_abandon", "data.process.kind", "browse"),
        ("moment.cart_abandon", "data.content.items", None),
        ("moment.browse_abandon", "data.content.views", "3"),
        ("moment.survey_abandon.recovered", "data.value", [{"currency": "EUR"}]),
        ("audience.profile", "data.counts.raises", -1),
        ("audience.profile", "data.lastMoment.raiseId", None),
        ("state.configuration", "audience", None),
        ("state.configuration", "keys", [{"id": "pk_1", "type": "desk", "enabled": True}]),
        ("state.moment", "status", "paused"),
        ("state.moment", "runningSince", "2026-11-23T10:15:30Z"),
        ("marker", "partition", -1),
    ],
)
def test_a_value_that_no_message_has_is_refused(name: str, path: str, value: Any) -> None:
    document = schema_of(name)["examples"][0]
    *outer, last = path.split(".")
    target = document
    for step in outer:
        target = target[step]
    assert last in target

    target[last] = value

    assert not holder(name).is_valid(document)


@pytest.mark.parametrize("name", [name for name, message in MESSAGES.items() if message.general])
def test_the_general_form_takes_every_message_that_it_stands_for(name: str) -> None:
    journeys = [each for each in MESSAGES.values() if each.readers == "journeys" and not each.general]
    own = [each for each in journeys if matches(name, each)]

    assert len(own) >= 6
    assert [each.name for each in own if not holder(name).is_valid(each.example_document())] == []


def matches(general: str, message: Described) -> bool:
    """Whether a message is of a general form."""
    head, _, tail = message.name.partition(".")
    recovered = tail.endswith(".recovered")
    return head == general.split(".", maxsplit=1)[0] and recovered == general.endswith(".recovered")


@pytest.mark.parametrize(
    ("kind", "touchpoint"),
    [(kind, touchpoint) for kind in KINDS for touchpoint in kind.touchpoints],
    ids=lambda value: getattr(value, "name", value),
)
def test_what_ingestion_publishes_of_a_full_signal_holds(kind: SignalKind, touchpoint: Any) -> None:
    listener = Listener("c1", (), frozenset(PROFILES), Reference("c1", "Shop"), Reference("a1"))
    reception = Reception(Admitted(listener, "k", touchpoint), NOW)

    for id_type, address in PROFILES.items():
        item = copy.deepcopy(valid_signal(kind.name))
        del item["data"]["email"]
        item["data"] |= {"idType": id_type, **address}
        item["traceparent"] = f"00-{'a' * 32}-{'b' * 16}-01"
        outcome = read_signal(item, kind, reception, clean=True)
        assert isinstance(outcome, Accepted), outcome
        document = json.loads(body_of(outcome))

        assert faults(document, holder(kind.routing_key)) == []
        assert holder("signal").is_valid(document)


ITEMS = st.builds(
    Item,
    product_id=st.sampled_from(["a", "b"]),
    quantity=st.integers(0, 3),
    price=st.none() | st.sampled_from([0.0, 2.5]),
    currency=st.none() | st.sampled_from(["EUR", "USD"]),
    name=st.none() | st.just("A thing"),
    category=st.none() | st.just("things"),
    url=st.none() | st.just("https://shop.example.com/a"),
)
STEPS = st.none() | st.sampled_from(["payment", 3, 2.5])
TEXTS = st.none() | st.sampled_from(["", "x"])


@cache
def content_holder(process: str, *, bought: bool = False) -> Draft202012Validator:
    """The validator of the content of a kind of process."""
    schema = content_schema(process, bought=bought)
    return validator({**schema, "$defs": definitions_for(schema)})


@given(process=st.sampled_from(sorted({t.process for t in product_templates().values()})), data=st.data())
@settings(max_examples=150, deadline=None)
def test_content_that_any_signals_amount_to_holds(process: str, data: st.DataObject) -> None:
    kinds = [kind for kind in KINDS if process in kind.processes]
    holds = content_holder(process)
    content = empty_content(process)
    for number in range(data.draw(st.integers(1, 4))):
        kind = data.draw(st.sampled_from(kinds))
        given_ = SignalData(
            signal=kind.name,
            audience_configuration=Reference("c1"),
            audience=Reference("a1"),
            profile=ProfileReference("email", "ada@example.com"),
            received_at=to_datetime(NOW),
            touchpoint="server",
            product_id=data.draw(TEXTS),
            order_id=data.draw(TEXTS),
            price=data.draw(st.none() | st.just(2.5)),
            name=data.draw(TEXTS),
            url=data.draw(TEXTS),
            title=data.draw(TEXTS),
            step=data.draw(STEPS),
            level=data.draw(STEPS),
            version=data.draw(TEXTS),
            platform=data.draw(TEXTS),
            items=tuple(data.draw(st.lists(ITEMS, max_size=3 if kind.items else 0))),
        )
        content.apply(make_signal(id=f"s{number}", source="shop", time=NOW + number, data=given_))

    assert faults(json.loads(json.dumps(content.describe())), holds) == []
    if isinstance(content, CartContent):
        bought = json.loads(json.dumps(content.purchase().describe()))
        assert faults(bought, content_holder(process, bought=True)) == []


def test_examples_are_read_by_our_own_readers() -> None:
    for name, message in MESSAGES.items():
        if message.readers != "journeys":
            continue
        kind = "recovered" if name.endswith("recovered") else name.split(".")[0]
        event = msgspec.json.decode(message.example, type=STRUCTS[kind])
        assert event.type == name or message.general
        if kind == "signal":
            assert decode_signal(message.example).kind in CATALOGUE.values()
