"""A world in which customers are also known by anonymous ids: what these send goes by way of another partition."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from contracts.signals import (
    Item,
    ProfileReference,
    Reference,
    Signal,
    SignalData,
    decode_signal,
    encode_signal,
)
from contracts.stitching import ANONYMOUS, Identified, as_of_profile
from contracts.times import SECOND, to_datetime
from contracts.topology import PARTITIONS, partition_of, partition_queue
from services.ingestion.publication import identified_messages
from services.trigger.worker import Worker
from shared.broker import BrokerUnavailable, Confirms, Message
from shared.outbox import Relay
from tests.simulation.world import DURATION, Crash, MemoryBroker, MemoryConsumer, N, World

CONFIGURATION = "configuration"


def place_of(id_type: str, name: str) -> int:
    """The partition of a customer."""
    return partition_of(CONFIGURATION, id_type, name, N)


class LossyPublisher:
    """Hands on to the broker; one message in so many is lost on the way, whatever comes behind it arrives."""

    def __init__(self, broker: MemoryBroker, chance: random.Random, one_in: int) -> None:
        self._broker = broker
        self._chance = chance
        self._one_in = one_in

    def publish_together(self, messages: Sequence[Message]) -> Confirms:
        confirms = Confirms(len(messages))
        for place, message in enumerate(messages):
            arrives = self._chance.randrange(self._one_in) > 0
            if arrives:
                self._broker.publish(message)
            confirms.settle(place, None if arrives else BrokerUnavailable("away"))
        return confirms


class JoiningWorld(World):
    """See the module. `people`: who an anonymous id is; `signals`: all of them as of people, as they were received."""

    devices: Sequence[str] = "uvwxyz"

    def __init__(self, folder: Path, seed: int, skews: Sequence[int] = (0, -SECOND)) -> None:
        super().__init__(folder, seed, skews)
        self.people: dict[str, str] = {}
        self.ways: set[bool] = set()

    def send(self) -> None:
        """Somebody does something: under their name, or under an anonymous id that is theirs, or is to be."""
        choice = self.random.random()
        device = self.random.choice(self.devices)
        if choice < 0.4:
            super().send()
        elif choice < 0.5 or device not in self.people:
            self.identify(device, self.random.choice(self.profiles))
        else:
            self.add(device, self.random.choice("xy"), kind=self.random.choice(("cart/add", "cart/add", "cart/clear")))
        self.pass_time(1)

    def identify(self, device: str, person: str) -> None:
        """An anonymous id is a person from now on."""
        told = Identified(
            configuration=CONFIGURATION,
            anonymous=device,
            id_type="external",
            profile=person,
            time=self.now,
            at=self.now,
        )
        for message in identified_messages(told, N):
            self.broker.publish(message)
        self.people[device] = person

    def add(self, device: str, cart: str = "x", *, kind: str = "cart/add") -> Signal:
        """The person to whom an anonymous id belongs does something under it; the signal as of that person."""
        name = f"{len(self.bodies):04}"
        data = SignalData(
            signal=kind,
            audience_configuration=Reference(CONFIGURATION),
            audience=Reference("audience"),
            profile=ProfileReference(ANONYMOUS, device),
            received_at=to_datetime(self.now),
            touchpoint="web",
            cart_id=cart,
            items=(Item(product_id="p"),),
        )
        body = encode_signal(id=name, source="shop", time=self.now, data=data)
        self.bodies.append((place_of(ANONYMOUS, device), body, name))
        self.broker.put(partition_queue(place_of(ANONYMOUS, device)), body, name)
        signal = decode_signal(as_of_profile(body, ProfileReference("external", self.people[device]), None))
        self.signals.append(signal)
        self.ways.add(place_of(ANONYMOUS, device) == place_of("external", self.people[device]))
        return signal

    def add_as(self, person: str, cart: str = "x") -> Signal:
        """A person puts something into a cart under their own name."""
        name = f"{len(self.bodies):04}"
        data = SignalData(
            signal="cart/add",
            audience_configuration=Reference(CONFIGURATION),
            audience=Reference("audience"),
            profile=ProfileReference("external", person),
            received_at=to_datetime(self.now),
            touchpoint="server",
            cart_id=cart,
            items=(Item(product_id="p"),),
        )
        body = encode_signal(id=name, source="shop", time=self.now, data=data)
        self.bodies.append((place_of("external", person), body, name))
        self.signals.append(decode_signal(body))
        self.broker.put(partition_queue(place_of("external", person)), body, name)
        return self.signals[-1]

    def relay(self) -> None:
        """Publish some of what lies in the outbox: some is lost and must be sent again; or the process dies over it."""
        publisher = LossyPublisher(self.broker, self.random, 3)
        relay = Relay(self.worker._database, publisher, self.clock, on_sent=self.worker._note_sent)  # type: ignore[arg-type]
        if self.random.random() < 0.1:
            relay._publish(relay._unsent(5))
            raise Crash
        relay.run_once(limit=self.random.choice((1, 3, 500)))

    def turn(self, partition: int, limit: int = 500, worker: Worker | None = None) -> None:
        """A worker takes what lies in a partition."""
        consumer = MemoryConsumer(self.broker, False, partition_queue(partition), limit)
        (worker or self.worker)._turn(consumer)  # type: ignore[arg-type]

    def settle(self) -> None:
        """Everything is read and published, and read again, until nothing is left to do."""
        while True:
            for partition in range(N):
                self.turn(partition)
            sent = self.relay_of_all().run_once()
            if not sent and not any(self.broker.queues.values()) and not self.worker._credits:
                return

    def run_out(self) -> None:
        """No more faults: everything is read, comes due and is published."""
        self.skew = 0
        self.pass_time(0)
        for _ in range(4):
            self.settle()
            self.pass_time(31 * SECOND + DURATION)
            self.worker._markers.renew()
            self.worker._joins._asked.clear()
            self.worker._rounds.send_markers()
            self.settle()

    def forwards(self) -> list[Message]:
        """What waits in the outbox for a partition."""
        sql = "SELECT message_id FROM outbox WHERE sent_at IS NULL AND exchange = ?"
        return list(self.worker._rows.execute(sql, (PARTITIONS,)))


def device_of(person: str, *, same: bool) -> str:
    """An anonymous id in a person's partition, or in another one."""
    place = place_of("external", person)
    return next(name for name in map(str, range(100)) if (place_of(ANONYMOUS, name) == place) == same)
