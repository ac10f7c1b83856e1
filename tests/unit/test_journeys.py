"""The journey helper: what counts as the same event, when a handler is called, and when an event is given up."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contracts.description import all_messages
from contracts.journeys import (
    MOMENTS,
    PROFILES,
    RECOVERED,
    SIGNALS,
    Event,
    Journey,
    Later,
    Outcome,
    Refused,
    Seen,
    Stopped,
    UnreadableEvent,
    dead_queue,
    decode_event,
    journey_queue,
    moment_key,
    signal_key,
)
from contracts.topology import queue_arguments, topic_matches
from examples.journey.remembering import remembered


def body(id: str = "e1", type: str = "moment.cart_abandon", source: str = "moments/trigger", **data: Any) -> bytes:
    """An event as it travels."""
    return json.dumps({"specversion": "1.0", "id": id, "type": type, "source": source, "data": data}).encode()


def signal(id: str = "s1", profile: str = "ada", configuration: str = "c1", id_type: str = "email") -> Event:
    """A signal's event."""
    given = {"audienceConfiguration": {"id": configuration}, "profile": {"idType": id_type, "id": profile}}
    return decode_event(body(id, "signal.cart.add", "shop", **given))


def journey(handler: Callable[[Event], object], **more: Any) -> Journey:
    """A journey for everything."""
    return Journey({"#": handler}, **more)


def no_pause(_seconds: float) -> None:
    """Nothing is waited for."""


def test_every_published_message_is_an_event_and_is_bound_by_its_key() -> None:
    patterns = {"moment": MOMENTS, "recovered": RECOVERED, "signal": SIGNALS, "audience": PROFILES}
    for message in all_messages():
        if message.readers != "journeys" or message.general:
            continue
        event = decode_event(message.example)
        head, *_, tail = event.type.split(".")
        pattern = patterns["recovered" if tail == "recovered" else head]

        assert event.type == message.routing_key
        assert event.data == message.example_document()["data"]
        assert [p for p in patterns.values() if topic_matches(p, event.type)] == [pattern]
    assert moment_key("cart_abandon") == "moment.cart_abandon"
    assert signal_key("survey/start") == "signal.survey.start"


@pytest.mark.parametrize("wrong", [b"", b"{}", b"[]", b"\xff\xfe", b'{"id": 5, "type": "x"}', b'{"id": "a"}'])
def test_what_is_no_event_is_unreadable(wrong: bytes) -> None:
    with pytest.raises(UnreadableEvent):
        decode_event(wrong)


def test_copies_are_the_same_event_and_nothing_else_is() -> None:
    one = decode_event(body())

    assert one.identity == decode_event(body(more="content")).identity
    others = [
        decode_event(body("e2")),
        decode_event(body(source="elsewhere")),
        signal(),
        signal("s2"),
        signal(profile="grace"),
        signal(configuration="c2"),
        signal(id_type="external"),
    ]
    assert len({event.identity for event in (one, *others)}) == 8
    assert signal().identity == signal().identity
    assert "\n" not in decode_event(body("e\n1")).identity


def test_a_signal_without_a_readable_profile_still_has_an_identity() -> None:
    assert decode_event(body("s", "signal.cart.add", profile=5)).identity


def test_an_event_is_acted_on_once_and_remembered_after_its_handler_returned() -> None:
    seen = Seen()
    remembered_then: list[bool] = []
    taking = journey(lambda event: remembered_then.append(event.identity in seen), seen=seen)

    outcomes = [taking.take(body(), no_pause).what for _ in range(3)]

    assert outcomes == ["handled", "repeated", "repeated"]
    assert remembered_then == [False]


def test_an_event_whose_handler_was_cut_off_is_acted_on_again() -> None:
    calls: list[str] = []

    def dies(event: Event) -> None:
        calls.append(event.id)
        if len(calls) == 1:
            raise KeyboardInterrupt

    taking = journey(dies)
    with pytest.raises(KeyboardInterrupt):
        taking.take(body(), no_pause)

    assert taking.take(body(), no_pause).what == "handled"
    assert calls == ["e1", "e1"]


def test_a_failing_handler_is_tried_with_growing_pauses_and_then_given_up() -> None:
    calls: list[str] = []
    pauses: list[float] = []

    def fails(event: Event) -> None:
        calls.append(event.id)
        raise ValueError("no such template")

    taking = journey(fails, attempts=8)
    outcome = taking.take(body(), pauses.append)

    assert (outcome.what, outcome.dead, outcome.reason) == ("dead", True, "ValueError: no such template")
    assert outcome.event is not None
    assert len(calls) == 8
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    assert decode_event(body()).identity not in taking.seen


def test_a_handler_that_recovers_in_time_has_handled_the_event() -> None:
    faults = [ValueError("away"), ValueError("still away")]
    pauses: list[float] = []

    def fails_at_first(_event: Event) -> None:
        if faults:
            raise faults.pop()

    outcome = journey(fails_at_first).take(body(), pauses.append)

    assert outcome.what == "handled"
    assert pauses == [1, 2]


