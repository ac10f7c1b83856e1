"""What names an erased customer without an index, or is written while the tombstone is taken; on both databases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from contracts.configurations import ConfigurationState
from contracts.erasures import ErasureDone
from contracts.signals import ProfileReference, Reference, SignalData, decode_signal, encode_signal
from contracts.stitching import ANONYMOUS, STITCHED_ID_PREFIX, Identified
from contracts.times import SECOND, to_datetime
from contracts.topology import ERASURE_READERS
from contracts.wire import SignalRefused, encode
from services.cli.program import moments
from services.trigger import answers as answering
from services.trigger.api.erasures import Erasures
from services.trigger.engine.application import ProfileId
from services.trigger.engine.membership import membership_of
from services.trigger.erasing import Eraser
from services.trigger.faltering import FIRST_PAUSE
from services.trigger.gauges import TriggerGauges
from services.trigger.housekeeping.house import House
from services.trigger.registry import Registry
from services.trigger.stitching import Anonymous, Stitcher, anonymous_arrival
from services.trigger.store import sweeping as sweeping_store
from services.trigger.store.anonymous import Link, add_links, anonymous_key, held_signal, hold
from services.trigger.store.backtests import add_job, claim_next, finish_job
from services.trigger.store.cache import Cache
from services.trigger.store.erasures import find_erasure
from services.trigger.store.keys import profile_key
from services.trigger.store.migrations import MIGRATIONS
from services.trigger.store.records import save_configuration
from services.trigger.store.refused import keep_refusals
from services.trigger.store.rows import Rows
from services.trigger.store.shelf import Arrival
from services.trigger.store.sources import Source, note_sources
from services.trigger.sweeping import AGAIN_AFTER, erasures_to_go_on_with, sweep
from services.trigger.webhooks.store.deliveries import DeliveryRows, Taken
from shared.broker import Delivery, Message
from shared.clock import ManualClock
from shared.outbox import Outbox
from shared.settings import Settings
from shared.store import close_database, connected, migrate, open_database

START = 1_790_000_000 * SECOND
ADA = ProfileId("c1", "email", "ada@example.com")
BOB = ProfileId("c1", "email", "bob@example.com")


class Place:
    """Trigger's database, with what is kept of two customers."""

    def __init__(self, url: str, folder: Path) -> None:
        self.settings = Settings.from_environment(
            {"MOMENTS_DATA": str(folder), "MOMENTS_TRIGGER_DATABASE_URL": url, "MOMENTS_SECRET_PEPPER": "p" * 32}
        )
        self.clock = ManualClock(START)
        self.database = open_database(self.settings.trigger_database_url, schema="moments_trigger")
        self.rows = Rows(self.database)
        migrate(self.database, MIGRATIONS)
        self.outbox = Outbox(self.database, self.clock)
        self.erasures = Erasures(self.rows, self.clock, self.settings.secret_pepper, self.settings.partitions)

    def erase(self, profile: ProfileId) -> str:
        """Ask for an erasure and take its tombstone."""
        erasure_id = str(self.erasures.request(profile, suppress=False, requested_by="a test")["id"])
        with self.database.atomic():
            Eraser(self.settings.secret_pepper, self.outbox).erase(self.rows, Cache(), erasure_id, self.clock.now())
        return erasure_id

    def sweep(self) -> None:
        """Look through the stores for those whose time has come."""
        house = House(self.rows, range(self.settings.partitions), Cache(), Registry(1), self.settings, self.clock.now())
        steps = sweep(house)
        while True:
            with self.database.atomic():
                if next(steps, None) is None:
                    return

    def answer(self, erasure_id: str, reader: str) -> None:
        """A service has erased what it kept."""
        done = ErasureDone(erasure=erasure_id, reader=reader, at=self.clock.now(), counts={"spool": 1})
        delivery = Delivery(
            queue="", tag=1, routing_key="", body=encode(done), message_id="", headers={}, redelivered=False
        )
        with self.database.atomic():
            answering._note(self.rows, delivery)

    def texts(self, name: str) -> list[str]:
        """The tables that hold a text, byte for byte."""
        tables = ("outbox", "refused", "webhook_deliveries", "backtests", "erasures", "erasure_counts")
        tables += ("anonymous_signals", "anonymous_links")
        found = []
        for table in tables:
            for row in self.rows.execute(f"SELECT * FROM {table}"):
                blobs = [bytes(value) for value in row if isinstance(value, bytes | memoryview)]
                if name in repr([*row, *blobs]):
                    found.append(table)
        return found


