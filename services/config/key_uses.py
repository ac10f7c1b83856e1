"""What ingestion tells of the uses of keys, read in the background."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from contracts.topology import KEY_USES, Topology
from contracts.wire import UnreadableMessage, decode_key_used
from services.config.configurations import Configurations
from shared.broker import Broker, Delivery
from shared.broker.reading import QueueReader
from shared.store import STORE_FAULTS

_log = structlog.get_logger("config.key_uses")


def key_use_reader(broker: Broker, topology: Topology, configurations: Configurations) -> QueueReader:
    """The thread that notes the latest use of each key. Nothing waits for it."""

    def take(deliveries: list[Delivery]) -> None:
        uses = latest_uses(deliveries)
        noted = configurations.note_key_uses(uses)
        _log.debug("key_uses.noted", told=len(uses), noted=noted)

    return QueueReader(broker, KEY_USES, take, topology=topology, passing=STORE_FAULTS)


def latest_uses(deliveries: Iterable[Delivery]) -> dict[str, int]:
    """Key → when it was last used; what cannot be read is passed over, the next use is told of again."""
    latest: dict[str, int] = {}
    for delivery in deliveries:
        try:
            used = decode_key_used(delivery.body)
        except UnreadableMessage as error:
            _log.error("key_uses.unreadable", reason=str(error)[:200])
            continue
        if "\0" not in used.key and 0 < used.at < 2**62:
            latest[used.key] = max(used.at, latest.get(used.key, 0))
    return latest
