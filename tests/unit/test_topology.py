"""Guards over the broker's declared shape: no message falls on the floor unseen, no queue grows without bound."""

from __future__ import annotations

from contracts.topology import DEAD_LETTERS, UNROUTED, WEBHOOKS, moments_topology

TOPOLOGY = moments_topology(16)


def test_every_queue_has_a_dead_letter_target_or_is_where_letters_end() -> None:
    without = {queue.name for queue in TOPOLOGY.queues if queue.dead_letter is None}

    assert without == {DEAD_LETTERS, UNROUTED}
    assert {queue.dead_letter for queue in TOPOLOGY.queues} == {None, DEAD_LETTERS}


def test_no_queue_of_journeys_can_hold_a_publisher_up() -> None:
    """A confirm covers every bound queue: a full one that refuses would turn into a 503 of ingestion."""
    by_name = {queue.name: queue for queue in TOPOLOGY.queues}

    for name in (WEBHOOKS, UNROUTED, DEAD_LETTERS):
        assert by_name[name].overflow == "drop-head"
        assert by_name[name].max_length is not None


def test_every_binding_leads_somewhere() -> None:
    exchanges, queues = {each.name for each in TOPOLOGY.exchanges}, {each.name for each in TOPOLOGY.queues}

    for binding in TOPOLOGY.bindings:
        assert binding.source in exchanges
        assert binding.destination in (exchanges if binding.to_exchange else queues)
    assert {exchange.alternate for exchange in TOPOLOGY.exchanges} <= exchanges | {None}