@pytest.fixture
def place(database_url: str, tmp_path: Path) -> Iterator[Place]:
    made = Place(database_url, tmp_path)
    with connected(made.database):
        save_configuration(made.rows, ConfigurationState(id="c1", version=1, name="Shop"))
        yield made
    close_database(made.database)


def event(profile: ProfileId) -> bytes:
    """An event about a customer."""
    whose = f'"profile":{{"idType":"email","id":"{profile.profile}"}},"audienceConfiguration":{{"id":"c1"}}'
    return f'{{"id":"e","source":"s","data":{{{whose}}}}}'.encode()


def refusal(name: str, at: int = START, **fields: Any) -> SignalRefused:
    """A refused signal."""
    return SignalRefused(id=name, at=at, status=422, code="invalid", reason="no", configuration="c1", **fields)


def fill(place: Place) -> None:
    """Everything that is found by looking through: sent messages, refusals, deliveries, back-tests."""
    rows = place.rows
    for profile in (ADA, BOB):
        place.outbox.add([Message(exchange="x", routing_key="moment.a", body=event(profile), message_id="m")])
    rows.execute("UPDATE outbox SET sent_at = ?", (START,))
    keep_refusals(
        rows,
        [
            refusal("1", id_type="email", profile=ADA.profile),
            refusal("2", id_type="email", profile=BOB.profile),
            refusal("3", source="mailto:ADA@Example.com"),
            refusal("4", source="ada"),
        ],
    )
    deliveries = DeliveryRows(rows)
    for profile in (ADA, BOB):
        taken = Taken(
            subscription_id="w",
            source="s",
            event_id="e",
            type="moment.a",
            profile_key=profile_key(profile),
            body=event(profile),
        )
        deliveries.add([taken], START)
        add_job(rows, f"job {profile.profile[:3]}", b"{}", START)
        claimed = claim_next(rows, "token", START)
        assert claimed is not None
        finish_job(rows, claimed.id, "token", START, result=b'{"id":"' + profile.profile.encode() + b'"}')


def test_whatever_names_the_erased_goes_and_everything_of_others_stays(place: Place) -> None:
    with place.database.atomic():
        fill(place)
    before = place.texts(BOB.profile)

    erasure_id = place.erase(ADA)
    place.sweep()

    assert sorted(set(place.texts("ada@example.com"))) == ["erasures", "outbox"]  # the row, and who is told of it
    assert "ADA@Example.com" not in repr(place.texts("ADA@Example.com"))
    assert place.texts(BOB.profile) == before
    assert len(place.rows.execute("SELECT 1 FROM refused")) == 2
    counts = place.erasures.receipt(erasure_id)["erased"]["trigger"]
    assert {store: n for store, n in counts.items() if n} == {
        "backtests": 1,
        "outbox": 1,
        "refused": 2,
        "webhook_deliveries": 1,
    }


def test_an_erasure_is_done_after_every_answer_and_a_look_that_began_later_and_then_names_nobody(place: Place) -> None:
    erasure_id = place.erase(ADA)
    place.rows.execute("UPDATE outbox SET sent_at = ?", (START,))
    place.sweep()
    place.answer(erasure_id, ERASURE_READERS[0])
    place.answer(erasure_id, ERASURE_READERS[0])
    for _ in range(3):
        place.clock.advance(AGAIN_AFTER + 1)
        place.sweep()
    waiting = place.erasures.receipt(erasure_id)
    assert (waiting["state"], waiting["awaited"]) == ("erased", [ERASURE_READERS[1]])
    assert waiting["erased"][ERASURE_READERS[0]] == {"spool": 1}

    place.answer(erasure_id, ERASURE_READERS[1])
    place.clock.advance(AGAIN_AFTER + 1)
    place.sweep()

    receipt = place.erasures.receipt(erasure_id)
    found = find_erasure(place.rows, erasure_id)
    assert receipt["state"] == "done"
    assert receipt["awaited"] == []
    assert found is not None
    assert (found.profile, found.profile_key) == (None, None)
    assert place.texts("ada@example.com") == []