def test_a_handler_may_ask_for_time_without_end_and_may_refuse_at_once() -> None:
    pauses: list[float] = []

    faults = [ValueError("once")]

    def waits(_event: Event) -> None:
        if len(pauses) < 20:
            raise Later(7.0)
        if faults:
            raise faults.pop()

    def refuses(_event: Event) -> None:
        raise Refused("unknown list")

    assert journey(waits, attempts=2).take(body(), pauses.append).what == "handled"
    assert pauses == [7.0] * 20 + [1]
    assert journey(refuses).take(body(), pauses.append).reason == "Refused: unknown list"
    assert len(pauses) == 21


def test_what_the_pause_raises_ends_the_taking_without_a_verdict() -> None:
    def stop(_seconds: float) -> None:
        raise Stopped

    def fails(_event: Event) -> None:
        raise ValueError

    taking = journey(fails)
    with pytest.raises(Stopped):
        taking.take(body(), stop)
    assert decode_event(body()).identity not in taking.seen


def test_the_first_handler_that_matches_is_called_and_an_event_without_one_is_passed_over() -> None:
    called: list[str] = []
    handlers = {
        "moment.cart_abandon": lambda _event: called.append("exact"),
        "moment.*": lambda _event: called.append("any"),
        "signal.#": lambda _event: called.append("signal"),
    }
    taking = Journey(handlers)

    whats = [
        taking.take(body(str(number), type), no_pause).what
        for number, type in enumerate(
            ["moment.cart_abandon", "moment.welcome", "moment.cart_abandon.recovered", "signal.cart.add"]
        )
    ]

    assert whats == ["handled", "handled", "ignored", "handled"]
    assert called == ["exact", "any", "signal"]


def test_an_unreadable_message_is_dead() -> None:
    outcome = journey(lambda _event: None).take(b"{", no_pause)

    assert isinstance(outcome, Outcome)
    assert outcome.dead
    assert outcome.event is None
    assert outcome.reason.startswith("unreadable: ")


def test_the_oldest_identities_are_forgotten_beyond_the_limit() -> None:
    seen = Seen(limit=2, known=["a", "b", "c"])

    seen.add("d")
    seen.add("d")

    assert ["a" in seen, "b" in seen, "c" in seen, "d" in seen] == [False, False, True, True]


def test_an_identity_that_cannot_be_written_down_is_not_remembered() -> None:
    def full(_identity: str) -> None:
        raise OSError("no space left")

    seen = Seen(keep=full)
    with pytest.raises(OSError, match="no space"):
        seen.add("a")

    assert "a" not in seen


def test_the_file_of_identities_survives_a_restart_and_a_torn_last_line(tmp_path: Path) -> None:
    path = tmp_path / "seen"
    with remembered(path, limit=3) as seen:
        for identity in "abcd":
            seen.add(identity)
    assert path.read_text().splitlines()[-3:] == ["b", "c", "d"]
    with path.open("a") as file:
        file.write("to")

    with remembered(path, limit=3) as again:
        known = [identity in again for identity in ("a", "b", "c", "d", "to")]
        again.add("e")

    assert known == [False, True, True, True, False]
    assert path.read_text() == "b\nc\nd\ne\n"
    assert [each.name for each in tmp_path.iterdir()] == ["seen"]


def test_the_file_of_identities_does_not_grow_without_end(tmp_path: Path) -> None:
    path = tmp_path / "seen"
    lengths = []

    with remembered(path, limit=10) as seen:
        for number in range(95):
            seen.add(str(number))
            lengths.append(len(path.read_text().splitlines()))

    assert max(lengths) < 20
    assert path.read_text().splitlines()[-10:] == [str(number) for number in range(85, 95)]
    with remembered(path, limit=10) as again:
        assert [number for number in range(95) if str(number) in again] == list(range(85, 95))


def test_without_a_file_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with remembered(None) as seen:
        seen.add("a")

    assert list(tmp_path.iterdir()) == []


def test_a_journeys_queue_drops_its_head_and_never_refuses_a_publish() -> None:
    for queue in (journey_queue("j"), journey_queue("j", single=True, dead=True), dead_queue("j")):
        arguments = queue_arguments(queue)
        assert arguments["x-overflow"] == "drop-head"
        assert arguments["x-max-length"] > 0
        assert arguments["x-queue-type"] == "quorum"
    assert queue_arguments(journey_queue("j", single=True, dead=True)) | {} == {
        "x-queue-type": "quorum",
        "x-delivery-limit": 1000,
        "x-single-active-consumer": True,
        "x-max-length": 1_000_000,
        "x-overflow": "drop-head",
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": "j.dead",
        "x-dead-letter-strategy": "at-most-once",
    }
