"""Publishers that have their connection: a new one refuses what it is given when it has none within a second or two."""

from __future__ import annotations

from contracts.topology import Topology
from shared.broker import Broker, Publisher
from tests.support.processes import wait_until


def ready_publisher(broker: Broker, topology: Topology | None = None) -> Publisher:
    """A publisher of a broker that is there, however slow the machine is to connect."""
    publisher = broker.publisher(topology)
    wait_until(lambda: publisher.ready, "a publisher's connection", 60)
    return publisher
