"""Whatever comes of anonymous customers in whatever batches: each signal goes to one person, once, or is held."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from contracts.signals import ProfileReference, Reference, Signal, SignalData, decode_signal, encode_signal
from contracts.stitching import ANONYMOUS, Identified, decode_stitched
from contracts.times import DAY, SECOND, to_datetime
from contracts.topology import JOURNEYS, PARTITIONS
from services.trigger.engine.application import ProfileId
from services.trigger.stitching import Anonymous, Stitcher, anonymous_arrival, owner_of, stitched_at
from services.trigger.store.anonymous import MOST_HELD, MOST_LINKS, Link, erase_anonymous, forget_anonymous
from services.trigger.store.keys import profile_key
from services.trigger.store.migrations import MIGRATIONS
from services.trigger.store.rows import Rows
from shared.clock import ManualClock
from shared.outbox import Outbox
from shared.store import close_database, connected, migrate, open_database
from tests.oracle.budget import drawn

BASE = 1_700_000_000 * SECOND


@dataclass(frozen=True, slots=True)
class Told:
    """A device is a person from `time` on; received at `at`, seconds."""

    device: str
    person: str
    time: int
    at: int


@dataclass(frozen=True, slots=True)
class Sent:
    """A signal of a device."""

    device: str
    name: str
    time: int
    at: int


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rows]:
    """One database; each example empties it."""
    database = open_database(f"sqlite:///{tmp_path_factory.mktemp('stitching')}/trigger.db", schema="moments_trigger")
    migrate(database, MIGRATIONS)
    with connected(database):
        yield Rows(database)
    close_database(database)


def body_of(sent: Sent, size: int = 1) -> bytes:
    data = SignalData(
        signal="cart/add",
        audience_configuration=Reference("c1"),
        audience=Reference("a"),
        profile=ProfileReference(ANONYMOUS, sent.device),
        received_at=to_datetime(BASE + sent.at * SECOND),
        touchpoint="web",
        attributes={"text": "x" * size},
    )
    return encode_signal(id=sent.name, source="web", time=BASE + sent.time * SECOND, data=data)


def arrival_of(each: Told | Sent, size: int = 1) -> Anonymous:
    if isinstance(each, Sent):
        body = body_of(each, size)
        return anonymous_arrival(0, decode_signal(body), body)
    told = Identified(
        configuration="c1",
        anonymous=each.device,
        id_type="external",
        profile=each.person,
        time=BASE + each.time * SECOND,
        at=BASE + each.at * SECOND,
    )
    return anonymous_arrival(0, told, b"")


@dataclass(slots=True)
class Bench:
    """The stitcher on an empty database, and what it has handed on."""

    rows: Rows
    now: int = BASE
    suppressed: str = ""
    erased_at: int = -1

    def __post_init__(self) -> None:
        for table in ("anonymous_signals", "anonymous_links", "anonymous_counts", "outbox"):
            self.rows.execute(f"DELETE FROM {table}")

    def take(self, batch: Sequence[Told | Sent], size: int = 1) -> None:
        outbox = Outbox(self.rows.database, ManualClock(self.now))
        with self.rows.database.atomic():
            stitcher = Stitcher(outbox, 4, self._is_erased, lambda identity: identity.profile == self.suppressed)
            stitcher.take(self.rows, [arrival_of(each, size) for each in batch], self.now)

    def _is_erased(self, _rows: Rows, identity: ProfileId, at: int) -> bool:
        return identity.profile == "erased" or at <= BASE + self.erased_at * SECOND

    def bundles(self) -> list[list[Signal]]:
        sql = "SELECT body FROM outbox WHERE exchange = ? ORDER BY id"
        found = [decode_stitched(bytes(body)) for (body,) in self.rows.execute(sql, (PARTITIONS,))]
        return [[decode_signal(bytes(raw)) for raw in each.data.signals] for each in found]

    def handed(self) -> dict[str, list[str]]:
        """Signal → the people whom it was handed to."""
        found: dict[str, list[str]] = defaultdict(list)
        for bundle in self.bundles():
            for signal in bundle:
                found[signal.id].append(signal.profile)
        return found

    def held(self) -> int:
        return int(self.rows.execute("SELECT count(*) FROM anonymous_signals WHERE handed_at IS NULL")[0][0])

    def counts(self) -> Counter[str]:
        return Counter(dict(self.rows.execute("SELECT counter, value FROM anonymous_counts")))


times = st.integers(0, 9)
told = st.builds(Told, st.sampled_from("xy"), st.sampled_from(("ada", "ada", "bob", "erased")), times, times)


@st.composite
def sent(draw: st.DrawFn) -> Sent:
    """A signal of a device, mostly received later."""
    device, number, time, late = draw(st.sampled_from("xy")), draw(times), draw(times), draw(times)
    return Sent(device, f"{device}{number}", time, time + late)


batches = st.lists(st.lists(st.one_of(sent(), sent(), told), max_size=6), max_size=6)


@drawn(60)
@given(batches=batches)
def test_each_signal_goes_to_one_person_once_or_is_held(rows: Rows, batches: list[list[Told | Sent]]) -> None:
    bench = Bench(rows)
    known: set[str] = set()
    names: dict[str, str] = {}
    for batch in [*batches, *batches]:  # everything is repeated once
        bench.take(batch)
        known |= {each.device for each in batch if isinstance(each, Told) and each.person != "erased"}
        names |= {each.name: each.device for each in batch if isinstance(each, Sent)}
        handed = bench.handed()

        assert {name for name, device in names.items() if device in known} == set(handed)
        assert all(len(people) == 1 for people in handed.values())
        assert bench.held() == sum(device not in known for device in names.values())
        assert "erased" not in {person for people in handed.values() for person in people}

    counts = bench.counts()
    event(f"people: {min(len({p[0] for p in bench.handed().values()}), 2)}")
    assert counts["held"] - counts["stitched"] == bench.held()
    assert counts["stitched"] + counts["forwarded"] == len(bench.handed())
    journeys = rows.execute("SELECT message_id, routing_key FROM outbox WHERE exchange = ?", (JOURNEYS,))
    assert Counter(name for name, _ in journeys) == Counter(list(bench.handed()))


def test_what_is_handed_on_at_once_goes_in_one_message_and_says_since_when_it_is_known(rows: Rows) -> None:
    bench = Bench(rows)

    bench.take([Sent("x", "a", 1, 1), Sent("x", "b", 2, 2)])
    bench.take([Told("x", "ada", 5, 6)])
    bench.take([Sent("x", "c", 7, 7), Sent("x", "d", 4, 9), Sent("x", "e", 5, 5)])

    first, second = bench.bundles()
    assert [(each.id, each.stitched_at - BASE) for each in first] == [("a", 6 * SECOND), ("b", 6 * SECOND)]
    assert {each.id: each.stitched_at and each.stitched_at - BASE for each in second} == {
        "c": 0,  # sent when it was known
        "d": 6 * SECOND,  # happened before
        "e": 6 * SECOND,  # received before
    }
    assert {each.data.anonymous_id for each in first} == {"x"}


def test_a_signal_belongs_to_the_latest_person_of_its_time_else_to_the_first() -> None:
    links = [
        Link(time=time, at=time + 1, seen_at=time, identity=ProfileId("c", "external", person), anonymous="x")
        for time, person in ((5, "ada"), (8, "bob"))
    ]

    owners = [owner_of(links, time).identity.profile for time in (1, 5, 7, 8, 9)]  # type: ignore[union-attr]

    assert owners == ["ada", "ada", "ada", "bob", "bob"]
    assert owner_of([], 1) is None
    assert [stitched_at(links[0], *each) for each in ((4, 9), (5, 5), (5, 6))] == [6, 6, None]


def test_what_is_held_is_bounded_in_number_and_bytes_and_the_latest_stay(rows: Rows) -> None:
    bench = Bench(rows)
    many = [Sent("x", f"s{n:03}", n, n) for n in range(MOST_HELD + 3)]

    bench.take(list(reversed(many)))
    assert bench.held() == MOST_HELD
    bench.take([Sent("y", f"l{n}", n, n) for n in range(30)], size=50_000)
    bench.take([Told("x", "ada", 5, 6), Told("y", "bob", 5, 6)])

    assert bench.counts()["dropped"] == 3 + 11
    assert set(bench.handed()) == {each.name for each in many[3:]} | {f"l{n}" for n in range(11, 30)}


def test_what_is_old_is_forgotten_and_what_is_used_is_kept(rows: Rows) -> None:
    bench = Bench(rows, now=BASE + 40 * DAY)
    bench.take([Sent("x", "a", 1, 1), Told("y", "ada", 1, 1), Sent("y", "b", 2, 2), Told("z", "bob", 1, 1)])
    bench.take([Sent("y", "c", 39 * 86_400, 39 * 86_400)])

    forgotten = forget_anonymous(rows, BASE + 10 * DAY, bench.now)

    assert forgotten == (1, 1)  # the held signal; the link of z
    assert rows.execute("SELECT anonymous FROM anonymous_links") == [("y",)]
    assert forget_anonymous(rows, BASE, bench.now + 1) == (0, 2)


def test_an_erased_profile_loses_its_anonymous_ids_and_they_begin_anew(rows: Rows) -> None:
    bench = Bench(rows)
    bench.take([Told("x", "ada", 1, 1), Sent("x", "a", 2, 2)])

    erased = erase_anonymous(rows, profile_key(ProfileId("c1", "external", "ada")))
    bench.take([Sent("x", "a", 2, 2), Sent("x", "b", 3, 3)])

    assert erased == 1
    assert (set(bench.handed()), bench.held()) == ({"a"}, 1)


def test_nothing_joins_a_profile_whose_signals_are_refused(rows: Rows) -> None:
    bench = Bench(rows)
    bench.take([Told("x", "ada", 1, 1), Told("y", "bob", 1, 1)])

    bench.suppressed = "ada"
    bench.take([Sent("x", "a", 2, 2), Sent("y", "b", 2, 2), Sent("z", "c", 2, 2), Told("z", "ada", 3, 3)])

    assert (set(bench.handed()), bench.held()) == ({"b"}, 0)
    bench.suppressed = ""
    bench.take([Sent("x", "a", 2, 2), Sent("x", "d", 4, 4)])
    assert set(bench.handed()) == {"b", "d"}


def test_nobody_hears_of_what_was_held_before_the_profile_was_erased_that_it_joins(rows: Rows) -> None:
    bench = Bench(rows)
    bench.take([Sent("x", "before", 2, 2), Sent("x", "since", 6, 6)])

    bench.erased_at = 5
    bench.take([Told("x", "ada", 7, 7)])

    assert set(bench.handed()) == {"since"}
    journeys = rows.execute("SELECT body FROM outbox WHERE exchange = ?", (JOURNEYS,))
    assert [decode_signal(bytes(body)).id for (body,) in journeys] == ["since"]


def test_one_anonymous_id_is_a_bounded_number_of_people_also_at_one_time(rows: Rows) -> None:
    bench = Bench(rows)

    bench.take([Told("x", f"p{n}", 1, n) for n in range(3 * MOST_LINKS)])

    found = rows.execute("SELECT profile FROM anonymous_links ORDER BY at")
    assert found == [(f"p{n}",) for n in range(2 * MOST_LINKS, 3 * MOST_LINKS)]
