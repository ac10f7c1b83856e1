"""What becomes of the fields of a signal: profile, time, site, attributes, trace, message (DOMAIN §2)."""

from __future__ import annotations

import gzip
import json
import time
import tracemalloc
import unicodedata
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.profiles import InvalidProfile, normalise_profile
from contracts.signals import CATALOGUE, Reference, decode_signal
from contracts.times import HOUR, SECOND, from_rfc3339
from services.ingestion.admission import Admitted, Listener
from services.ingestion.bodies import LARGEST_BATCH, LARGEST_BODY, Body, gunzip, parse
from services.ingestion.publication import LARGEST_SIGNAL, message_of
from services.ingestion.reading import Accepted, Reception, read_signal
from services.ingestion.refusals import Fault, Refusal, pointer_of

NOW = from_rfc3339("2026-11-23T10:16:00Z")
DOMAINS = ("shop.example.com",)


def reception(
    touchpoint: Any = "web", *, id_types: tuple[str, ...] = ("email",), trace: str | None = None
) -> Reception:
    listener = Listener("c1", DOMAINS, frozenset(id_types), Reference("c1", "Shop"), Reference("a1", "Customers"))
    return Reception(Admitted(listener, "pk_1", touchpoint), NOW, trace)


def sent(data: dict[str, Any] | None = None, **envelope: Any) -> dict[str, Any]:
    return {
        "id": "s1",
        "time": "2026-11-23T10:15:30.123Z",
        **envelope,
        "data": {
            "site": "shop.example.com",
            "email": "ada@example.com",
            "items": [{"productId": "p1"}],
            **(data or {}),
        },
    }


def read(item: Any, kind: str | None = "cart/add", by: Reception | None = None, *, clean: bool = True) -> Any:
    return read_signal(item, None if kind is None else CATALOGUE[kind], by or reception(), clean=clean)


def accepted(item: Any, kind: str | None = "cart/add", by: Reception | None = None) -> Accepted:
    outcome = read(item, kind, by)
    assert isinstance(outcome, Accepted), outcome
    return outcome


def pointers(outcome: Any) -> set[str]:
    assert isinstance(outcome, Refusal), outcome
    return {fault.pointer for fault in outcome.faults}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("ada@example.com", "ada@example.com"),
        ("  Ada@Example.COM\n", "ada@example.com"),
        ("Ju\u0308rgen@Bu\u0308cher.example", "jürgen@bücher.example"),
        ("JÜRGEN@example.com", "jürgen@example.com"),
        ("ada+tag@example.com", "ada+tag@example.com"),
        ("ada@sub.sub.example.co.uk", "ada@sub.sub.example.co.uk"),
    ],
)
def test_an_email_is_trimmed_composed_and_lower_case(given: str, expected: str) -> None:
    assert normalise_profile("email", given) == expected


@pytest.mark.parametrize(
    "value",
    ["", "ada", "@example.com", "ada@", "ada@@example.com", "a@b@example.com", "ada@example", "ada@.com",
        "ada@example.",
     "ada@exa..mple.com", "a da@example.com", "ada@exa mple.com", "<ada@example.com>", "ada@example.com\0x",
     "x" * 65 + "@example.com", "a@" + "b" * 250 + ".com", 5, None, True, ["ada@example.com"]],
)  # fmt: skip
def test_what_is_no_email_is_refused(value: object) -> None:
    with pytest.raises(InvalidProfile):
        normalise_profile("email", value)


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_normalised_email_is_its_own_normal_form(local: str, domain: str) -> None:
    try:
        once = normalise_profile("email", f"{local}@{domain}.com")
    except InvalidProfile:
        return

    assert normalise_profile("email", once) == once
    assert unicodedata.is_normalized("NFC", once)


@pytest.mark.parametrize(
    ("id_type", "value", "expected"),
    [
        ("phone", "+49 30 123456", "+4930123456"),
        ("phone", "+1 (415) 555-2671", "+14155552671"),
        ("external", " exact ID ", " exact ID "),
        ("external", 562076640, "562076640"),
        ("external", 562076640.0, "562076640"),
        ("deviceId", "x" * 255, "x" * 255),
        ("appId", -1, "-1"),
    ],
)
def test_phones_become_e164_and_other_profiles_stay_exact(id_type: str, value: object, expected: str) -> None:
    assert normalise_profile(id_type, value) == expected


