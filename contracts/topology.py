"""Exchanges, queues, bindings and partitions: the broker's declared shape (ARCHITECTURE §2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal
from zlib import crc32

import msgspec

SIGNALS = "moments.signals"
PARTITIONS = "moments.partitions"
LOST = "moments.lost"
JOURNEYS = "moments.journeys"
JOURNEYS_UNROUTED = "moments.journeys.unrouted"
UNROUTED = "moments.unrouted"
CONFIGURATION = "moments.configuration"
SNAPSHOT_REQUESTS = "moments.config.snapshot-requests"
DEAD_LETTERS = "moments.dead-letters"
REFUSALS = "moments.refusals"
"""Exchange and queue of the refused signals that ingestion tells of."""
REPLAYS = "moments.replays"
"""Exchange and queue of the refused signals that ingestion is asked to read again."""
REPLAYED = "moments.replayed"
"""Exchange and queue of what became of them."""
KEY_USES = "moments.key-uses"
"""Exchange and queue of the latest uses of keys that ingestion tells of."""
WEBHOOKS = "moments.webhooks"
ERASURES = "moments.erasures"
"""Exchange by which trigger tells the services that keep anything of a customer whom to erase."""
ERASURES_DONE = "moments.erasures-done"
"""Exchange and queue by which they answer that it is done."""
ERASURE_READERS = ("config", "ingestion")
"""Who must answer before an erasure is complete."""

STATE_MOMENT = "state.moment"
STATE_CONFIGURATION = "state.configuration"
STATE_TOKEN = "state.token"  # noqa: S105 - a routing key
STATE_SUPPRESSION = "state.suppression"
SNAPSHOT_REQUEST = "snapshot.request"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable exchange; what it cannot route goes to `alternate`, when that is set."""

    name: str
    kind: Literal["topic", "direct", "fanout"]
    alternate: str | None = None


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue.

    `single_active`: one consumer at a time, in order. `dead_letter`: the queue that takes messages over
    `delivery_limit` deliveries, or pushed out by `max_length` (messages).
    """

    name: str
    single_active: bool = False
    max_length: int | None = None
    overflow: Literal["reject-publish", "drop-head"] = "drop-head"
    dead_letter: str | None = None
    delivery_limit: int = 1000


@dataclass(frozen=True, slots=True)
class Binding:
    """`source` exchange → `destination` (a queue, or an exchange when `to_exchange`) for keys like `key`."""

    source: str
    destination: str
    key: str
    to_exchange: bool = False


@dataclass(frozen=True, slots=True)
class Topology:
    """All that must stand before a first publish."""

    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]


WEBHOOKS_QUEUE = Queue(WEBHOOKS, max_length=500_000, overflow="drop-head", dead_letter=DEAD_LETTERS)
"""Trigger binds it to moments.journeys by the patterns that webhooks subscribe to."""


def queue_arguments(queue: Queue) -> dict[str, Any]:
    """The arguments of a quorum queue, valid on RabbitMQ 3.10 and 4.x.

    At-least-once dead lettering needs `reject-publish`, which without a maximum length has no other effect.
    """
    arguments: dict[str, Any] = {"x-queue-type": "quorum", "x-delivery-limit": queue.delivery_limit}
    if queue.single_active:
        arguments["x-single-active-consumer"] = True
    overflow = queue.overflow
    if queue.max_length is not None:
        arguments["x-max-length"] = queue.max_length
    elif queue.dead_letter is not None:
        overflow = "reject-publish"
    if queue.max_length is not None or queue.dead_letter is not None:
        arguments["x-overflow"] = overflow
    if queue.dead_letter is not None:
        arguments["x-dead-letter-exchange"] = ""
        arguments["x-dead-letter-routing-key"] = queue.dead_letter
        strategy = "at-least-once" if overflow == "reject-publish" else "at-most-once"
        arguments["x-dead-letter-strategy"] = strategy
    return arguments


def topic_matches(pattern: str, key: str) -> bool:
    """Whether a topic binding takes a routing key: `*` is one word, `#` any number of words, also none."""
    words = key.split(".") if key else []
    positions = {0}
    for part in pattern.split(".") if pattern else []:
        if part == "#":
            positions = set(range(min(positions), len(words) + 1))
        else:
            positions = {at + 1 for at in positions if at < len(words) and part in ("*", words[at])}
        if not positions:
            return False
    return len(words) in positions


def partition_queue(partition: int) -> str:
    """The queue of a partition: `moments.partition.07`."""
    return f"moments.partition.{partition:02d}"


def partition_key(partition: int) -> str:
    """The routing key of a partition: `partition.07`."""
    return f"partition.{partition:02d}"


def partition_of(configuration_id: str, id_type: str, profile_id: str, partitions: int) -> int:
    """crc32 of the compact JSON array [configurationId, idType, id], modulo the number fixed at install."""
    return crc32(msgspec.json.encode((configuration_id, id_type, profile_id))) % partitions


def state_queue(reader: str) -> str:
    """The queue by which one reader (`ingestion`, `trigger-1`, …) follows the configuration."""
    return f"moments.state.{reader}"


def erasures_queue(reader: str) -> str:
    """The queue by which a service is told of erasures; it stands also while that service is away."""
    return f"{ERASURES}.{reader}"


def moments_topology(partitions: int) -> Topology:
    """The whole installation's shape for a number of partitions."""
    queues = [
        Queue(LOST, dead_letter=DEAD_LETTERS),
        Queue(UNROUTED, max_length=100_000, overflow="drop-head"),
        Queue(DEAD_LETTERS, max_length=1_000_000, overflow="drop-head"),
        Queue(SNAPSHOT_REQUESTS, dead_letter=DEAD_LETTERS),
        Queue(REFUSALS, max_length=20_000, overflow="drop-head", dead_letter=DEAD_LETTERS),
        Queue(REPLAYS, dead_letter=DEAD_LETTERS),
        Queue(REPLAYED, dead_letter=DEAD_LETTERS),
        Queue(KEY_USES, max_length=20_000, overflow="drop-head", dead_letter=DEAD_LETTERS),
        WEBHOOKS_QUEUE,
        Queue(ERASURES_DONE, dead_letter=DEAD_LETTERS),
        *(Queue(erasures_queue(reader), dead_letter=DEAD_LETTERS) for reader in ERASURE_READERS),
    ]
    queues += [Queue(partition_queue(n), single_active=True, dead_letter=DEAD_LETTERS) for n in range(partitions)]
    bindings = [
        Binding(SIGNALS, PARTITIONS, "partition.*", to_exchange=True),
        Binding(SIGNALS, JOURNEYS, "signal.#", to_exchange=True),
        Binding(LOST, LOST, ""),
        Binding(DEAD_LETTERS, DEAD_LETTERS, ""),
        Binding(REFUSALS, REFUSALS, ""),
        Binding(REPLAYS, REPLAYS, ""),
        Binding(REPLAYED, REPLAYED, ""),
        Binding(KEY_USES, KEY_USES, ""),
        Binding(ERASURES_DONE, ERASURES_DONE, ""),
        *(Binding(ERASURES, erasures_queue(reader), "") for reader in ERASURE_READERS),
        Binding(JOURNEYS_UNROUTED, UNROUTED, "moment.#"),
        Binding(CONFIGURATION, SNAPSHOT_REQUESTS, SNAPSHOT_REQUEST),
    ]
    bindings += [Binding(PARTITIONS, partition_queue(n), partition_key(n)) for n in range(partitions)]
    return Topology(
        exchanges=(
            Exchange(LOST, "fanout"),
            Exchange(PARTITIONS, "direct", alternate=LOST),
            Exchange(JOURNEYS_UNROUTED, "topic"),
            Exchange(JOURNEYS, "topic", alternate=JOURNEYS_UNROUTED),
            Exchange(SIGNALS, "topic"),
            Exchange(CONFIGURATION, "topic"),
            Exchange(DEAD_LETTERS, "fanout"),
            Exchange(REFUSALS, "fanout"),
            Exchange(REPLAYS, "fanout"),
            Exchange(REPLAYED, "fanout"),
            Exchange(KEY_USES, "fanout"),
            Exchange(ERASURES, "fanout"),
            Exchange(ERASURES_DONE, "fanout"),
        ),
        queues=tuple(queues),
        bindings=tuple(bindings),
    )
