"""What the preview tells is what then happens, on both databases (DOMAIN §5)."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from contracts.signals import Item
from contracts.times import DAY, HOUR, MINUTE, SECOND
from services.trigger.engine.state import decode_process
from services.trigger.engine.waits import due_of
from services.trigger.preview import Preview
from tests.support.desk import Desk

MANY = 10_000
A_FIFTH = 2_000
"""On PostgreSQL, where a test database is slower to fill."""


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    made = Desk(database_url)
    yield made
    assert made.differences() == []
    made.close()


def test_ten_thousand_waits_do_what_was_foretold_when_two_hours_become_a_minute(desk: Desk) -> None:
    """Nine in ten were quiet for more than a minute; some are of customers who came back, early in the index."""
    many = A_FIFTH if desk.rows.postgresql else MANY
    desk.run(since=desk.now - DAY, duration="PT2H")
    chance = random.Random(7)
    times = sorted(desk.now - chance.randrange(10 * MINUTE) for _ in range(many))
    signals = [desk.signal(f"u{n:05}", received=at) for n, at in enumerate(times)]
    again = [desk.signal(f"u{n:05}", received=times[n] + chance.randrange(SECOND)) for n in range(0, many, 50)]
    desk.apply(sorted([*signals, *again], key=lambda signal: signal.received_at))
    last = {signal.profile: signal.time for signal in sorted([*signals, *again], key=lambda signal: signal.time)}
    desk.clock.set(max(last.values()) + 1)
    edited = desk.now
    quiet = [name for name, at in sorted(last.items(), key=lambda pair: pair[1]) if at + MINUTE <= edited]

    foretold = desk.preview({"duration": "PT1M"})

    assert foretold == Preview(
        as_of=edited,
        pending=many,
        moved=many,
        earlier=many,
        due_at_once=len(quiet),
        spread_until=edited + MINUTE,
        raises_before=0,
        raises_after=many,
    )
    desk.keep(desk.edited(duration="PT1M"))
    dues = {name: due for due, name in desk.dues()}
    assert [(dues[name], name) for name in quiet] == [
        (edited + MINUTE * (place + 1) // len(quiet), name) for place, name in enumerate(quiet)
    ]
    assert all(dues[name] == at + MINUTE for name, at in last.items() if at + MINUTE > edited)
    raised = {}
    for second in range(1, 62):
        desk.clock.set(edited + second * SECOND)
        raised[second] = desk.fire()
    assert sum(raised.values()) == many
    assert all(raised[second] >= len(quiet) // 60 for second in range(1, 61))
    assert [(name, due) for name, kept, _, due in desk.outcomes() if kept] == sorted(
        ((name, due) for name, due in dues.items()), key=lambda pair: (pair[1], pair[0])
    )


def mixed(desk: Desk) -> None:
    """Waits of all sorts: cheap ones, repeated ones, of one customer, emptied after their due, late, already given."""
    desk.run(
        since=desk.now - 3 * DAY,
        duration="PT2H",
        minimumValue={"amount": 5, "currency": "EUR"},
        repeat="once",
        coolDown="PT3H",
    )
    chance = random.Random(3)
    for _ in range(8):
        for n in range(40):
            at = desk.now - chance.randrange(3 * MINUTE)
            item = Item(product_id="p", price=chance.choice((1.0, 10.0)), currency="EUR", category="mugs")
            kind = chance.choice(("cart/add", "cart/replace", "cart/add", "cart/remove", "cart/purchase"))
            signal = desk.signal(f"u{n % 25}", kind, at=at, items=[item], cart=chance.choice("abc"))
            desk.apply([signal])
            desk.clock.advance(chance.randrange(20 * SECOND))
        desk.clock.advance(25 * MINUTE)
        desk.fire()


CHANGES = [
    {"duration": "PT1M"},
    {"duration": "PT100M"},
    {"duration": "P1D"},
    {"duration": "PT10M", "coolDown": None},
    {"minimumValue": None, "repeat": "on_change"},
    {"maximumWait": "PT1H"},
    {"duration": "PT20M", "categories": ["lamps"]},
    {"quietHours": {"zone": "Europe/Paris", "from": "00:00", "to": "23:59"}},
]


@pytest.mark.parametrize("change", CHANGES, ids="+".join)
def test_raises_and_moves_that_were_foretold_come_about(desk: Desk, change: dict[str, object]) -> None:
    mixed(desk)
    before = {(key, number): due for key, number, due in true_dues(desk)}
    raised = len([1 for _, kept, _, _ in desk.outcomes() if kept])
    foretold = desk.preview(change)

    desk.keep(desk.edited(**change))

    after = {(key, number): due for key, number, due in true_dues(desk)}
    assert foretold.pending == len(before) == len(after) > 30
    assert foretold.moved == sum(before[wait] != after[wait] for wait in before)
    assert foretold.earlier == sum(after[wait] < before[wait] for wait in before)
    assert foretold.later == foretold.moved - foretold.earlier
    assert foretold.due_at_once == desk.read("SELECT count(*) FROM retimed")[0][0]
    for _ in range(60):
        desk.clock.advance(MINUTE)
        desk.fire()
    assert foretold.raises_after == len([1 for _, kept, _, _ in desk.outcomes() if kept]) - raised


def test_raises_without_a_change_are_foretold_too(desk: Desk) -> None:
    mixed(desk)
    raised = len([1 for _, kept, _, _ in desk.outcomes() if kept])
    foretold = desk.preview({"duration": "P2D"})

    for _ in range(60):
        desk.clock.advance(MINUTE)
        desk.fire()

    assert foretold.raises_before == len([1 for _, kept, _, _ in desk.outcomes() if kept]) - raised > 0
    assert foretold.raises_after == 0


@pytest.mark.parametrize("status", ["stopped", "archived"])
def test_a_stop_is_foretold_to_suppress_all_waits_and_raise_nothing(desk: Desk, status: str) -> None:
    mixed(desk)
    foretold = desk.preview(status=status)  # type: ignore[arg-type]

    desk.keep(desk.changed(status=status, stopped_at=desk.now))

    stopped = [reason for _, _, reason, _ in desk.outcomes()].count("stopped")
    assert (foretold.suppressed, foretold.pending) == (stopped, stopped)
    assert (foretold.raises_after, foretold.moved, foretold.due_at_once) == (0, 0, 0)
    assert foretold.raises_before > 0


def test_of_very_many_waits_a_sample_is_looked_at(desk: Desk) -> None:
    desk.run(since=desk.now - DAY, duration="PT2H")
    half = [desk.signal(f"old{n}", received=desk.now - HOUR + n) for n in range(1000)]
    desk.apply([*half, *(desk.signal(f"new{n}") for n in range(1000))])
    desk.clock.advance(SECOND)

    foretold = desk.preview({"duration": "PT1M"}, most=500)

    assert not foretold.exact
    assert (foretold.pending, foretold.moved, foretold.raises_after) == (2000, 2000, 2000)
    assert 800 < foretold.due_at_once < 1200
    assert desk.preview({"duration": "PT1M"}).due_at_once == 1000


def test_a_moment_without_waits_has_nothing_to_move(desk: Desk) -> None:
    desk.run(duration="PT2H")

    assert desk.preview({"duration": "PT1M"}) == Preview(as_of=desk.now, pending=0)
    assert desk.preview(status="stopped") == Preview(as_of=desk.now, pending=0)


def true_dues(desk: Desk) -> list[tuple[bytes, int, int]]:
    """(process, number of the wait, due) of every wait; the index may hold an earlier instant."""
    found = []
    moment = desk.registry.moment("m1")
    assert moment is not None
    for key, head in desk.read("SELECT key, head FROM processes"):
        track = decode_process(bytes(head)).tracks.get("m1")
        waits = track.waits if track is not None else []
        found += [(bytes(key), wait.number, due_of(moment, wait)) for wait in waits]
    return found
