"""Live analytics through the real HTTP server: timely, resumed without a gap, bounded (DOMAIN §8)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.times import HOUR, MINUTE, SECOND, from_rfc3339
from services.trigger.api.cursors import cursor_text
from tests.integration.stream_rig import Listener, served
from tests.integration.trigger_rig import STACKS, Rig, running_rig, wait_until
from tests.support.pressure import Pressure
from tests.support.processes import stretched

BEHIND_AT_MOST = stretched(2) * SECOND


@pytest.fixture(params=STACKS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with running_rig(request, tmp_path, request.param) as made:
        yield made


def signals_in(listener: Listener) -> int:
    """The signals of the newest numbers."""
    numbers = listener.named("analytics")
    return int(numbers[-1].data["totals"]["signals"]) if numbers else -1


def second_best(spans: list[tuple[int, int]], pressure: Pressure) -> int:
    """Of five: how long something took, without the time in which the machine had others to serve (µs)."""
    return sorted(end - begin - pressure.held_up(begin, end) for begin, end in spans)[1]


def test_numbers_and_outcomes_are_at_most_two_seconds_behind(rig: Rig) -> None:
    rig.moment(duration="PT1S")
    rig.started()
    rig.add("first@example.com")
    rig.listen_until(rig.raised, "the first moment")
    with served(rig) as rest, Pressure() as pressure:
        listener = Listener(rest.port, "?period=PT1H")
        wait_until(lambda: listener.named("analytics"), "the first numbers")
        first = listener.named("analytics")[0]
        assert len(first.data["series"]) == 60
        assert first.data["totals"]["raised"] == 1
        assert listener.outcomes == []
        assert listener.answer.headers["Content-Type"] == "text/event-stream"

        counted = []
        for n in range(5):
            before = signals_in(listener)
            sent = rig.add(f"p{n}@example.com")
            wait_until(lambda before=before: signals_in(listener) > before, "the signal to be counted")  # type: ignore[misc]
            counted.append((sent.received_at, listener.named("analytics")[-1].at))
        wait_until(lambda: len(listener.outcomes) == 5, "the outcomes")
        wait_until(lambda: listener.named("analytics")[-1].data["lateness"]["count"] == 6, "the latenesses")

        outcomes = listener.named("outcome")
        decided = [(from_rfc3339(event.data["decidedAt"]), event.at) for event in outcomes]
        assert second_best(counted, pressure) < BEHIND_AT_MOST
        assert second_best(decided, pressure) < BEHIND_AT_MOST
        assert {event.data["data"]["profile"]["id"] for event in outcomes} == {f"p{n}@example.com" for n in range(5)}
        changed = listener.named("analytics")[1:]
        assert all(1 <= len(event.data["series"]) <= 60 for event in changed)
        assert len(changed[0].data["series"]) <= 2
        listener.close()


def test_who_comes_back_gets_what_was_decided_meanwhile_once(rig: Rig) -> None:
    rig.moment(duration="PT1S")
    rig.started()
    with served(rig) as rest:
        listener = Listener(rest.port)
        wait_until(lambda: listener.events, "the first numbers")
        began = listener.events[0].id
        for n in range(6):
            rig.add(f"a{n}@example.com")
        wait_until(lambda: len(listener.outcomes) == 6, "the outcomes")
        listener.close()
        taken = listener.named("outcome")

        for n in range(5):
            rig.add(f"b{n}@example.com")
        wait_until(lambda: len(rig.recorded()) == 11, "more outcomes")
        for number, event in enumerate(taken):
            again = Listener(rest.port, last_event_id=event.id)
            wait_until(lambda again=again: again.named("analytics"), "the numbers")  # type: ignore[misc]
            assert [*listener.outcomes[: number + 1], *again.outcomes[: 5 - number]] == listener.outcomes
            assert len(again.outcomes) == len(set(again.outcomes)) == 10 - number
            assert set(again.outcomes) | set(listener.outcomes[: number + 1]) == set(rig.recorded())
            again.close()
        everything = Listener(rest.port, last_event_id=began)
        wait_until(lambda: everything.named("analytics"), "the numbers")
        assert set(everything.outcomes) == set(rig.recorded())
        everything.close()


def test_a_stop_shows_as_outcomes_and_numbers(rig: Rig) -> None:
    rig.moment(duration="PT1H")
    rig.started()
    for n in range(3):
        rig.add(f"a{n}@example.com")
    wait_until(lambda: rig.pending() == 3, "the waits")
    with served(rig) as rest:
        listener = Listener(rest.port)
        wait_until(lambda: listener.events, "the first numbers")
        assert listener.events[-1].data["now"]["pending"] == 3

        rig.change(status="stopped")

        wait_until(lambda: len(listener.outcomes) == 3, "the outcomes")
        assert {event.data["reason"] for event in listener.named("outcome")} == {"stopped"}
        wait_until(lambda: listener.named("analytics")[-1].data["now"]["pending"] == 0, "the numbers")
        assert listener.named("analytics")[-1].data["totals"]["suppressed"] == {"stopped": 3}
        listener.close()


@pytest.fixture
def alone(tmp_path: Path, database_url: str) -> Iterator[Rig]:
    """An installation without a worker, on each database, that knows the moment m1."""
    from services.trigger.store.records import make_partitions, save_moment
    from shared.store import connected

    made = Rig(tmp_path, f"embedded://{tmp_path}/broker.db", database_url)
    with connected(made.database):
        make_partitions(made.rows, 4)
        save_moment(made.rows, made.moment("m1"))
    yield made
    made.close()


def test_streams_are_bounded_and_a_listener_that_hangs_up_makes_room(alone: Rig) -> None:
    with served(alone, streams=2) as rest:
        listeners = [Listener(rest.port) for _ in range(2)]
        wait_until(lambda: all(each.events for each in listeners), "the first numbers")

        refused = Listener(rest.port)
        assert refused.answer.status == 503
        assert refused.answer.headers["Retry-After"] == "5"
        assert b"too-many-streams" in refused.answer.read()
        refused.close()

        listeners[0].close()
        made = []

        def admitted() -> bool:
            made.append(Listener(rest.port))
            return made[-1].answer.status == 200

        wait_until(admitted, "room for another listener", 3)
        wait_until(lambda: made[-1].events, "its numbers")
        for each in (*made, listeners[1]):
            each.close()


def test_a_server_that_is_told_to_stop_does_not_wait_for_its_listeners(alone: Rig) -> None:
    with served(alone) as rest:
        listener = Listener(rest.port)
        wait_until(lambda: listener.events, "the first numbers")

        assert rest.stop() < stretched(6)

        assert listener.over.wait(60)
        listener.close()


def test_a_place_that_is_too_old_or_forged_is_said_to_be_lost(alone: Rig) -> None:
    now = alone.clock.now()
    with served(alone) as rest:
        for place in ("nonsense", "é", cursor_text((now - HOUR, {0: 1})), cursor_text((now + HOUR, {0: 1}))):
            listener = Listener(rest.port, last_event_id=place.encode().decode("latin-1"))
            wait_until(lambda listener=listener: listener.named("analytics"), "the numbers")  # type: ignore[misc]
            assert [event.name for event in listener.events] == ["reset", "analytics"]
            listener.close()
        fresh = Listener(rest.port, last_event_id=cursor_text((now - MINUTE, {0: 1})))
        wait_until(lambda: fresh.named("analytics"), "the numbers")
        assert [event.name for event in fresh.events] == ["analytics"]
        fresh.close()
        for query, moment, status in (
            ("?granularity=week", "m1", 422),
            ("?period=P300D&granularity=hour", "m1", 422),
            ("", "m9", 404),
        ):
            refused = Listener(rest.port, query, moment=moment)
            assert refused.answer.status == status
            refused.close()