def test_what_comes_of_a_customer_who_has_returned_is_not_touched_by_a_later_look(place: Place) -> None:
    place.erase(ADA)
    place.clock.advance(1)
    with place.database.atomic():
        at = place.clock.now()
        keep_refusals(place.rows, [refusal("1", at, id_type="email", profile=ADA.profile)])
        place.outbox.add([Message(exchange="x", routing_key="moment.a", body=event(ADA), message_id="m")])
        place.rows.execute("UPDATE outbox SET sent_at = ?", (at,))
    place.clock.advance(AGAIN_AFTER + 1)
    place.sweep()

    assert sorted(place.texts("ada@example.com")) == ["erasures", "outbox", "refused"]


def audited(place: Place, erasure_id: str, profile: str, *more: str) -> Result:
    """`moments audit erasure` over this place; the other services have no database yet."""
    environment = {
        "MOMENTS_DATA": str(place.settings.data),
        "MOMENTS_TRIGGER_DATABASE_URL": place.settings.trigger_database_url,
        "MOMENTS_SECRET_PEPPER": "p" * 32,
    }
    return CliRunner().invoke(moments, ["audit", "erasure", erasure_id, "--profile", profile, *more], env=environment)


def done(place: Place, profile: ProfileId) -> str:
    """An erasure from beginning to end."""
    erasure_id = place.erase(profile)
    place.rows.execute("UPDATE outbox SET sent_at = ? WHERE sent_at IS NULL", (place.clock.now(),))
    for reader in ERASURE_READERS:
        place.answer(erasure_id, reader)
    for _ in range(2):
        place.sweep()
        place.clock.advance(AGAIN_AFTER + 1)
    assert place.erasures.receipt(erasure_id)["state"] == "done"
    return erasure_id


def test_the_audit_of_an_erasure_finds_nothing_and_finds_what_is_put_anywhere(place: Place) -> None:
    with place.database.atomic():
        fill(place)
    other = done(place, BOB)
    erasure_id = done(place, ADA)

    clean = audited(place, erasure_id, "Ada@Example.com")
    wrong = audited(place, other, "Ada@Example.com")
    place.rows.execute("UPDATE workers SET name = 'x'")
    place.rows.execute("INSERT INTO workers VALUES ('of ADA@example.com', 1, '')")
    named = audited(place, erasure_id, "ada@example.com", "--json")
    place.rows.execute("DELETE FROM workers")
    place.rows.execute("INSERT INTO erased_signals VALUES (?, 1)", (b"x" + profile_key(ADA),))
    keyed = audited(place, erasure_id, "ada@example.com")
    place.rows.execute("DELETE FROM erased_signals")

    assert (clean.exit_code, wrong.exit_code, named.exit_code, keyed.exit_code) == (0, 1, 1, 1), clean.output
    assert "another customer" in wrong.output
    traces = json.loads(named.output.splitlines()[0])["traces"]
    assert {"where": "trigger: workers.name", "count": 1} in traces
    assert "trigger: erased_signals.key: 1" in keyed.output
    assert audited(place, erasure_id, "ada@example.com").exit_code == 0  # and it is gone from the file as well
    assert audited(place, "unknown", "ada@example.com").exit_code == 1


def test_an_erasure_that_is_not_done_fails_its_audit(place: Place) -> None:
    erasure_id = place.erase(ADA)

    assert audited(place, erasure_id, "ada@example.com").exit_code == 1


