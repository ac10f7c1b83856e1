"""Ingestion's read model and background duties, on each database and broker (ARCHITECTURE §3.5, §3.9)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from contracts.configurations import KeyState
from contracts.signals import ProfileReference, Reference, SignalData, encode_signal
from contracts.stitching import ANONYMOUS, Identified
from contracts.times import HOUR, to_datetime
from contracts.topology import (
    CONFIGURATION,
    DEAD_LETTERS,
    LOST,
    PARTITIONS,
    SNAPSHOT_REQUEST,
    SNAPSHOT_REQUESTS,
    STATE_CONFIGURATION,
    moments_topology,
    partition_of,
    partition_queue,
    state_queue,
)
from services.ingestion.duties import FollowConfigurations, ReplayLost
from services.ingestion.leadership import Leadership
from services.ingestion.publication import identified_messages
from services.ingestion.refusal_log import RefusalLog
from services.ingestion.refusals import Refusal
from services.ingestion.store import MOST_REFUSALS, SCHEMA, IngestionStore, RefusedRow
from services.ingestion.wiring import Ingestion
from shared.broker import BrokerError, Message, UnknownQueue, connect_broker
from shared.clock import ManualClock, SystemClock, stopwatch
from shared.store import open_database
from tests.support.ingestion import (
    configuration,
    configure,
    publish_state,
    send,
    settings_for,
    signal,
    start_ingestion,
    statuses,
    wait_until,
)
from tests.support.processes import stretched


@pytest.fixture
def store(database_url: str) -> Iterator[IngestionStore]:
    opened = IngestionStore(open_database(database_url, schema=SCHEMA))
    opened.migrate()
    yield opened
    opened.close()


def test_the_greatest_version_of_a_configuration_is_kept(store: IngestionStore) -> None:
    assert store.revision() == 0

    assert store.keep([configuration(2, name="second"), configuration(1, name="first")]) == 1
    assert store.keep([configuration(2, name="second")]) == 0
    assert store.revision() == 1
    assert store.keep([configuration(3, name="third"), configuration(1, id="c2")]) == 2

    assert [(state.id, state.name) for state in store.states()] == [("c1", "third"), ("c2", "Shop")]
    assert store.revision() == 2


def test_a_state_that_was_read_before_an_update_without_its_new_fields_is_made_whole_by_the_next_snapshot(
    store: IngestionStore,
) -> None:
    limited = (KeyState(id="pk_1", type="web", enabled=True, kinds=("page/view",)),)
    store.keep([configuration(2, keys=(KeyState(id="pk_1", type="web", enabled=True),))])

    assert store.keep([configuration(1, name="older"), configuration(2, keys=limited)]) == 1

    (state,) = store.states()
    assert (state.name, state.keys) == ("Shop", limited)


def test_a_state_is_read_back_as_it_came(store: IngestionStore) -> None:
    state = configuration(
        7, name="Bücher \u2028 shop", keys=(KeyState(id="sk_1", type="server", enabled=True, expires_at=5),)
    )

    store.keep([state])

    assert store.states() == [state]


def test_the_tables_can_be_migrated_again(store: IngestionStore) -> None:
    store.keep([configuration()])

    store.migrate()

    assert len(store.states()) == 1


def test_an_empty_answer_counts_as_heard_once(store: IngestionStore) -> None:
    store.mark_answered()
    store.mark_answered()
    assert store.revision() == 1

    store.keep([configuration()])
    store.mark_answered()
    assert store.revision() == 2


def test_the_log_of_refusals_is_bounded(store: IngestionStore) -> None:
    rows = [RefusedRow(n, 401, "unknown_key", "pk_1", "cart/add", 1) for n in range(MOST_REFUSALS + 10)]

    store.record(rows)

    kept = store.refusals(MOST_REFUSALS + 100)
    assert len(kept) == MOST_REFUSALS
    assert kept[0] == rows[-1]


def test_refusals_are_forgotten_after_the_time_for_which_they_are_kept(store: IngestionStore) -> None:
    clock = ManualClock(2 * HOUR)
    log = RefusalLog(store, clock, kept=HOUR)
    store.record([RefusedRow(HOUR - 1, 401, "unknown_key", "", "", 1), RefusedRow(HOUR, 401, "unknown_key", "", "", 2)])

    log.flush()
    young = store.refusals()
    clock.advance(HOUR - 1)
    log.flush()

    assert [row.count for row in young] == [2]
    assert [row.count for row in store.refusals()] == [2]
    clock.advance(1)
    log.flush()
    assert store.refusals() == []


def test_refusals_of_one_sort_become_one_row(store: IngestionStore) -> None:
    log = RefusalLog(store, ManualClock(7), kept=100)
    refusal = Refusal(401, "unknown_key", "the key is unknown")

    for _ in range(3):
        log.add(refusal, "sk_1234567890:secret", "cart/add")
    for n in range(1000):
        log.add(refusal, f"{n}", "")
    log.add(refusal, "\x7f\x00", "")
    log.flush()
    log.flush()

    rows = store.refusals(2000)
    assert rows[-1] == RefusedRow(7, 401, "unknown_key", "sk_12345", "cart/add", 3)
    assert sum(row.count for row in rows) == 1004
    assert len(rows) <= 202


def key_works(ingestion: Ingestion, key: str = "sk_1:secret") -> bool:
    return send(ingestion, signal(), key=key).status_code == 200


def test_a_changed_key_takes_effect_within_two_seconds(broker_url: str, tmp_path: Path) -> None:
    ingestion = start_ingestion(settings_for(tmp_path, MOMENTS_BROKER_URL=broker_url, MOMENTS_PARTITIONS="2"))
    assert not key_works(ingestion)
    publish_state(ingestion, configuration(1))
    wait_until(lambda: key_works(ingestion))

    *others, server = configuration().keys
    began = stopwatch()
    publish_state(ingestion, configuration(2, keys=(*others, msgspec.structs.replace(server, kinds=("page/view",)))))
    wait_until(lambda: b"kind_not_of_key" in send(ingestion, signal()).data)
    assert stopwatch() - began < stretched(2)

    began = stopwatch()
    publish_state(ingestion, configuration(3, keys=(KeyState(id="pk_9", type="web", enabled=True),)))
    wait_until(lambda: send(ingestion, signal()).status_code == 401)
    assert stopwatch() - began < stretched(2)

    publish_state(ingestion, configuration(1))
    publish_state(ingestion, configuration(1, id="c2"))
    wait_until(lambda: key_works(ingestion))
    assert {listener.id for listener, _ in ingestion.keys.directory.keys["sk_1"]} == {"c2"}
    ingestion.close()


def test_keys_survive_a_restart_while_config_and_broker_are_down(tmp_path: Path) -> None:
    first = start_ingestion(settings_for(tmp_path))
    configure(first, configuration())
    first.close()

    second = start_ingestion(settings_for(tmp_path, MOMENTS_BROKER_URL="amqp://guest:guest@127.0.0.1:1/"))

    assert send(second, signal()).status_code == 503
    assert send(second, signal(), key="sk_1:wrong").status_code == 401
    second.close()


def test_an_expired_key_stops_without_a_message(tmp_path: Path) -> None:
    clock = ManualClock(1_795_428_930_000_000)
    ingestion = start_ingestion(settings_for(tmp_path), clock)
    old = KeyState(id="ak_old", type="app", enabled=True, expires_at=clock.now() + 1)
    configure(ingestion, configuration(keys=(old,)))

    assert key_works(ingestion, "ak_old")
    clock.advance(1)
    assert send(ingestion, signal(), key="ak_old").status_code == 401
    ingestion.close()


def test_a_snapshot_is_asked_for_and_an_empty_one_makes_ready(broker_url: str, tmp_path: Path) -> None:
    ingestion = start_ingestion(settings_for(tmp_path, MOMENTS_BROKER_URL=broker_url, MOMENTS_PARTITIONS="2"))
    client = ingestion.app.test_client()
    broker = connect_broker(broker_url, SystemClock())
    broker.declare(moments_topology(2))
    consumer = broker.consumer([SNAPSHOT_REQUESTS])

    requests = []
    wait_until(lambda: requests.extend(consumer.receive(1, 0.2)) or requests)
    assert requests[0].routing_key == SNAPSHOT_REQUEST
    assert b'"ingestion"' in requests[0].body
    assert "configuration" in client.get("/readyz").get_data(as_text=True)

    consumer.ack(requests[-1])
    consumer.drop()
    wait_until(lambda: client.get("/readyz").status_code == 200)
    broker.close()
    ingestion.close()


def test_only_one_process_of_a_machine_leads_and_another_takes_over(tmp_path: Path) -> None:
    first = start_ingestion(settings_for(tmp_path))
    wait_until(first.leadership.held)
    second = start_ingestion(settings_for(tmp_path))
    publish_state(second, configuration(1))
    wait_until(lambda: key_works(first) and key_works(second))
    assert not second.leadership.held()

    first.close()
    publish_state(second, configuration(2, keys=()))

    wait_until(lambda: not key_works(second))
    assert second.leadership.held()
    second.close()


def test_an_unreadable_state_goes_to_the_dead_letters(broker_url: str, tmp_path: Path) -> None:
    ingestion = start_ingestion(settings_for(tmp_path, MOMENTS_BROKER_URL=broker_url, MOMENTS_PARTITIONS="2"))
    publish_state(ingestion, configuration(1))
    wait_until(lambda: key_works(ingestion))

    broken = Message(exchange=CONFIGURATION, routing_key=STATE_CONFIGURATION, body=b'{"id": 5}', message_id="broken")
    ingestion.publisher.publish(broken).result(60)
    publish_state(ingestion, configuration(2, keys=()))

    wait_until(lambda: not key_works(ingestion))
    consumer = ingestion.broker.consumer([DEAD_LETTERS])
    (letter,) = consumer.receive(10, 60)
    consumer.drop()
    assert (letter.message_id, letter.body) == ("broken", b'{"id": 5}')
    assert "id" in letter.headers["reason"]
    ingestion.close()


def test_lost_signals_are_replayed_to_their_partition(broker_url: str, tmp_path: Path) -> None:
    ingestion = start_ingestion(settings_for(tmp_path, MOMENTS_BROKER_URL=broker_url, MOMENTS_PARTITIONS="1"))
    configure(ingestion, configuration())
    client = ingestion.app.test_client()
    assert statuses(send(ingestion, [signal("s0")])) == [200]
    ingestion.broker.delete_queue(partition_queue(0))

    assert statuses(send(ingestion, [signal(f"s{n}") for n in range(1, 4)])) == [200, 200, 200]
    nonsense = Message(exchange=PARTITIONS, routing_key="partition.77", body=b"nonsense", message_id="nonsense")
    ingestion.publisher.publish(nonsense).result(60)

    wait_until(lambda: client.get("/readyz").status_code == 200)
    consumer = ingestion.broker.consumer([partition_queue(0)])
    found: set[str] = set()
    wait_until(lambda: found.update(d.message_id for d in consumer.receive(10, 0.5)) or len(found) >= 3)
    consumer.drop()
    assert found == {"s1", "s2", "s3"}
    wait_until(lambda: ingestion.broker.depth(DEAD_LETTERS) == 1)
    ingestion.close()


def test_lost_signals_make_the_service_unready(tmp_path: Path) -> None:
    ingestion = start_ingestion(settings_for(tmp_path))
    wait_until(ingestion.leadership.held)
    follower = start_ingestion(settings_for(tmp_path))
    configure(follower, configuration())
    lost = Message(exchange=LOST, routing_key="", body=b"nonsense", message_id="nonsense")

    follower.publisher.publish(lost).result(60)

    assert "moments.lost" in follower.app.test_client().get("/readyz").get_data(as_text=True)
    wait_until(lambda: follower.app.test_client().get("/readyz").status_code == 200)
    follower.close()
    ingestion.close()


def test_lost_signals_stay_until_their_replay_is_confirmed(tmp_path: Path) -> None:
    topology = moments_topology(1)
    broker = connect_broker(f"embedded://{tmp_path}/broker.db", SystemClock())
    away = connect_broker("amqp://guest:guest@127.0.0.1:1/", SystemClock())
    broker.declare(topology)
    publisher, absent = broker.publisher(topology), away.publisher(topology)
    publisher.publish(Message(exchange=LOST, routing_key="", body=accepted_signal(), message_id="s1")).result(60)
    leadership = Leadership(tmp_path / "lock")

    with pytest.raises((BrokerError, TimeoutError)):
        ReplayLost(leadership, broker, absent, topology, 1).step()
    assert broker.depth(LOST) == 1

    ReplayLost(leadership, broker, publisher, topology, 1).step()
    assert (broker.depth(LOST), broker.depth(partition_queue(0))) == (0, 1)
    leadership.release()
    broker.close()
    away.close()


def test_lost_words_of_who_somebody_is_go_to_both_partitions(tmp_path: Path) -> None:
    topology = moments_topology(4)
    broker = connect_broker(f"embedded://{tmp_path}/broker.db", SystemClock())
    broker.declare(topology)
    publisher = broker.publisher(topology)
    names = map(str, range(40))
    home = partition_of("c1", "external", "ada", 4)
    away = next(name for name in names if partition_of("c1", ANONYMOUS, name, 4) != home)
    told = Identified(configuration="c1", anonymous=away, id_type="external", profile="ada", time=0, at=0)
    wanted = identified_messages(told, 4)
    for each in wanted:
        lost = Message(exchange=LOST, routing_key="", body=each.body, message_id=each.message_id)
        publisher.publish(lost).result(10)
    leadership = Leadership(tmp_path / "lock")

    ReplayLost(leadership, broker, publisher, topology, 4).step()

    assert broker.depth(LOST) == 0
    for each in wanted:
        consumer = broker.consumer([partition_queue(int(each.routing_key.removeprefix("partition.")))])
        assert [found.message_id for found in consumer.receive(10, 5)] == [each.message_id]
        consumer.drop()
    leadership.release()
    broker.close()


def accepted_signal() -> bytes:
    """The body of an accepted signal."""
    data = SignalData(
        signal="page/view",
        audience_configuration=Reference("c1"),
        audience=Reference("a1"),
        profile=ProfileReference("email", "ada@example.com"),
        received_at=to_datetime(0),
        touchpoint="web",
    )
    return encode_signal(id="s1", source="pk_1", time=0, data=data)


def test_only_the_leader_follows_and_no_answer_is_not_an_empty_one(tmp_path: Path, store: IngestionStore) -> None:
    topology = moments_topology(1)
    broker = connect_broker(f"embedded://{tmp_path}/broker.db", SystemClock())
    broker.declare(topology)
    publisher = broker.publisher(topology)
    leader, other = Leadership(tmp_path / "lock"), Leadership(tmp_path / "lock")
    assert leader.held()

    idle = FollowConfigurations(other, broker, publisher, topology, store)
    assert idle.step() > 0
    with pytest.raises(UnknownQueue):
        broker.depth(state_queue("ingestion"))

    active = FollowConfigurations(leader, broker, publisher, topology, store)
    for _ in range(6):
        active.step()
    assert broker.depth(SNAPSHOT_REQUESTS) == 1
    assert store.revision() == 0
    active.stop()
    leader.release()
    broker.close()
