"""From where something may join a profile: what is remembered, for how long, and what an older release left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec
import pytest

from contracts.stitching import ANONYMOUS
from contracts.times import DAY
from contracts.topology import JOURNEYS, PARTITIONS, partition_of
from services.trigger.engine.application import ProfileId
from services.trigger.joining import resolve_old_links
from services.trigger.store.anonymous import Link, add_links, anonymous_key
from services.trigger.store.erasures import REQUESTED, Erasure, add_erasure
from services.trigger.store.keys import profile_key
from services.trigger.store.migrations import MIGRATIONS
from services.trigger.store.rows import Rows
from services.trigger.store.sources import (
    UNKNOWN,
    Source,
    erase_sources,
    first_forward,
    forget_sources,
    is_any_source,
    last_forward,
    note_sources,
    sources_of,
)
from services.trigger.store.waits import DueWait, due_waits, next_due
from shared.broker import Message
from shared.clock import ManualClock
from shared.outbox import Outbox
from shared.store import close_database, connected, migrate, open_database

NOW = 1_790_000_000_000_000
ADA, BOB = (ProfileId("c1", "external", name) for name in ("ada", "bob"))


@pytest.fixture
def rows(database_url: str) -> Iterator[Rows]:
    """Trigger's tables in an empty database, of either kind."""
    database = open_database(database_url, schema="moments_trigger")
    migrate(database, MIGRATIONS)
    with connected(database):
        yield Rows(database)
    close_database(database)


def link(anonymous: str, identity: ProfileId) -> tuple[bytes, Link]:
    """An anonymous id is somebody."""
    made = Link(time=NOW, at=NOW, seen_at=NOW, identity=identity, anonymous=anonymous)
    return anonymous_key("c1", anonymous), made


def standing(rows: Rows) -> set[tuple[bytes, int]]:
    """Profile and partition of each source."""
    found = rows.execute("SELECT profile_key, partition FROM anonymous_sources")
    return {(bytes(profile), partition) for profile, partition in found}


def test_a_process_has_the_sources_of_its_profile(rows: Rows) -> None:
    assert not is_any_source(rows)
    note_sources(rows, [Source(profile_key(ADA), 3, NOW), Source(profile_key(ADA), 3, NOW - 1)])
    note_sources(rows, [Source(profile_key(ADA), 1, NOW), Source(profile_key(ADA), 3, NOW + 2 * DAY)])
    for identity in (ADA, BOB):
        rows.execute(
            "INSERT INTO processes (key, profile_key, partition, configuration, id_type, profile, kind, process_id,"
            " last_at, head) VALUES (?, ?, 0, 'c1', 'external', 'x', 'cart', 'k', 0, ?)",
            (identity.profile.encode(), profile_key(identity), b""),
        )

    assert is_any_source(rows)
    assert sources_of(rows, [b"ada", b"bob", b"nobody"]) == {b"ada": {1, 3}}
    seen = dict(rows.execute("SELECT partition, seen_at FROM anonymous_sources"))
    assert seen == {1: NOW, 3: NOW + 2 * DAY}


def test_links_of_an_older_release_get_their_sources_at_the_start(rows: Rows) -> None:
    add_links(rows, [link("a", ADA), link("b", ADA), link("c", BOB)])
    for identity in (ADA, BOB):
        note_sources(rows, [Source(profile_key(identity), UNKNOWN, NOW)])

    resolve_old_links(rows, rows.database.atomic, 64)

    places = {name: partition_of("c1", ANONYMOUS, name, 64) for name in "abc"}
    assert standing(rows) == {
        (profile_key(ADA), places["a"]),
        (profile_key(ADA), places["b"]),
        (profile_key(BOB), places["c"]),
    }


def test_the_migration_marks_every_profile_that_is_linked(database_url: str) -> None:
    database = open_database(database_url, schema="moments_trigger")
    migrate(database, [step for step in MIGRATIONS if step.version < 27])
    with connected(database):
        rows = Rows(database)
        add_links(rows, [link("a", ADA), link("b", ADA), link("c", BOB)])
    migrate(database, MIGRATIONS)

    with connected(database):
        assert standing(rows) == {(profile_key(ADA), UNKNOWN), (profile_key(BOB), UNKNOWN)}
    close_database(database)


def test_a_source_is_forgotten_when_it_is_old_and_nothing_is_linked(rows: Rows) -> None:
    note_sources(rows, [Source(profile_key(ADA), 1, NOW), Source(profile_key(BOB), 2, NOW)])
    add_links(rows, [link("a", ADA)])

    assert forget_sources(rows, NOW, NOW + 9) == (0, 0)
    assert forget_sources(rows, NOW + 1, NOW + 9) == (2, 1)
    assert forget_sources(rows, NOW + 1, NOW + 9) == (0, 0)
    assert standing(rows) == {(profile_key(ADA), 1)}