def test_anonymous_ids_and_what_is_held_of_them_with_the_name_are_gone(place: Place) -> None:
    now = place.clock.now()
    for number, whom in enumerate((ADA, BOB)):
        key = anonymous_key("c1", f"a{number}")
        link = Link(time=now, at=now, seen_at=now, identity=whom, anonymous=f"a{number}")
        with place.database.atomic():
            add_links(place.rows, [(key, link)])
            hold(place.rows, [held_signal(key, "web", "s", now, now, event(whom))])

    erasure_id = place.erase(ADA)
    with place.database.atomic():  # told while the tombstone was taken
        add_links(
            place.rows, [(anonymous_key("c1", "a2"), Link(time=now, at=now, seen_at=now, identity=ADA, anonymous="a2"))]
        )
        note_sources(place.rows, [Source(profile_key(whom), 3, now) for whom in (ADA, BOB)])
    assert "anonymous_links" in place.texts(ADA.profile)
    place.sweep()

    assert {"anonymous_signals", "anonymous_links"}.isdisjoint(place.texts(ADA.profile))
    assert {"anonymous_signals", "anonymous_links"} <= set(place.texts(BOB.profile))
    sources = place.rows.execute("SELECT profile_key FROM anonymous_sources")
    assert [bytes(whose) for (whose,) in sources] == [profile_key(BOB)]
    assert place.rows.execute(
        "SELECT count FROM erasure_counts WHERE erasure_id = ? AND store = 'anonymous'", (erasure_id,)
    ) == [(3,)]


def test_a_customer_who_was_erased_is_not_known_again_by_what_was_told_before(place: Place) -> None:
    eraser = Eraser(place.settings.secret_pepper, place.outbox)
    place.erase(ADA)

    at = place.clock.now()

    assert eraser.has_erased(place.rows, ADA, at)
    assert not eraser.has_erased(place.rows, ADA, at + 1)
    assert not eraser.has_erased(place.rows, BOB, at)


@pytest.mark.parametrize("known", [False, True], ids=["not known yet", "told to be Bob"])
def test_a_visitor_who_is_erased_is_gone_and_no_repeat_brings_anything_back(place: Place, known: bool) -> None:
    """By an anonymous id; what joined a customer stays the customer's, and so does what came since the request."""
    keep_refusals(place.rows, [refused_visitor("r-1", "a-1"), refused_visitor("r-2", "a-2")])
    visited(place, "a-1", "s1", "s2")
    visited(place, "a-2", "s1")
    if known:
        told(place, "a-1", BOB)

    erasure_id = place.erase(VISITOR)
    assert "refused" in place.texts("a-2")
    assert set(place.texts("a-1")) <= {"erasures", "outbox"}
    place.clock.advance(1)
    visited(place, "a-1", "s1", "s3", at=place.clock.now() - 1)
    visited(place, "a-1", "s1")
    told(place, "a-1", ADA, at=place.clock.now() - 1)
    visited(place, "a-1", "s4")
    with place.database.atomic():  # a replay of what was refused, underway meanwhile
        stitcher(place).take(place.rows, [arrival("a-1", "r-1", place.clock.now())], place.clock.now())

    assert held(place) == {("a-1", "s4"), ("a-2", "s1")}
    assert len(bundles(place)) == int(known)
    receipt = find_erasure(place.rows, erasure_id)
    assert receipt is not None
    assert receipt.dropped == 4
    for _ in ERASURE_READERS:
        place.sweep()
        place.clock.advance(AGAIN_AFTER)
    assert held(place) == {("a-1", "s4"), ("a-2", "s1")}


def test_who_a_visitor_is_joins_nothing_once_an_erasure_is_asked_for(place: Place) -> None:
    """The tombstone is behind it in the queue."""
    visited(place, "a-1", "s1")
    place.clock.advance(1)
    place.erasures.request(VISITOR, suppress=False, requested_by="a test")
    place.clock.advance(1)

    visited(place, "a-1", "s2")
    told(place, "a-1", BOB)

    (bundle,) = bundles(place)
    assert b'"id":"s2"' in bundle
    assert b'"id":"s1"' not in bundle


