"""What of a refused signal is kept, and how it is read again."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest

from contracts.configurations import KeyState
from contracts.erasures import subject_of
from contracts.times import DAY, HOUR, from_datetime, from_rfc3339, to_rfc3339
from contracts.wire import SignalReplay, decode_signal_refused
from services.ingestion.admission import Directory
from services.ingestion.keeping import LARGEST_KEPT, keep
from services.ingestion.keys import Keys
from services.ingestion.reading import Accepted
from services.ingestion.refusal_reports import BYTES_BURST, MOST_BYTES_WAITING, RefusalReports, Sender
from services.ingestion.refusals import NOT_KEPT, NOT_NAMED, Code, Refusal
from services.ingestion.rereading import read_again
from services.ingestion.signing import Verifier
from shared.broker import Message
from tests.support.ingestion import ORIGIN, PEPPER, configuration, signal

REFUSAL = Refusal(403, "foreign_site", "the site is foreign")
AT = from_rfc3339("2026-11-23T10:15:31Z")
NOW = AT + HOUR
FOREIGN = SignalReplay(
    replay="p", refusal="r", at=AT, configuration="c1", key="pk_1", sent="", kind="cart/add", origin=ORIGIN
)

NEVER = {"missing_key", "unknown_key", "wrong_secret", "missing_signature", "wrong_signature", "stale_signature"}
NEVER |= {"no_consent", "suppressed"}
KEPT = {
    *("expired_key", "disabled_key", "foreign_origin", "foreign_site", "kind_not_allowed", "kind_not_of_key"),
    *("unknown_kind", "invalid", "too_large", "malformed", "not_json", "unavailable", "rate_limited"),
}
"""Whoever adds a code says here whether what was refused for it may be kept."""


def kept(item: Any, secret: str = "", refusal: Refusal = REFUSAL, *, known: bool = True) -> tuple[str, str]:
    """What is kept of an item, and why nothing is."""
    found = keep(item, refusal, known=known, secret=secret)
    return found.sent, found.unkept


def read(item: Any, *, now: int = NOW, state: Any = None, **fields: Any) -> Accepted | Refusal:
    """Read a refused item again, by a configuration."""
    replay = msgspec.structs.replace(FOREIGN, sent=msgspec.json.encode(item).decode(), **fields)
    return read_again(replay, Directory.of([state or configuration()], Verifier(PEPPER.encode())), now)


def code_of(outcome: Accepted | Refusal) -> str:
    """The code of a refusal."""
    assert isinstance(outcome, Refusal)
    return outcome.code


def test_for_every_code_it_is_said_whether_content_may_be_kept() -> None:
    """`NOT_KEPT` or not is decided by whoever adds a code: then this test asks for it."""
    assert NOT_NAMED <= NOT_KEPT
    assert set(get_args(Code)) == NOT_KEPT | KEPT
    assert NOT_KEPT >= NEVER
    assert not NOT_KEPT & KEPT


def test_what_was_read_is_kept_and_nothing_beside_it() -> None:
    sent, why = kept({**signal(step={"deep": [1, "ü", None]}), "key": "pk_1", "writeKey": "w", "signals": [signal()]})

    assert why == ""
    assert msgspec.json.decode(sent) == signal(step={"deep": [1, "ü", None]})


@pytest.mark.parametrize("code", sorted(NEVER))
def test_nothing_is_kept_of_senders_who_did_not_show_who_they_are(code: Any) -> None:
    assert kept(signal(), refusal=Refusal(401, code, "no")) == ("", "never")
    assert kept(signal(), known=False) == ("", "never")


@pytest.mark.parametrize(
    "item",
    [
        signal(note="my sk_Ab12Cd34Ef:topsecret key"),
        signal(note=["mat_0123456789abcdefABCDEF"]),
        signal(hook={"x": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}),
        signal(password="hunter2"),
        signal(form={"Client-Secret": 7}),
        signal(headers={"X-Api-Key": "abc"}),
        signal(note="it is the-secret-of-the-key"),
    ],
)
def test_a_signal_that_holds_a_secret_is_not_kept(item: Any) -> None:
    assert kept(item, "the-secret-of-the-key") == ("", "secret")


@pytest.mark.parametrize(
    "item",
    [
        None, [], 7, {"data": "text"}, {"id": "x"}, signal(note="a\0b"), signal(note="\ud800"),
        signal(**{"a\0": 1}), signal(price=float("inf")), signal(deep=[[{"x": float("nan")}]]),
    ],
)  # fmt: skip
def test_what_no_replay_could_take_as_it_was_is_not_kept(item: Any) -> None:
    assert kept(item) == ("", "unreadable")


def test_what_is_larger_than_a_signal_may_be_is_not_kept() -> None:
    assert kept(signal(note="x" * LARGEST_KEPT)) == ("", "too_large")


def test_a_secret_stands_in_no_text_of_a_sender_and_in_no_message() -> None:
    publisher = Listening()
    reports = RefusalReports(publisher)
    sender = Sender.of("c1", "sk_1:very-secret", ORIGIN)

    reports.add(REFUSAL, sender, signal(note="very-secret"), "cart/add", 7)
    reports.add(REFUSAL, sender, signal(), "cart/add", 7)
    reports.flush()

    assert "very-secret" not in repr(sender)
    assert not any(b"very-secret" in message.body for message in publisher.messages)
    first, second = (decode_signal_refused(message.body) for message in publisher.messages)
    assert (first.unkept, first.sent, second.origin) == ("secret", "", ORIGIN)
    assert msgspec.json.decode(second.sent) == signal()


@pytest.mark.parametrize("origin", [None, "https://ü.example", "x" * 300, "https://x\n"])
def test_an_origin_that_is_none_is_not_told(origin: str | None) -> None:
    assert Sender.of("c1", "pk_1", origin).origin == ""


def test_a_flood_is_told_of_without_its_content_and_costs_no_other_configuration() -> None:
    publisher = Listening()
    reports = RefusalReports(publisher, per_second=0.0, burst=1_000)
    large = signal(note="x" * 50_000)

    for _ in range(BYTES_BURST // 50_000 + 20):
        reports.add(REFUSAL, Sender("loud", "pk_1"), large, "cart/add", 7)
    reports.add(REFUSAL, Sender("quiet", "pk_2"), large, "cart/add", 7)
    reports.flush()

    found = [decode_signal_refused(message.body) for message in publisher.messages]
    loud = [each for each in found if each.configuration == "loud"]
    assert BYTES_BURST - 60_000 < sum(len(each.sent) for each in loud) < BYTES_BURST + 450_000
    assert {each.unkept for each in loud if not each.sent} == {"flood"}
    assert found[-1].sent


def test_what_waits_for_the_broker_is_bounded_in_bytes() -> None:
    publisher = Listening()
    publisher.ready = False
    reports = RefusalReports(publisher)
    large = signal(note="x" * 60_000)

    for number in range(900):
        reports.add(REFUSAL, Sender(f"c{number % 9}", "pk_1"), large, "cart/add", 7)
    publisher.ready = True
    reports.flush()
    reports.add(REFUSAL, Sender("another", "pk_1"), large, "cart/add", 7)
    reports.flush()

    contents = [len(decode_signal_refused(message.body).sent) for message in publisher.messages]
    assert MOST_BYTES_WAITING - 70_000 < sum(contents[:-1]) <= MOST_BYTES_WAITING
    assert contents[-1] > 0


def test_while_trigger_does_not_read_no_content_is_put_at_the_broker() -> None:
    publisher = Listening()
    reports = RefusalReports(publisher, crowded=lambda: True)

    reports.add(REFUSAL, Sender("c1", "pk_1"), signal(), "cart/add", 7)
    reports.flush()

    (refused,) = [decode_signal_refused(message.body) for message in publisher.messages]
    assert (refused.sent, refused.unkept, refused.signal) == ("", "flood", "s1")


def test_of_a_suppressed_customer_nothing_is_told_whatever_it_was_refused_for() -> None:
    publisher = Listening()
    keys = Keys(None, Verifier(PEPPER.encode()))  # type: ignore[arg-type]
    gone = subject_of(PEPPER.encode(), "c1", "email", "ada@example.com")
    keys.directory = Directory.of([configuration()], Verifier(PEPPER.encode()), {"c1": frozenset((gone,))})
    reports = RefusalReports(publisher, suppresses=keys.suppresses)

    for email in (" ADA@example.com", " " * 600 + "ada@example.com", "bob@example.com", "nobody"):
        reports.add(REFUSAL, Sender("c1", "pk_1"), signal(email=email), "cart/add", 7)
    reports.add(REFUSAL, Sender("c2", "pk_1"), signal(), "cart/add", 7)
    reports.flush()

    found = [decode_signal_refused(message.body) for message in publisher.messages]
    assert [(each.configuration, each.profile) for each in found] == [
        *(("c1", "bob@example.com"), ("c1", ""), ("c2", "ada@example.com"))
    ]


def test_a_signal_is_read_again_with_its_own_id_source_and_time_as_received_now() -> None:
    found = read(signal("s7", site="shop.example.com") | {"source": "till"})

    assert isinstance(found, Accepted)
    assert (found.id, found.source, found.time) == ("s7", "till", from_rfc3339("2026-11-23T10:15:30.123Z"))
    assert from_datetime(found.data.received_at) == NOW
    assert found.data.key_id == "pk_1"


def test_its_time_is_corrected_by_the_clock_of_the_sender_at_the_time() -> None:
    ahead = {"time": to_rfc3339(AT + DAY), "sentAt": to_rfc3339(AT + DAY + 7)}

    found = read(signal() | ahead)

    assert isinstance(found, Accepted)
    assert found.time == AT - 7


def test_a_clock_that_went_back_makes_no_signal_of_the_future() -> None:
    found = read(signal() | {"time": to_rfc3339(AT)}, now=AT - HOUR)

    assert isinstance(found, Accepted)
    assert from_datetime(found.data.received_at) == found.time == AT


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"origin": "https://thief.example"}, "foreign_origin"),
        ({"origin": ""}, "foreign_origin"),
        ({"key": "pk_gone"}, "unknown_key"),
        ({"configuration": "c9"}, "unknown_key"),
        ({"kind": "order/ship"}, "kind_not_allowed"),
        ({"kind": "cart/fly"}, "unknown_kind"),
        ({"kind": "page/view"}, "invalid"),
    ],
)
def test_the_rules_of_now_hold_for_a_replay(fields: dict[str, Any], code: str) -> None:
    assert code_of(read(signal(), **fields)) == code


def test_the_rules_of_keys_and_sites_hold_for_a_replay() -> None:
    off = KeyState(id="pk_1", type="web", enabled=False)
    old = KeyState(id="pk_1", type="web", enabled=True, expires_at=NOW)

    assert code_of(read(signal(), state=configuration(keys=(off,)))) == "disabled_key"
    assert code_of(read(signal(), state=configuration(keys=(old,)))) == "expired_key"
    assert isinstance(read(signal(), state=configuration(keys=(old,)), now=NOW - 1), Accepted)
    assert code_of(read(signal(site="x.example"))) == "foreign_site"
    assert isinstance(read(signal(), key="sk_1", origin=""), Accepted), "its secret was right when it came"


@pytest.mark.parametrize("sent", ["", "{", "7", '{"id": "\ud83d"}'.encode("utf-8", "replace").decode()])
def test_what_cannot_be_read_is_refused_and_breaks_nothing(sent: str) -> None:
    replay = msgspec.structs.replace(FOREIGN, sent=sent)

    assert code_of(read_again(replay, Directory.of([configuration()], Verifier(b"")), NOW)) in ("malformed", "invalid")


class Listening:
    """A publisher that takes everything at once."""

    def __init__(self) -> None:
        self.ready = True
        self.messages: list[Message] = []

    def publish_all(self, messages: list[Message]) -> list[Any]:
        """Take the messages; nothing comes of them."""
        self.messages += messages
        return []
