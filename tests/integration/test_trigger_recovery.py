"""A completion after a raise is told once, whatever happens (DOMAIN §6.10), through the real worker."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from uuid import UUID, uuid5

import msgspec
import pytest

from contracts.signals import Item
from contracts.times import DAY, to_rfc3339
from contracts.topology import partition_of
from services.trigger.store.rollups import MOST
from tests.integration.trigger_rig import (
    CONFIGURATION_ID,
    PARTITIONS,
    STACKS,
    Event,
    Rig,
    running_rig,
    seconds,
    wait_until,
)

RECOVERED = "moment.cart_abandon.recovered"


@pytest.fixture(params=STACKS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with running_rig(request, tmp_path, request.param) as made:
        yield made


def recoveries(rig: Rig) -> list[Event]:
    """What the journey has got of recoveries, each once."""
    return list({event.id: event for event in rig.events if event.routing_key == RECOVERED}.values())


def test_a_purchase_after_the_raise_recovers_it_once(rig: Rig) -> None:
    rig.moment(duration="PT1S")
    rig.started()
    rig.add("ada@example.com")
    rig.listen_until(lambda: rig.events, "the moment")
    raised = rig.events[0]

    bought = rig.purchase("ada@example.com")
    rig.purchase("ada@example.com")
    rig.send(bought)

    rig.listen_until(lambda: recoveries(rig), "the recovery")
    wait_until(rig.applied, "every signal to be applied")
    (recovered,) = recoveries(rig)
    assert recovered.id == str(uuid5(UUID(raised.id), "recovered"))
    assert recovered.data["raiseId"] == raised.id
    assert recovered.data["recoveredAt"] == to_rfc3339(bought.time)
    assert recovered.data["recoveredBy"] == {"source": "shop", "id": bought.id, "signal": "cart/purchase"}
    assert recovered.data["value"] == [{"amount": 2.5, "currency": "EUR"}]
    assert {name: recovered.data[name] for name in raised.data} == raised.data
    assert rig.ledger()["recovered"] == 1
    assert rig.ledger()["recovered_value:EUR"] == 2_500_000


def test_a_recovery_survives_the_death_of_the_worker_and_the_stop_of_the_moment(rig: Rig) -> None:
    moment = rig.moment(duration="PT1S")
    rig.started()
    rig.add("ada@example.com")
    rig.listen_until(lambda: rig.events, "the moment")
    stopped = rig.change(status="stopped")
    wait_until(lambda: rig.knows(stopped), "the stop")
    rig.kill()

    bought = rig.purchase("ada@example.com")
    rig.started()

    rig.listen_until(lambda: recoveries(rig), "the recovery")
    assert moment.id == "m1"
    assert [event.data["recoveredBy"]["id"] for event in recoveries(rig)] == [bought.id]
    assert rig.read("SELECT count(*) FROM recoveries") == [(1,)]


def test_what_comes_outside_the_window_or_contradicts_recovers_nothing(rig: Rig) -> None:
    rig.moment(duration="PT1S")
    rig.started()
    added = rig.add("ada@example.com")
    rig.listen_until(lambda: rig.events, "the moment")

    rig.purchase("ada@example.com", at=added.time + seconds(0.5))
    wait_until(rig.applied, "the signal to be applied")
    late = rig.clock.now() + 7 * DAY + seconds(5)
    rig.purchase("ada@example.com", at=late, received=late)
    wait_until(rig.applied, "the signal to be applied")

    assert rig.ledger()["contradicted"] == 1
    assert rig.ledger()["recovered"] == 0
    assert rig.read("SELECT count(*) FROM recoveries") == [(0,)]


def test_the_event_of_a_recovery_is_a_cloud_event(rig: Rig) -> None:
    rig.moment(duration="PT1S")
    rig.started()
    rig.add("ada@example.com")
    rig.listen_until(lambda: rig.events, "the moment")

    rig.purchase("ada@example.com")
    wait_until(lambda: rig.read("SELECT count(*) FROM recoveries") == [(1,)], "the recovery")

    sql = "SELECT body, partition, content_type FROM outbox WHERE routing_key = ?"
    ((body, partition, content_type),) = rig.read(sql, (RECOVERED,))
    event = msgspec.json.decode(bytes(body))
    assert (event["specversion"], event["type"], event["dataschema"]) == ("1.0", RECOVERED, "evt:moment.recovered/v1")
    assert content_type == "application/cloudevents+json"
    assert partition is not None


def test_no_price_costs_a_signal_or_the_signals_of_others(rig: Rig) -> None:
    """Prices come from anybody's browser: what is too much for a counter must not keep a purchase from counting."""
    rig.moment(duration="PT1S")
    rig.started()
    absurd = Item(product_id="p1", quantity=1_000_000_000, price=1e12, currency="EUR")
    names = (f"shopper{number}@example.com" for number in count())
    together = (name for name in names if partition_of(CONFIGURATION_ID, "email", name, PARTITIONS) == 0)
    profiles = list(islice(together, 3))
    for profile in profiles:
        rig.add(profile)
    rig.listen_until(lambda: len(rig.events) == len(profiles), "the moments")

    rig.purchase(profiles[0], item=absurd)
    rig.purchase(profiles[1], item=absurd)
    rig.purchase(profiles[2])

    rig.listen_until(lambda: len(recoveries(rig)) == len(profiles), "the recoveries")
    assert rig.ledger()["recovered"] == len(profiles)
    assert rig.ledger()["recovered_value:EUR"] == MOST