def test_what_a_visitor_sends_since_the_request_is_held_and_stays(place: Place) -> None:
    """Also of one who was told to be somebody, and while the tombstone is on its way."""
    told(place, "a-1", BOB)
    place.clock.advance(1)
    erasure_id = str(place.erasures.request(VISITOR, suppress=False, requested_by="a test")["id"])
    place.clock.advance(1)
    visited(place, "a-1", "s1")
    place.clock.advance(1)

    with place.database.atomic():
        eraser = Eraser(place.settings.secret_pepper, place.outbox)
        eraser.erase(place.rows, Cache(), erasure_id, place.clock.now())
    place.sweep()

    assert held(place) == {("a-1", "s1")}
    assert bundles(place) == []


def test_an_audit_of_a_visitor_says_where_the_id_still_stands(place: Place) -> None:
    visited(place, "a-visitor", "s1")
    told(place, "a-visitor", BOB)
    erasure_id = place.erase(ProfileId("c1", ANONYMOUS, "a-visitor"))

    said = audited(place, erasure_id, "a-visitor").output
    assert "trigger: outbox.body" in said
    assert "What joined a customer is that customer's" in said


VISITOR = ProfileId("c1", ANONYMOUS, "a-1")


def arrival(visitor: str, name: str, at: int) -> Anonymous:
    """A signal of a visitor, received at an instant."""
    data = SignalData(
        signal="page/view",
        audience_configuration=Reference("c1"),
        audience=Reference("a"),
        profile=ProfileReference(ANONYMOUS, visitor),
        received_at=to_datetime(at),
        touchpoint="web",
    )
    body = encode_signal(id=name, source="pk_1", time=at, data=data)
    return anonymous_arrival(0, decode_signal(body), body)


def stitcher(place: Place) -> Stitcher:
    """As the worker has it."""
    eraser = Eraser(place.settings.secret_pepper, place.outbox)
    return Stitcher(place.outbox, 4, eraser.has_erased, admit=eraser.admit_visitors)


def visited(place: Place, visitor: str, *names: str, at: int | None = None) -> None:
    """Signals of a visitor come."""
    at = place.clock.now() if at is None else at
    with place.database.atomic():
        stitcher(place).take(place.rows, [arrival(visitor, name, at) for name in names], place.clock.now())


def told(place: Place, visitor: str, whom: ProfileId, at: int | None = None) -> None:
    """It comes who a visitor is."""
    at = place.clock.now() if at is None else at
    who = Identified(configuration="c1", anonymous=visitor, id_type=whom.id_type, profile=whom.profile, time=at, at=at)
    with place.database.atomic():
        stitcher(place).take(place.rows, [anonymous_arrival(0, who, b"")], place.clock.now())


def held(place: Place) -> set[tuple[str, str]]:
    """Visitor and id of what is held."""
    rows = place.rows.execute("SELECT body FROM anonymous_signals WHERE handed_at IS NULL")
    signals = [decode_signal(bytes(body)) for (body,) in rows]
    return {(each.profile, each.id) for each in signals}


def bundles(place: Place) -> list[bytes]:
    """What joins customers, as it goes into their partitions."""
    sql = "SELECT body FROM outbox WHERE message_id LIKE ? ORDER BY id"
    return [bytes(body) for (body,) in place.rows.execute(sql, (f"{STITCHED_ID_PREFIX}%",))]


def refused_visitor(name: str, visitor: str) -> SignalRefused:
    """A signal of a visitor that was refused: of such a one no profile is told."""
    sent = {"id": name, "data": {"signal": "page/view", "idType": "anonymous", "anonymousId": visitor}}
    return refusal(name, signal=name, key="pk_1", sent=json.dumps(sent))


def test_a_value_that_stands_in_what_others_sent_takes_nothing_of_theirs(place: Place) -> None:
    now = place.clock.now()
    with place.database.atomic():
        hold(place.rows, [held_signal(anonymous_key("c1", "a1"), "web", "s", now, now, event(BOB))])
        keep_refusals(place.rows, [refusal("1", id_type="email", profile=BOB.profile)])

        save_configuration(place.rows, ConfigurationState(id="c2", version=1, name="Another shop"))
    for whom in (("c1", "external", "email"), ("c1", "email", "b@example.com"), ("c2", "email", BOB.profile)):
        place.erase(ProfileId(*whom))
    place.sweep()

    assert {"anonymous_signals", "refused"} <= set(place.texts(BOB.profile))