@pytest.mark.parametrize(
    ("id_type", "value"),
    [
        ("phone", "030 123456"),
        ("phone", "+49 30 123456 ext. 7"),
        ("phone", "+49"),
        ("phone", "+" + "1" * 100),
        ("phone", 4930123456),
        ("external", ""),
        ("external", "x" * 256),
        ("external", 2**53 + 1),
        ("external", 1.5),
        ("external", True),
        ("external", None),
        ("deviceId", {}),
    ],
)
def test_other_values_are_no_profiles(id_type: str, value: object) -> None:
    with pytest.raises(InvalidProfile):
        normalise_profile(id_type, value)


def test_an_id_type_that_the_audience_does_not_accept_is_refused() -> None:
    item = sent({"idType": "external", "customerId": "7"})

    assert pointers(read(item)) == {"/data/idType"}
    assert accepted(item, by=reception(id_types=("external",))).profile.id == "7"


@pytest.mark.parametrize(
    ("time", "sent_at", "expected"),
    [
        ("2026-11-23T10:15:30.123456Z", None, "2026-11-23T10:15:30.123456Z"),
        ("2026-11-23T12:15:30+02:00", None, "2026-11-23T10:15:30Z"),
        ("2026-11-23T10:17:00Z", None, "2026-11-23T10:16:00Z"),
        ("9999-12-31T23:59:59-14:00", None, "2026-11-23T10:16:00Z"),
        ("2026-11-23T09:00:00Z", "2026-11-23T09:00:10Z", "2026-11-23T10:15:50Z"),
        ("1999-01-01T00:00:00Z", "1999-01-01T00:00:30Z", "2026-11-23T10:15:30Z"),
        ("2030-01-01T00:00:00Z", "2030-01-01T00:00:30Z", "2026-11-23T10:15:30Z"),
        ("2030-01-01T00:00:30Z", "2030-01-01T00:00:00Z", "2026-11-23T10:16:00Z"),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:01+14:00", "2026-11-23T10:15:59Z"),
        ("1970-01-01T00:00:00Z", None, "1970-01-01T00:00:00Z"),
    ],
)
def test_the_time_is_corrected_by_sent_at_and_never_later_than_received(
    time: str, sent_at: str | None, expected: str
) -> None:
    signal = accepted(sent(time=time, sentAt=sent_at))

    assert signal.time == from_rfc3339(expected)
    assert decode_signal(message_of(signal, 16).body).received_at == NOW  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("time", "sent_at", "pointer"),
    [
        ("1969-12-31T23:59:59Z", None, "/time"),
        ("0001-01-01T00:00:00+14:00", None, "/time"),
        ("1900-01-01T00:00:00Z", "2026-11-23T10:00:00Z", "/sentAt"),
        ("2026-11-23T10:15:30", None, "/time"),
        ("2026-11-23", None, "/time"),
        ("2026-02-30T00:00:00Z", None, "/time"),
        ("10000-01-01T00:00:00Z", None, "/time"),
        ("2026-11-23T10:15:30Z", "yesterday", "/sentAt"),
        (1795428930, None, "/time"),
    ],
)
def test_a_time_out_of_range_or_without_zone_is_a_fault(time: object, sent_at: str | None, pointer: str) -> None:
    assert pointers(read(sent(time=time, sentAt=sent_at))) == {pointer}


def test_the_source_is_the_key_unless_the_sender_says_otherwise() -> None:
    assert accepted(sent()).source == "pk_1"
    assert accepted(sent(source="shop-web")).source == "shop-web"


def test_a_web_signal_names_its_site() -> None:
    item = sent({"site": None})

    assert pointers(read(item)) == {"/data/site"}
    assert accepted(item, by=reception("server")).data.site is None
    assert accepted(sent({"site": "SHOP.example.com.:443"})).data.site == "shop.example.com"


def test_a_valid_signal_of_a_foreign_site_is_forbidden() -> None:
    outcome = read(sent({"site": "evil.test"}))

    assert isinstance(outcome, Refusal)
    assert (outcome.status, outcome.code) == (403, "foreign_site")


def test_undeclared_fields_become_attributes() -> None:
    item = sent(
        {
            "brand": {"name": "acme"},
            "customerId": 7,
            "total": 9.99,
            "note": None,
            "attributes": {"campaign": "x", "brand": "hidden"},
            "items": [{"productId": "p1", "size": "M"}, {"productId": "p2"}],
        }
    )

    data = accepted(item).data

    assert data.attributes == {
        "brand": {"name": "acme"},
        "customerId": 7,
        "total": 9.99,
        "note": None,
        "campaign": "x",
        "items": [{"size": "M"}, {}],
    }
    assert accepted(sent({"attributes": 5})).data.attributes == {"attributes": 5}
    assert accepted(sent()).data.attributes == {}


