"""Profiles of audiences: when they are told, what is told, and that the signal log is what counts (DOMAIN §7)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.configurations import AudienceState, ConfigurationState
from contracts.events import AUDIENCE_PROFILE, AudienceProfileEvent, profile_event_id_of
from contracts.signals import Signal, decode_signal
from contracts.times import DAY, HOUR, MINUTE, SECOND, to_rfc3339
from contracts.topology import JOURNEYS, Binding, Queue
from services.trigger.engine.profile import LONGEST_VALUE, MOST_ATTRIBUTES
from services.trigger.store.profiles import LAG
from services.trigger.store.records import save_configuration
from services.trigger.wiring import Trigger
from tests.integration.trigger_rig import STACKS, Rig, running_rig, wait_until
from tests.integration.trigger_shop import T0, Shop, signal


@pytest.fixture
def shop(database_url: str) -> Iterator[Shop]:
    made = Shop(database_url)
    yield made
    made.close()


def test_the_first_signal_of_a_profile_is_told_and_a_further_one_is_not(shop: Shop) -> None:
    first = signal(color="red")

    (event,) = shop.apply(first)

    assert event.type == AUDIENCE_PROFILE
    assert event.id == profile_event_id_of("c1", "email", "ada@example.com", event.data.version)
    assert msgspec.to_builtins(event.data) == {
        "audience": {"id": "a", "name": "Customers"},
        "audienceConfiguration": {"id": "c1", "name": "Shop"},
        "profile": {"idType": "email", "id": "ada@example.com"},
        "version": 1,
        "firstSeenAt": to_rfc3339(T0),
        "lastSeenAt": to_rfc3339(T0),
        "lastSignal": {
            "type": "cart/add",
            "source": "shop",
            "id": first.id,
            "time": to_rfc3339(T0),
            "site": "shop.example.com",
        },
        "attributes": {"color": "red"},
        "lastMoment": None,
        "counts": {"signals": 1, "raises": 0},
    }
    assert shop.apply(signal(T0 + SECOND)) == []
    assert shop.apply(signal(T0 + 2 * SECOND, color="red")) == []
    shop.restart()
    assert shop.apply(signal(T0 + 3 * SECOND, color="red")) == []
    assert shop.state().signals == 4


def test_changed_attributes_are_told_with_all_that_is_known(shop: Shop) -> None:
    (first,) = shop.apply(signal(color="red"))
    shop.apply(signal(T0 + SECOND))

    (event,) = shop.apply(signal(T0 + MINUTE, "ada@example.com", "order/ship", color="blue", size=3))

    assert event.data.attributes == {"color": "blue", "size": 3}
    assert event.data.counts == {"signals": 3, "raises": 0}
    assert event.data.last_signal["type"] == "order/ship"
    assert event.data.last_seen_at == to_rfc3339(T0 + MINUTE)
    assert event.data.version > first.data.version
    assert event.id != first.id


def test_several_signals_of_a_profile_in_a_batch_make_one_message(shop: Shop) -> None:
    batch = [signal(T0 + n * SECOND, color=n) for n in range(5)] + [signal(T0, "bob@example.com")]

    events = {event.data.profile["id"]: event for event in shop.apply(*batch)}

    assert len(events) == 2
    assert events["ada@example.com"].data.attributes == {"color": 4}
    assert events["ada@example.com"].data.counts["signals"] == 5


def test_a_repeated_signal_changes_nothing_however_it_is_changed(shop: Shop) -> None:
    shop.apply(signal(id="one", color="red"))

    assert shop.apply(signal(T0 + HOUR, id="one", color="blue")) == []
    shop.restart()
    assert shop.apply(signal(T0 + HOUR, id="one", color="blue"), signal(T0 + HOUR, id="one", color="blue")) == []

    state = shop.state()
    assert (state.signals, state.visible(), state.last[0]) == (1, {"color": "red"}, T0)


def test_a_late_signal_overwrites_nothing_newer_but_is_the_first_seen(shop: Shop) -> None:
    newest = signal(T0, color="red")
    shop.apply(newest)
    shop.apply(signal(T0 + 2 * SECOND, color="red"))
    shop.restart()

    assert shop.apply(signal(T0 + SECOND, color="blue")) == []
    (event,) = shop.apply(signal(T0 - HOUR, color="green", size="L"))

    assert event.data.attributes == {"color": "red", "size": "L"}
    assert event.data.first_seen_at == to_rfc3339(T0 - HOUR)
    assert event.data.last_seen_at == to_rfc3339(T0 + 2 * SECOND)
    assert event.data.counts["signals"] == 4


def test_null_takes_an_attribute_back_and_an_older_value_does_not_return(shop: Shop) -> None:
    shop.apply(signal(color="red"))

    (event,) = shop.apply(signal(T0 + MINUTE, color=None))
    assert event.data.attributes == {}
    assert shop.apply(signal(T0 + SECOND, color="blue")) == []
    (event,) = shop.apply(signal(T0 + HOUR, color="white"))
    assert event.data.attributes == {"color": "white"}


def test_attributes_are_bounded_in_number_and_size(shop: Shop) -> None:
    shop.apply(signal(T0, **{f"old{n:03d}": n for n in range(MOST_ATTRIBUTES)}))

    (event,) = shop.apply(signal(T0 + SECOND, new=1, long="x" * LONGEST_VALUE, **{"n" * 101: 1}))
    assert shop.apply(signal(T0 - SECOND, older=1)) == []

    assert len(event.data.attributes) == MOST_ATTRIBUTES
    assert event.data.attributes["new"] == 1
    assert "old000" not in event.data.attributes
    assert not {"long", "n" * 101} & event.data.attributes.keys()
    assert shop.state().visible() == event.data.attributes


def test_numbers_of_any_size_and_texts_of_any_script_are_kept(shop: Shop) -> None:
    values = {"large": 2**70, "name": "Zoë 💐", "deep": {"a": [1, None, {"b": False}]}}
    shop.apply(signal(**values))
    shop.restart()

    assert shop.apply(signal(T0 + 1, **values)) == []
    assert shop.state().visible() == values


def test_a_raise_is_told_once_for_a_profile_however_many_came_together(shop: Shop) -> None:
    (seen,) = shop.apply(signal(cart="k1"), signal(cart="k2"), signal(profile="bob@example.com"))[:1]
    shop.apply(signal(T0 + SECOND, cart="k1"))
    shop.restart()
    now = T0 + 2 * HOUR

    events = {event.data.profile["id"]: event for event in shop.fire(now)}

    assert len(events) == 2
    ada = events["ada@example.com"].data
    assert ada.counts == {"signals": 3, "raises": 2}
    assert ada.version > seen.data.version
    assert ada.last_moment is not None
    recorded = dict(shop.rows.execute("SELECT id, moment_id FROM raises"))
    assert ada.last_moment == {
        "id": "m1",
        "name": "Moment m1",
        "type": "cart_abandon",
        "raiseId": ada.last_moment["raiseId"],
        "raisedAt": to_rfc3339(now),
    }
    assert ada.last_moment["raiseId"] in recorded
    assert events["ada@example.com"].time == to_rfc3339(now)
    assert shop.fire(now + HOUR) == []
    shop.restart()
    (event,) = shop.apply(signal(now, color="red"))
    assert event.data.last_moment == ada.last_moment
    assert event.data.counts == {"signals": 4, "raises": 2}


def test_a_raise_that_stands_already_is_not_counted_again(shop: Shop) -> None:
    shop.apply(signal())
    tables = ("processes", "waits", "profiles")
    before = {table: shop.rows.execute(f"SELECT * FROM {table}") for table in tables}
    assert len(shop.fire(T0 + 2 * HOUR)) == 1
    for table, found in before.items():
        shop.rows.execute(f"DELETE FROM {table}")
        overriding = " OVERRIDING SYSTEM VALUE" if shop.rows.postgresql and table == "processes" else ""
        marks = ", ".join("?" * len(found[0]))
        shop.rows.execute(f"INSERT INTO {table}{overriding} VALUES ({marks})", found[0])
    shop.restart()

    assert shop.fire(T0 + 3 * HOUR) == []

    assert shop.state().raises == 0
    assert shop.count("raises") == 1
    assert shop.ledger() == {("m1", "opened"): 1, ("m1", "raised"): 1}
    assert shop.differences() == []


def test_another_profile_with_the_same_half_of_its_key_is_not_mixed_in(shop: Shop) -> None:
    shop.apply(signal(color="red"), signal(profile="bob@example.com", color="blue"))
    (key,) = shop.rows.execute("SELECT key FROM profiles WHERE profile = 'ada@example.com'")[0]
    moved = bytes(key)[:8] + bytes(12)
    shop.rows.execute("UPDATE signals SET key = ? WHERE sequence = 2", (moved,))
    shop.rows.execute("DELETE FROM profiles")
    shop.rows.execute("UPDATE profiles_since SET sequence = 2")
    shop.restart()

    state = shop.state()

    assert (state.signals, state.visible()) == (1, {"color": "red"})


def test_a_suppressed_wait_is_not_told(shop: Shop) -> None:
    shop.apply(signal())
    shop.apply(signal(T0 + SECOND, "ada@example.com", "cart/clear"))

    assert shop.fire(T0 + 2 * HOUR) == []


def test_what_was_in_the_log_before_profiles_were_kept_counts(shop: Shop) -> None:
    shop.apply(signal(T0, color="red"), signal(T0 + SECOND, size="L"))
    shop.rows.execute("DELETE FROM profiles")
    shop.rows.execute("UPDATE profiles_since SET sequence = 2")
    shop.restart()

    (event,) = shop.apply(signal(T0 + MINUTE))

    assert event.data.counts["signals"] == 3
    assert event.data.first_seen_at == to_rfc3339(T0)
    assert event.data.attributes == {"color": "red", "size": "L"}


def test_the_version_rises_also_over_a_profile_that_was_forgotten(shop: Shop) -> None:
    events = [*shop.apply(signal(color=1)), *shop.apply(signal(T0 + SECOND, color=2))]
    shop.rows.execute("DELETE FROM profiles")
    shop.rows.execute("DELETE FROM signals WHERE sequence < (SELECT max(sequence) FROM signals)")
    shop.restart()

    events += shop.apply(signal(T0 + HOUR, color=3))

    versions = [event.data.version for event in events]
    assert versions == sorted(set(versions))
    assert len({event.id for event in events}) == 3


def test_the_row_never_lags_far_behind_the_log(shop: Shop) -> None:
    for n in range(3 * LAG):
        assert not shop.apply(signal(T0 + n)) or n == 0
        (through,) = shop.rows.execute("SELECT through FROM profiles")[0]
        assert n + 1 - through <= LAG
    assert shop.state().signals == 3 * LAG


TIMES = st.integers(0, 12).map(lambda n: T0 + n * MINUTE)
ATTRIBUTES = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.sampled_from([None, 0, False, 1, "x"]), max_size=2)
SIGNALS = st.tuples(
    st.sampled_from(["ada@example.com", "bob@example.com"]),
    TIMES,
    st.sampled_from(["cart/add", "order/ship", "website/signup"]),
    st.integers(0, 25).map(str),
    ATTRIBUTES,
)
STEPS = st.lists(st.one_of(st.lists(SIGNALS, min_size=1, max_size=4), st.just("restart")), max_size=14)


@given(steps=STEPS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_profiles_are_what_a_slow_reading_of_the_log_says(shop: Shop, steps: list[Any]) -> None:
    for table in ("signals", "processes", "profiles", "outbox", "waits"):
        shop.rows.execute(f"DELETE FROM {table}")
    shop.restart()
    expected: dict[str, list[Signal]] = {}
    for step in steps:
        if step == "restart":
            shop.restart()
            continue
        batch = [signal(time, profile, kind, id=id, **attributes) for profile, time, kind, id, attributes in step]
        told = {event.data.profile["id"]: event.data for event in shop.apply(*batch)}

        should = set()
        for each in batch:
            known = expected.setdefault(each.profile, [])
            if all(each.id != other.id for other in known):
                before = slow_attributes(known)
                known.append(each)
                if len(known) == 1 or typed(slow_attributes(known)) != typed(before):
                    should.add(each.profile)
        assert told.keys() == should
        for profile, data in told.items():
            assert typed(data.attributes) == typed(slow_attributes(expected[profile]))
            assert data.counts["signals"] == len(expected[profile])

    log = [decode_signal(bytes(body)) for (body,) in shop.rows.execute("SELECT body FROM signals")]
    for profile in {each.profile for each in log}:
        own = [each for each in log if each.profile == profile]
        state = shop.state(profile)
        assert state.signals == len(own)
        assert state.first_seen == min(each.time for each in own)
        newest = max(own, key=lambda each: each.key)
        assert (state.last, state.last_type, state.last_site) == (newest.key, newest.kind.name, newest.site)
        assert typed(state.visible()) == typed(slow_attributes(own))


def slow_attributes(signals: list[Signal]) -> dict[str, Any]:
    """For each name the value of the latest signal that has it, by the order of DOMAIN §6.1."""
    found: dict[str, Any] = {}
    for each in sorted(signals, key=lambda each: (each.time, each.kind.rank, each.source, each.id)):
        found.update(each.data.attributes)
    return {name: value for name, value in found.items() if value is not None}


def typed(values: dict[str, Any]) -> dict[str, tuple[str, Any]]:
    """Values that tell 0 from False."""
    return {name: (type(value).__name__, value) for name, value in values.items()}


# The list.


@pytest.fixture
def get(shop: Shop, tmp_path: Path, database_url: str) -> Iterator[Callable[..., Any]]:
    rig = Rig(tmp_path, f"embedded://{tmp_path}/broker.db", database_url)
    trigger = Trigger(rig.settings, rig.clock)
    trigger.start()
    client = trigger.app.test_client()

    def read(path: str, status: int = 200) -> Any:
        answer = client.get(f"/api/v1/audiences{path}", headers={"Authorization": "Bearer a-token-for-the-tests"})
        assert answer.status_code == status, answer.get_data()
        return answer.get_json(force=True)

    yield read
    trigger.close()
    rig.close()


def keep(shop: Shop, *states: ConfigurationState) -> None:
    """Let the service know of configurations."""
    for state in states:
        save_configuration(shop.rows, state)
        shop.registry.put_configuration(state)


def configuration(number: int, audience: str, version: int = 1, *, deleted: bool = False) -> ConfigurationState:
    """A configuration of an audience."""
    named = AudienceState(id=audience, name=f"Audience {audience}")
    return ConfigurationState(id=f"c{number}", version=version, name=f"C{number}", audience=named, deleted=deleted)


def test_the_audiences_are_listed_with_their_configurations_and_profiles(shop: Shop, get: Callable[..., Any]) -> None:
    keep(shop, configuration(1, "a"), configuration(2, "a"), configuration(3, "b"), configuration(4, "x", deleted=True))
    shop.apply(signal(), signal(configuration="c2"), signal(profile="bob@example.com", configuration="c2"))

    assert get("")["items"] == [
        {
            "id": "a",
            "name": "Audience a",
            "audienceConfigurations": [{"id": "c1", "name": "C1"}, {"id": "c2", "name": "C2"}],
            "profiles": 3,
        },
        {"id": "b", "name": "Audience b", "audienceConfigurations": [{"id": "c3", "name": "C3"}], "profiles": 0},
    ]
    get("/x/profiles", 404)
    get("/unknown/profiles", 404)


def test_profiles_are_listed_with_what_came_since_they_were_told(shop: Shop, get: Callable[..., Any]) -> None:
    keep(shop, configuration(1, "a"))
    (event,) = shop.apply(signal(color="red"))
    shop.apply(signal(T0 + HOUR), signal(T0 - HOUR))

    (item,) = get("/a/profiles")["items"]

    told = msgspec.to_builtins(event.data)
    assert item == {
        **told,
        "audience": {"id": "a", "name": "Audience a"},
        "audienceConfiguration": {"id": "c1", "name": "C1"},
        "changedAt": event.time,
        "firstSeenAt": to_rfc3339(T0 - HOUR),
        "lastSeenAt": to_rfc3339(T0 + HOUR),
        "lastSignal": {**told["lastSignal"], "id": item["lastSignal"]["id"], "time": to_rfc3339(T0 + HOUR)},
        "counts": {"signals": 3, "raises": 0},
    }
    assert item["lastSignal"]["id"] != told["lastSignal"]["id"]


def test_the_id_of_an_audience_may_hold_whatever_its_platform_puts_there(shop: Shop, get: Callable[..., Any]) -> None:
    keep(shop, configuration(1, "lists/vip <b>?#"))
    shop.apply(signal())

    assert len(get("/lists/vip%20%3Cb%3E%3F%23/profiles")["items"]) == 1


def test_pages_hold_every_profile_once_in_either_order(shop: Shop, get: Callable[..., Any]) -> None:
    keep(shop, configuration(1, "a"), configuration(2, "a"), configuration(3, "b"))
    names = ["Zoë@example.com", "ada@example.com", "émile@example.com", "zoe@example.com", "bob@example.com"]
    for n, name in enumerate(names):
        shop.apply(signal(T0 + n * MINUTE, name, configuration=f"c{1 + n % 2}"))
    shop.apply(signal(T0, "ada@example.com", configuration="c1"), signal(T0, "eve@example.com", configuration="c3"))
    shop.apply(signal(T0 + HOUR, "bob@example.com", color="red"))

    by_name = pages(get, "/a/profiles?order=profile")
    by_change = pages(get, "/a/profiles")

    found = [(item["profile"]["id"], item["audienceConfiguration"]["id"]) for item in by_name]
    assert found == sorted(found)
    assert len(set(found)) == 6
    assert {(item["profile"]["id"], item["audienceConfiguration"]["id"]) for item in by_change} == set(found)
    assert len(by_change) == 6
    changes = [item["changedAt"] for item in by_change]
    assert changes == sorted(changes, reverse=True)
    assert by_change[0]["profile"]["id"] == "bob@example.com"


def pages(get: Callable[..., Any], path: str) -> list[dict[str, Any]]:
    """All items of a list, read two at a time."""
    items: list[dict[str, Any]] = []
    page = get(f"{path}{'&' if '?' in path else '?'}limit=2")
    while True:
        items += page["items"]
        if page["next"] is None:
            return items
        page = get(f"{path}{'&' if '?' in path else '?'}limit=2&cursor={page['next']}")


def test_profiles_can_be_found_by_name_by_id_type_and_by_when_they_were_seen(
    shop: Shop, get: Callable[..., Any]
) -> None:
    keep(shop, configuration(1, "a"), configuration(2, "a"))
    for n in range(5):
        shop.apply(signal(T0 + n * MINUTE, f"u{n}@example.com"))
    shop.apply(signal(T0 + HOUR, "u1@example.com"), signal(T0, "u1@example.com", configuration="c2"))

    def names(query: str) -> list[str]:
        return [item["profile"]["id"] for item in pages(get, f"/a/profiles?{query}")]

    assert names("profile=u1@example.com") == ["u1@example.com"] * 2
    assert names("profile=%20U1@Example.com&idType=email") == ["u1@example.com"] * 2
    assert names("profile=u1@example.com&idType=external") == []
    assert names("profile=nobody@example.com") == []
    assert names("idType=phone") == []
    assert len(names("idType=email")) == 6
    since = to_rfc3339(T0 + 3 * MINUTE)
    assert sorted(names(f"lastSeenSince={since}")) == ["u1@example.com", "u3@example.com", "u4@example.com"]
    assert names(f"lastSeenSince={to_rfc3339(T0 + HOUR)}&order=profile") == ["u1@example.com"]
    assert names(f"lastSeenSince={to_rfc3339(T0 + HOUR + 1)}") == []
    assert names(f"profile=u1@example.com&lastSeenSince={to_rfc3339(T0 + 1)}") == ["u1@example.com"]


def test_a_long_list_of_which_few_were_seen_is_read_page_by_page(shop: Shop, get: Callable[..., Any]) -> None:
    from services.trigger.api import audience_readings

    keep(shop, configuration(1, "a"))
    shop.apply(*(signal(T0 - DAY + n, f"u{n:04d}@example.com") for n in range(1_200)))
    shop.apply(signal(T0, "u0003@example.com"), signal(T0, "u0900@example.com"))
    audience_readings._MOST_READ, before = 500, audience_readings._MOST_READ
    try:
        found = pages(get, f"/a/profiles?order=profile&lastSeenSince={to_rfc3339(T0)}")
        first = get(f"/a/profiles?order=profile&lastSeenSince={to_rfc3339(T0)}")
    finally:
        audience_readings._MOST_READ = before

    assert [item["profile"]["id"] for item in found] == ["u0003@example.com", "u0900@example.com"]
    assert len(first["items"]) == 1
    assert first["next"]


def test_the_profiles_follow_when_a_configuration_gets_another_audience(shop: Shop, get: Callable[..., Any]) -> None:
    keep(shop, configuration(1, "a"))
    shop.apply(signal(color="red"))

    keep(shop, configuration(1, "b", version=2))

    get("/a/profiles", 404)
    (item,) = get("/b/profiles")["items"]
    assert item["audience"]["id"] == "b"
    (event,) = shop.apply(signal(T0 + HOUR, color="blue"))
    assert event.data.audience == {"id": "b", "name": "Audience b"}


@pytest.mark.parametrize(
    "query",
    [
        "order=age",
        "idType=name",
        "profile=",
        "profile=%00",
        "lastSeenSince=yesterday",
        "lastSeenSince=2026-01-01",
        "cursor=nonsense",
        "limit=0",
        "colour=red",
    ],
)
def test_a_wrong_query_is_refused(shop: Shop, get: Callable[..., Any], query: str) -> None:
    keep(shop, configuration(1, "a"))

    get(f"/a/profiles?{query}", 422)


def test_a_cursor_of_another_order_is_refused(shop: Shop, get: Callable[..., Any]) -> None:
    keep(shop, configuration(1, "a"))
    shop.apply(signal(), signal(profile="bob@example.com"))
    cursor = get("/a/profiles?limit=1")["next"]

    get(f"/a/profiles?order=profile&cursor={cursor}", 422)


# The whole stack.


@pytest.fixture(params=STACKS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with running_rig(request, tmp_path, request.param) as made:
        yield made


def test_what_was_committed_before_a_kill_is_told_with_the_same_id_and_all_is_told(rig: Rig) -> None:
    rig.broker.declare_queue(Queue("audience"), [Binding(JOURNEYS, "audience", "audience.#")])
    rig.moment(duration="PT1S")
    consumer = rig.broker.consumer(["audience"])
    bodies: dict[str, set[bytes]] = {}

    def listen() -> None:
        deliveries = consumer.receive(200, 0.1)
        for delivery in deliveries:
            bodies.setdefault(delivery.message_id, set()).add(delivery.body)
        if deliveries:
            consumer.ack(deliveries[-1])

    for turn in range(3):
        rig.start()
        signals = [rig.signal(f"u{turn}-{n}@example.com") for n in range(60)]
        rig.send(*signals, *signals[:10])
        some = turn * 60
        wait_until(lambda some=some: listen() or len(bodies) > some, "some messages")  # type: ignore[misc]
        rig.kill()
    rig.start()

    def raises() -> Counter[str]:
        events = [msgspec.json.decode(body, type=AudienceProfileEvent) for each in bodies.values() for body in each]
        newest = {event.data.profile["id"]: event.data for event in sorted(events, key=lambda each: each.data.version)}
        return Counter({name: data.counts["raises"] for name, data in newest.items()})

    wait_until(lambda: listen() or raises().total() == 180, "all raises to be told", 60)
    consumer.drop()
    assert all(len(each) == 1 for each in bodies.values())
    assert set(raises().values()) == {1}
    events = [msgspec.json.decode(body, type=AudienceProfileEvent) for (body,) in bodies.values()]
    assert {event.data.counts["signals"] for event in events} == {1}
    per_profile = Counter(event.data.profile["id"] for event in events)
    assert set(per_profile.values()) == {2}


def test_a_message_that_no_journey_wants_is_dropped_and_holds_up_nobody(rig: Rig) -> None:
    rig.moment(duration="PT1S")
    rig.start()

    rig.add("ada@example.com")
    rig.listen_until(lambda: rig.events, "the moment")

    wait_until(lambda: not rig.read("SELECT 1 FROM outbox WHERE sent_at IS NULL"), "everything to be sent")
    assert rig.read("SELECT count(*) FROM outbox WHERE routing_key = ?", (AUDIENCE_PROFILE,)) == [(2,)]
    assert rig.broker.depth("moments.unrouted") == 0