def test_however_many_are_erased_at_once_no_step_of_the_look_is_long(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.trigger.sweeping._LOOKS", 6)
    with place.database.atomic():
        keep_refusals(place.rows, [refusal(str(n), id_type="email", profile=ADA.profile) for n in range(7)])

    for whom in (BOB, ProfileId("c1", "email", "eve@example.com"), ProfileId("c1", "external", "7")):
        place.erase(whom)
    house = House(place.rows, range(place.settings.partitions), Cache(), Registry(1), place.settings, place.clock.now())

    # Five walks, of which that of the refused takes four steps, and a note of each erasure.
    assert sum(1 for _ in sweep(house)) == 5 + 3 + 3


def test_who_was_erased_is_known_to_the_eraser_without_reading_all_receipts_again(place: Place) -> None:
    eraser = Eraser(place.settings.secret_pepper, place.outbox)
    at = place.clock.now()
    first = str(place.erasures.request(ADA, suppress=False, requested_by="a test")["id"])
    data = SignalData(
        signal="page/view",
        audience_configuration=Reference("c1"),
        audience=Reference("a"),
        profile=ProfileReference("email", ADA.profile),
        received_at=to_datetime(at),
        touchpoint="web",
    )
    signal = decode_signal(encode_signal(id="s", source="web", time=at, data=data))
    arrival = Arrival(0, signal, b"", ADA, membership_of(signal))
    before = eraser.admit(place.rows, [arrival])

    with place.database.atomic():
        eraser.erase(place.rows, Cache(), first, at)
        after = eraser.admit(place.rows, [arrival])

    assert (len(before), len(after)) == (1, 0)


def test_one_at_which_a_look_fails_is_put_off_and_holds_up_nobody_else(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with place.database.atomic():
        fill(place)
    poisonous = place.erase(ADA)
    others = [place.erase(whom) for whom in (BOB, ProfileId("c1", "external", "7"), ProfileId("c1", "external", "8"))]
    late = refusal("9", id_type="email", profile=ADA.profile)
    with place.database.atomic():
        keep_refusals(place.rows, [late])
    walk = dict(sweeping_store.WALKS)["refused"]

    def failing(rows: Rows, sought: Any, place: int, limit: int) -> Any:
        gone = walk(rows, sought, place, limit)
        if any(each.erasure.id == poisonous for each in sought.whom):
            rows.execute("INSERT INTO erasure_answers VALUES ('x', 'x', NULL)")  # and PostgreSQL ends the transaction
        return gone

    walks = [(name, failing if name == "refused" else each) for name, each in sweeping_store.WALKS]
    monkeypatch.setattr(sweeping_store, "WALKS", walks)
    with capture_logs() as lines:
        place.sweep()
        place.sweep()

    assert [line["erasure"] for line in lines if line["event"] == "erasing.look_failed"] == [poisonous]
    assert [place.erasures.receipt(each)["failure"] for each in others] == [None] * 3
    assert {find_erasure(place.rows, each).sweeps for each in others} == {1}  # type: ignore[union-attr]
    failed = place.erasures.receipt(poisonous)["failure"]
    assert (failed["attempts"], "ada" in str(failed)) == (1, False)
    assert erasures_to_go_on_with(place.rows, place.clock.now()) == []  # the sweeper is not called again at once
    assert "refused" in place.texts(ADA.profile)  # what the walk had deleted before it failed is taken back
    gauges = {
        (sample.name, sample.labels["state"]): sample.value
        for metric in TriggerGauges(place.rows, place.clock).collect()
        for sample in metric.samples
        if "erasures" in sample.name
    }
    assert gauges["moments_erasures_underway", "erased"] == 4
    assert gauges["moments_erasures_failing", "erased"] == 1

    monkeypatch.undo()
    place.clock.advance(FIRST_PAUSE + 1)
    place.sweep()

    found = find_erasure(place.rows, poisonous)
    assert found is not None
    assert (found.sweeps, found.failures, found.failure) == (1, 0, None)
    assert "refused" not in place.texts(ADA.profile)
