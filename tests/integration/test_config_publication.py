"""What config publishes: each change at once, everything on request, nothing lost while the broker is away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.moments import MomentState
from contracts.times import DAY, SECOND
from contracts.topology import CONFIGURATION, SNAPSHOT_REQUEST, SNAPSHOT_REQUESTS, moments_topology
from contracts.wire import SnapshotRequest, decode_moment_state, encode
from shared.broker import Message
from shared.clock import ManualClock, stopwatch
from tests.support.configuring import CONFIGURATIONS, MOMENTS, Client, StateReader, running_config
from tests.support.processes import stretched, wait_until

NOON = 1_795_435_200 * SECOND


@pytest.fixture
def reader(broker_url: str) -> Iterator[StateReader]:
    """A reader that listens before anything is published."""
    following = StateReader(broker_url)
    yield following
    following.close()


def test_every_change_is_published_in_full_with_its_version(
    tmp_path: Path, broker_url: str, database_url: str, reader: StateReader
) -> None:
    with running_config(tmp_path, database_url, broker_url) as config:
        shop = config.make_configuration()
        path = f"{CONFIGURATIONS}/{shop['id']}"
        config.call("PATCH", f"{path}/keys/web", {"enabled": True})
        moment = config.make_moment(shop["id"], settings={"duration": "PT1M"})
        config.set_status(moment["id"], "running")
        config.call("PATCH", f"{MOMENTS}/{moment['id']}", {"settings": {"duration": "PT2M"}}, if_match="*")

        known = reader.wait_for(shop["id"], 2)
        state = reader.wait_for(moment["id"], 3)

        assert (known.name, known.domains, known.audience.id) == ("Web shop", tuple(shop["domains"]), "list-1")
        assert [(key.type, key.enabled, bool(key.secret_hash)) for key in known.keys] == [
            ("web", True, False),
            ("app", False, False),
            ("server", False, True),
        ]
        assert isinstance(state, MomentState)
        assert (state.type, state.status, state.configuration_id) == ("cart_abandon", "running", shop["id"])
        assert state.running_since is not None
        assert [(each.version, each.settings["duration"]) for each in state.history] == [(1, "PT1M"), (3, "PT2M")]
        versions = [each.version for each in reader.received if each.id == moment["id"]]
        assert versions == [1, 2, 3]


def test_a_change_reaches_a_reader_within_the_two_seconds_promised(
    tmp_path: Path, broker_url: str, reader: StateReader
) -> None:
    with running_config(tmp_path, "", broker_url) as config:
        shop = config.make_configuration()
        reader.wait_for(shop["id"], 1)

        began = stopwatch()
        config.call("PATCH", f"{CONFIGURATIONS}/{shop['id']}/keys/web", {"enabled": True})
        reader.wait_for(shop["id"], 2)

        assert stopwatch() - began < stretched(2)


def test_deletions_are_published_and_stay_in_the_snapshot(
    tmp_path: Path, broker_url: str, database_url: str, reader: StateReader
) -> None:
    with running_config(tmp_path, database_url, broker_url) as config:
        shop = config.make_configuration()
        moment = config.make_moment(shop["id"])
        config.call("DELETE", f"{CONFIGURATIONS}/{shop['id']}")
        unlinked = reader.wait_for(moment["id"], 2)
        config.call("DELETE", f"{MOMENTS}/{moment['id']}")

        assert reader.wait_for(shop["id"], 2).deleted
        assert (unlinked.configuration_id, unlinked.deleted) == (None, False)
        assert reader.wait_for(moment["id"], 3).deleted
        assert all(state.deleted for state in reader.states.values())

        late = StateReader(broker_url, "late")
        _ask(late)
        assert late.wait_for(shop["id"], 2).deleted
        assert late.wait_for(moment["id"], 3).deleted
        late.close()


def test_a_reader_that_comes_late_gets_everything_on_request(
    tmp_path: Path, broker_url: str, database_url: str
) -> None:
    with running_config(tmp_path, database_url, broker_url) as config:
        shop = config.make_configuration()
        moments = [config.make_moment(shop["id"])["id"] for _ in range(3)]
        late = StateReader(broker_url, "late")

        _ask(late)

        for moment in moments:
            late.wait_for(moment, 1)
        late.wait_for(shop["id"], 1)
        wait_until(lambda: late.broker.depth(SNAPSHOT_REQUESTS) == 0, "the request to be acknowledged")
        late.close()


def test_a_request_made_while_config_was_away_is_answered_after_its_start(tmp_path: Path, broker_url: str) -> None:
    with running_config(tmp_path, "", broker_url, start=False) as config:
        shop = config.make_configuration()
    reader = StateReader(broker_url)
    _ask(reader)

    with running_config(tmp_path, "", broker_url):
        reader.wait_for(shop["id"], 1)
    reader.close()


def test_what_was_committed_before_a_crash_is_published_after_the_next_start(
    tmp_path: Path, broker_url: str, database_url: str, reader: StateReader
) -> None:
    with running_config(tmp_path, database_url, broker_url, start=False) as config:
        shop = config.make_configuration()

    with running_config(tmp_path, database_url, broker_url):
        assert reader.wait_for(shop["id"], 1).name == "Web shop"


def test_changes_are_taken_while_the_broker_is_away(tmp_path: Path) -> None:
    with running_config(tmp_path, "", "amqp://127.0.0.1:1/") as config:
        made = config.make_configuration()

        assert config.call("GET", "/readyz").status == 200
        assert config.get(f"{CONFIGURATIONS}/{made['id']}")["version"] == 1


def test_nothing_is_published_of_a_change_that_was_refused(
    tmp_path: Path, broker_url: str, reader: StateReader
) -> None:
    with running_config(tmp_path, "", broker_url) as config:
        shop = config.make_configuration()
        config.call("PATCH", f"{CONFIGURATIONS}/{shop['id']}", {"name": "No"}, if_match='"9"')
        config.call("PATCH", f"{CONFIGURATIONS}/{shop['id']}", {"name": "Yes"}, if_match='"1"')

        assert reader.wait_for(shop["id"], 2).name == "Yes"
        assert [state.version for state in reader.received] == [1, 2]


def test_the_history_that_travels_covers_the_retention_and_what_was_in_force_before(tmp_path: Path) -> None:
    clock = ManualClock(NOON)
    with running_config(tmp_path, clock=clock, start=False) as config:
        moment = config.make_moment(config.make_configuration()["id"], settings={"duration": "PT9M"})
        for minutes in (1, 2, 3):
            clock.advance(20 * DAY)
            wanted = {"settings": {"duration": f"PT{minutes}M"}}
            config.call("PATCH", f"{MOMENTS}/{moment['id']}", wanted, if_match="*")

        state = _moment_in_snapshot(config, moment["id"])

        assert [each.settings["duration"] for each in state.history] == ["PT1M", "PT2M", "PT3M"]
        assert state.history[0].since <= clock.now() - 32 * DAY


def test_settings_never_come_into_force_before_those_that_they_follow(tmp_path: Path) -> None:
    clock = ManualClock(NOON)
    with running_config(tmp_path, clock=clock, start=False) as config:
        moment = config.make_moment(config.make_configuration()["id"])
        clock.set(NOON - 60 * SECOND)
        config.call("PATCH", f"{MOMENTS}/{moment['id']}", {"settings": {"duration": "PT5M"}}, if_match="*")

        state = _moment_in_snapshot(config, moment["id"])

        assert [each.since for each in state.history] == [NOON, NOON + 1]


def _moment_in_snapshot(config: Client, moment_id: str) -> MomentState:
    with config.service.store.reading() as database:
        rows = database.execute_sql(
            "SELECT body FROM outbox WHERE routing_key = 'state.moment' ORDER BY id DESC LIMIT 1"
        ).fetchall()
    state = decode_moment_state(bytes(rows[0][0]))
    assert state.id == moment_id
    return state


def _ask(reader: StateReader) -> None:
    publisher = reader.broker.publisher(moments_topology(2))
    request = Message(
        exchange=CONFIGURATION,
        routing_key=SNAPSHOT_REQUEST,
        body=encode(SnapshotRequest("late")),
        message_id="request",
        content_type="application/json",
    )
    publisher.publish(request).result(60)
    publisher.close()