def test_items_of_a_kind_without_items_are_attributes() -> None:
    data = accepted(sent({"surveyId": "s", "items": "free"}), "survey/start").data

    assert (data.items, data.attributes) == ((), {"items": "free"})


def test_numbers_for_ids_become_text_and_currencies_upper_case() -> None:
    data = accepted(
        sent({"cartId": 42, "items": [{"productId": 7, "quantity": 2.0, "price": 5, "currency": "eur"}]})
    ).data

    view = accepted(sent({"productId": 7.0, "currency": "eur", "price": 1}), "product/view").data

    assert (view.product_id, view.currency, view.price) == ("7", "EUR", 1.0)
    assert data.cart_id == "42"
    assert (data.items[0].product_id, data.items[0].quantity) == ("7", 2)
    assert (data.items[0].price, data.items[0].currency) == (5.0, "EUR")


def test_a_step_stays_the_number_or_text_that_was_sent() -> None:
    by = reception("server")

    steps = [accepted(sent({"bookingId": "b", "step": step}), "booking/update", by).data.step for step in (2, 2.5, "x")]

    assert steps == [2, 2.5, "x"]


def test_every_fault_is_named_at_its_pointer() -> None:
    item = sent(
        {"email": "no", "site": "a b", "items": [{"productId": "", "price": -1}, {"quantity": 1.5}], "big": 2**60},
        id="",
        time="never",
        specversion="0.3",
    )

    assert pointers(read(item)) == {
        "/id",
        "/time",
        "/specversion",
        "/data/email",
        "/data/site",
        "/data/items/0/productId",
        "/data/items/0/price",
        "/data/items/1/productId",
        "/data/items/1/quantity",
        "/data/big",
    }


@pytest.mark.parametrize("items", [None, [], [{"productId": "p", "quantity": 0}], "p", {}])
def test_an_add_needs_an_item_of_quantity_one(items: object) -> None:
    assert pointers(read(sent({"items": items}))) == {"/data/items"}


def test_other_cart_signals_need_no_item() -> None:
    for kind in ("cart/remove", "cart/clear", "cart/replace", "cart/purchase"):
        assert accepted(sent({"items": None}), kind).data.items == ()


def test_attributes_are_bounded_in_depth_number_and_size() -> None:
    deep: Any = 1
    for _ in range(7):
        deep = [deep]

    assert accepted(sent({"a": deep})).data.attributes == {"a": deep}
    assert pointers(read(sent({"a": [deep]}))) == {"/data/a/0/0/0/0/0/0/0"}
    assert pointers(read(sent({"a": list(range(1000))}))) == {"/data"}
    assert pointers(read(sent({"a": "x" * 9000}))) == {"/data/a"}
    assert pointers(read(sent({"k" * 256: 1}))) == {"/data/" + "k" * 256}


@pytest.mark.parametrize("bad", ["a\0b", "\ud800", {"a\0": 1}, float("inf")])
def test_text_that_no_store_can_hold_is_refused(bad: Any) -> None:
    outcome = read(sent({"note": [bad]}), clean=False)

    assert pointers(outcome) == {"/data/note/0"}


def test_nuls_and_lone_surrogates_are_found_by_the_parser() -> None:
    body = parse(b'{"a": "\\u0000"}')
    patient = parse(b'{"a": "\\ud800", "b": 1e999}')

    assert isinstance(body, Body)
    assert isinstance(patient, Body)
    assert not body.clean
    assert not patient.clean


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"NaN", b"[Infinity]", b"\xff", b'{"a":1} x', b"[" * 100_000, b"1" + b"0" * 5000, b'{"a":\x00}'],
)
def test_what_is_no_json_is_refused_as_malformed(data: bytes) -> None:
    outcome = parse(data)

    assert isinstance(outcome, Refusal)
    assert outcome.status == 400


def test_a_pointer_escapes_and_is_always_encodable() -> None:
    assert pointer_of("data", "a/b~c", 0, "\ud800") == "/data/a~1b~0c/0/?"


def test_data_signal_must_agree_with_the_path_and_names_the_kind_in_a_batch() -> None:
    assert accepted(sent({"signal": "cart/remove"}), None).kind.name == "cart/remove"
    assert accepted(sent({"signal": "cart/add"})).kind.name == "cart/add"
    assert pointers(read(sent({"signal": "cart/remove"}))) == {"/data/signal"}
    assert pointers(read(sent(), None)) == {"/data/signal"}
    assert pointers(read(sent({"signal": 5}, id=""), None)) == {"/data/signal", "/id"}
    assert read(sent({"signal": "cart/fly"}), None).status == 404
    assert pointers(read([], None)) == {"", "/data/signal"}