def test_an_erased_profile_has_no_sources_but_those_told_since(rows: Rows) -> None:
    note_sources(rows, [Source(profile_key(ADA), 1, NOW), Source(profile_key(ADA), 2, NOW + 2)])
    note_sources(rows, [Source(profile_key(BOB), 1, NOW)])

    assert erase_sources(rows, profile_key(ADA), NOW + 1) == 1
    assert standing(rows) == {(profile_key(ADA), 2), (profile_key(BOB), 1)}


def test_a_reply_is_behind_messages_to_partitions_that_are_not_sent(rows: Rows) -> None:
    outbox = Outbox(rows.database, ManualClock(NOW))
    for exchange, partition in ((PARTITIONS, 1), (PARTITIONS, 2), (JOURNEYS, 1)):
        outbox.add(
            [Message(exchange=exchange, routing_key="x", body=b"", message_id="m", optional=True)], partition=partition
        )

    place = last_forward(rows, 1)
    assert place is not None
    assert last_forward(rows, 0) is first_forward(rows, 0) is None
    assert first_forward(rows, 1) == place
    outbox.add([Message(exchange=PARTITIONS, routing_key="x", body=b"", message_id="m")], partition=1)
    assert first_forward(rows, 1) == place
    rows.execute("UPDATE outbox SET sent_at = 1 WHERE id = ?", (place,))
    assert first_forward(rows, 1) == last_forward(rows, 1) == place + 3


@pytest.mark.parametrize("look", [first_forward, last_forward])
def test_messages_to_journeys_that_wait_are_not_looked_through(
    rows: Rows, look: Callable[[Rows, int], int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many raises wait while the broker was away: a look must not take longer for that."""
    outbox = Outbox(rows.database, ManualClock(NOW))
    message = Message(exchange=JOURNEYS, routing_key="x", body=b"", message_id="m")
    outbox.add([message] * 3_000, partition=1)
    outbox.add([msgspec.structs.replace(message, exchange=PARTITIONS)], partition=2)
    rows.execute("ANALYZE")
    asked: list[tuple[str, Sequence[object]]] = []
    plain = rows.execute

    def execute(sql: str, parameters: Sequence[object] = ()) -> list[tuple[object, ...]]:
        asked.append((sql, parameters))
        return plain(sql, parameters)

    monkeypatch.setattr(rows, "execute", execute)
    look(rows, 2)
    ((sql, parameters),) = asked
    plan = str(plain(("EXPLAIN " if rows.postgresql else "EXPLAIN QUERY PLAN ") + sql, parameters))

    assert "outbox_forwards" in plan


def test_due_waits_go_on_behind_one(rows: Rows) -> None:
    keys = [(b"b", "m", 1), (b"a", "m", 2), (b"a", "m", 1), (b"c", "m", 1), (b"z", "m", 1)]
    for key, due in zip(keys, (5, 5, 5, 6, 9), strict=True):
        rows.execute(
            "INSERT INTO waits (process_key, moment_id, number, partition, due_at) VALUES (?, ?, ?, 1, ?)", (*key, due)
        )

    found: list[DueWait] = []
    while page := due_waits(rows, 1, 8, 2, found[-1] if found else None):
        found += page

    assert [row.key for row in found] == [keys[2], keys[1], keys[0], keys[3]]
    assert next_due(rows, [0, 1]) == {1: 5}
    assert next_due(rows, [0, 1], {1: 5}) == {1: 6}


def test_what_is_told_while_an_erasure_is_underway_outlives_it(rows: Rows) -> None:
    """Even when the same was told shortly before."""
    mine = profile_key(ADA)
    note_sources(rows, [Source(mine, 1, NOW), Source(profile_key(BOB), 1, NOW)])
    request = Erasure(
        **{"id": "e", "subject": b"s", "at": NOW + 1, "state": REQUESTED, "partition": 0, "configuration": "c1"},
        **{"id_type": "external", "profile": "ada", "profile_key": mine, "requested_by": "a test", "suppress": False},
    )
    add_erasure(rows, request)
    note_sources(rows, [Source(mine, 1, NOW + 2), Source(profile_key(BOB), 1, NOW + 2)])

    assert erase_sources(rows, mine, NOW + 1) == 0
    assert erase_sources(rows, profile_key(BOB), NOW + 1) == 1
    assert standing(rows) == {(mine, 1)}


def test_links_that_an_older_release_made_beside_this_one_get_their_sources_at_the_next_start(rows: Rows) -> None:
    note_sources(rows, [Source(profile_key(BOB), 3, NOW)])
    add_links(rows, [link("a", ADA), link("c", BOB)])

    resolve_old_links(rows, rows.database.atomic, 64)
    resolve_old_links(rows, rows.database.atomic, 64)

    found = {(profile_key(ADA), partition_of("c1", ANONYMOUS, "a", 64))} if rows.postgresql else set()
    assert standing(rows) == {(profile_key(BOB), 3), *found}