TRACE = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


def test_a_trace_is_carried_on_when_it_is_well_formed() -> None:
    assert accepted(sent(traceparent=TRACE)).traceparent == TRACE
    assert accepted(sent(traceparent="nonsense")).traceparent is None
    assert accepted(sent(), by=reception(trace=TRACE)).traceparent == TRACE
    made = accepted(sent(traceId="A" * 32)).traceparent
    assert made is not None
    assert made.startswith("00-" + "a" * 32 + "-")
    assert len(made) == 55
    assert accepted(sent(traceId="0" * 32)).traceparent is None


def test_the_message_goes_to_the_profiles_partition_under_the_signals_own_id() -> None:
    message = message_of(accepted(sent()), 1009)
    partition = crc32(b'["c1","email","ada@example.com"]') % 1009

    assert message is not None
    assert (message.exchange, message.routing_key) == ("moments.signals", "signal.cart.add")
    assert message.hidden_copies == (f"partition.{partition:02d}",)
    assert message.message_id == "s1"
    assert json.loads(message.body)["data"]["audienceConfiguration"] == {"id": "c1", "name": "Shop"}


@pytest.mark.parametrize("signal_id", ["marker:7", "ü" * 255, "x" * 255, "a\nb"])
def test_an_id_that_amqp_cannot_hold_or_that_looks_like_a_marker_travels_as_a_digest(signal_id: str) -> None:
    message = message_of(accepted(sent(id=signal_id)), 16)

    assert message is not None
    assert len(message.message_id) == 32
    assert decode_signal(message.body).id == signal_id


def test_a_signal_larger_than_the_bound_has_no_message() -> None:
    item = sent({"items": [{"productId": "p", "name": "x" * 1000}] * 64})

    assert message_of(accepted(item), 16) is None
    assert len(json.dumps(item)) < 2 * LARGEST_SIGNAL


def test_gzip_is_unpacked_up_to_the_bound() -> None:
    assert gunzip(gzip.compress(b"abc")) == b"abc"
    assert gunzip(gzip.compress(b"abc") + gzip.compress(b"def")) == b"abcdef"
    assert gunzip(gzip.compress(b" " * LARGEST_BODY)) == b" " * LARGEST_BODY
    assert gunzip(b"") == b""
    for bomb in (gzip.compress(b" " * (LARGEST_BODY + 1)), gzip.compress(b" " * 400_000) * 2):
        outcome = gunzip(bomb)
        assert isinstance(outcome, Refusal)
        assert outcome.status == 413
    for broken in (b"abc", gzip.compress(b"abc")[:-1], gzip.compress(b"abc") + b"rest", gzip.compress(b"a")[:5]):
        outcome = gunzip(broken)
        assert isinstance(outcome, Refusal)
        assert outcome.status == 400


def test_many_gzip_members_cost_no_more_than_a_few() -> None:
    """Each leaves all behind it over, to be read again."""
    assert gunzip(gzip.compress(b"a") * 16) == b"a" * 16
    began = time.process_time()

    outcome = gunzip(gzip.compress(b"") * (LARGEST_BATCH // len(gzip.compress(b""))), LARGEST_BATCH)

    assert isinstance(outcome, Refusal)
    assert (outcome.status, outcome.code) == (400, "malformed")
    assert time.process_time() - began < 1.0


def test_a_gzip_bomb_is_never_unpacked() -> None:
    bomb = gzip.compress(b" " * 50_000_000)

    tracemalloc.start()
    gunzip(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 4 * LARGEST_BODY


def test_a_long_list_of_bad_lines_is_explained_in_bounded_time() -> None:
    outcome = read(sent({"items": [3] * 100_000}))

    assert isinstance(outcome, Refusal)
    assert 1000 <= len(outcome.faults) <= 1002


def test_without_explanation_only_the_first_fault_is_told() -> None:
    outcome = read_signal(sent(id=""), CATALOGUE["cart/add"], reception(), clean=True, explain=False)

    assert isinstance(outcome, Refusal)
    assert outcome.faults == ()
    assert "signal is not valid: " in outcome.reason


def test_a_fault_knows_its_document() -> None:
    assert Fault("/a", "why").as_document() == {"pointer": "/a", "reason": "why"}


def test_a_day_old_signal_keeps_its_time() -> None:
    assert accepted(sent(time="2026-11-20T10:16:00Z")).time == NOW - 72 * HOUR
    assert NOW % SECOND == 0
