"""Draining the spool step by step, on the embedded broker (docs/decisions/036-spool.md)."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from contracts.signals import Reference, decode_signal
from contracts.topology import moments_topology, partition_queue
from contracts.wire import SPOOL_ID_PREFIX, SpoolWord, decode_spool_word
from services.ingestion.admission import Admitted, Listener
from services.ingestion.handover import Handover
from services.ingestion.leadership import Leadership
from services.ingestion.publication import message_of
from services.ingestion.reading import Accepted, Reception, read_signal
from services.ingestion.spool.board import Mode
from services.ingestion.spool.keeping import KeepSpool
from services.ingestion.spool.store import Outcome, Spool
from shared.broker import Broker, BrokerUnavailable, Message, Publisher, Together, connect_broker
from shared.clock import SystemClock
from tests.support.ingestion import signal, wait_until

CLOCK = SystemClock()
ADA = ("c1", "email", "ada@example.com")


class Breaking:
    """A publisher that loses the broker after so many messages more."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self.left = 10_000

    @property
    def ready(self) -> bool:
        """As long as it has not broken."""
        return self._publisher.ready

    def publish(self, message: Message) -> Future[None]:
        """One message."""
        return self.publish_all((message,))[0]

    def publish_all(self, messages: Sequence[Message]) -> list[Future[None]]:
        """Those that are left go through, the others fail."""
        through, lost = messages[: self.left], messages[self.left :]
        self.left -= len(through)
        failed: list[Future[None]] = [Future() for _ in lost]
        for future in failed:
            future.set_exception(BrokerUnavailable("cut"))
        return self._publisher.publish_all(through) + failed

    def publish_together(self, messages: Sequence[Message]) -> Together:
        """The same for one who waits for all."""
        through = messages[: self.left]
        self.left -= len(through)
        return _Partly(self._publisher.publish_together(through), len(messages) - len(through))

    def close(self) -> None:
        """Nothing of its own."""


@dataclass
class _Partly:
    """What becomes of messages of which the last ones failed."""

    through: Together
    lost: int

    def wait(self, seconds: float) -> list[Exception | None]:
        """See `Together.wait`."""
        return [*self.through.wait(seconds), *(BrokerUnavailable("cut") for _ in range(self.lost))]


@dataclass
class Rig:
    """A spool with one signal or more, what drains it, and a broker of one partition."""

    broker: Broker
    publisher: Breaking
    spool: Spool
    keeper: KeepSpool
    handover: Handover
    accepted: Accepted

    def put(self, *ids: str) -> None:
        """Keep messages back."""
        rows = [(b"ada", self.message(id)) for id in ids]
        assert self.spool.put(rows) is Outcome.KEPT

    def message(self, id: str) -> Message:
        """The message of a signal."""
        made = message_of(msgspec.structs.replace(self.accepted, id=id), 1)
        assert made is not None
        return made

    def came(self) -> tuple[list[str], list[SpoolWord]]:
        """The ids of the signals and the words in the partition."""
        consumer = self.broker.consumer([partition_queue(0)])
        ids, words = [], []
        while arrived := consumer.receive(100, 0.05):
            for each in arrived:
                if each.message_id.startswith(SPOOL_ID_PREFIX):
                    words.append(decode_spool_word(each.body))
                else:
                    ids.append(decode_signal(each.body).id)
        consumer.drop()
        return ids, words


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """An empty spool that trigger knows of; no lease was given yet."""
    broker = connect_broker(f"embedded://{tmp_path}/broker.db", CLOCK)
    topology = moments_topology(1)
    broker.declare(topology)
    publisher = Breaking(broker.publisher(topology))
    spool = Spool(tmp_path, 4, b"pepper", CLOCK)
    spool.introduce()
    keeper = KeepSpool(Leadership(tmp_path / "lock"), spool, publisher, CLOCK, 1)
    listener = Listener("c1", (), frozenset(("email",)), Reference("c1", "Shop"), Reference("a1", "Customers"))
    reception = Reception(Admitted(listener, "sk_1", "server"), CLOCK.now())
    accepted = read_signal(signal(), None, reception, clean=False)
    assert isinstance(accepted, Accepted)
    yield Rig(broker, publisher, spool, keeper, Handover(publisher, spool), accepted)
    spool.close()
    broker.close()


def test_while_the_last_ones_leave_a_new_signal_waits_and_then_goes_to_the_broker(rig: Rig) -> None:
    rig.put("s1")
    rig.keeper.step()
    assert rig.spool.board.mode is Mode.CLOSING
    stored: list[bool] = []
    sender = threading.Thread(target=lambda: stored.extend(rig.handover.take([rig.message("s2")], [ADA])))

    sender.start()
    rig.keeper.step()
    assert stored == []
    rig.keeper.step()
    sender.join()

    assert rig.spool.board.mode is Mode.DIRECT
    assert stored == [True]
    assert rig.came()[0] == ["s1", "s2"]


def test_one_that_waits_in_vain_for_the_last_to_leave_is_put_behind_them(rig: Rig) -> None:
    rig.put("s1")
    rig.keeper.step()

    assert rig.handover.take([rig.message("s2")], [ADA]) == [True]

    assert rig.spool.board.mode is Mode.FILLED
    assert [each.message_id for each in rig.spool.first(9).messages] == ["s1", "s2"]


def test_what_the_broker_did_not_confirm_stays_and_goes_again_in_order(rig: Rig) -> None:
    rig.put("s1", "s2", "s3", "s4")
    rig.keeper.step()
    rig.publisher.left = 2

    with pytest.raises(BrokerUnavailable):
        rig.keeper.step()
    assert rig.spool.board.mode is Mode.FILLED
    rig.publisher.left = 10_000
    wait_until(lambda: rig.keeper.step() >= 0 and not rig.spool.filled)

    assert rig.came()[0] == ["s1", "s2", "s3", "s4"]


def test_a_word_that_was_not_confirmed_introduces_nobody(rig: Rig) -> None:
    assert rig.spool.sign_off()
    rig.publisher.left = 0

    with pytest.raises(BrokerUnavailable):
        rig.keeper.step()
    assert not rig.spool.standing().known
    rig.publisher.left = 10_000
    wait_until(lambda: rig.keeper.step() >= 0 and rig.spool.standing().known)


def test_no_lease_is_renewed_while_somebody_needs_the_spool(rig: Rig) -> None:
    rig.keeper.step()
    left = rig.spool.lease_left()
    assert left > 0

    rig.spool.board.wish()
    wait_until(lambda: rig.keeper.step() >= 0 and len(rig.came()[1]) >= 3)
    words = rig.came()[1]

    assert rig.spool.lease_left() < left
    assert words[0].at > words[1].at, "the second promises nothing beyond now"
    assert words[1].at < CLOCK.now()


def test_a_process_that_stops_signs_off_unless_it_keeps_something_back(rig: Rig) -> None:
    rig.keeper.step()
    rig.spool.board.lease(0)
    rig.put("s1")
    rig.keeper.stop()
    assert rig.spool.standing().known

    wait_until(lambda: rig.keeper.step() >= 0 and not rig.spool.filled)
    rig.keeper.stop()

    assert not rig.spool.standing().known
    assert [word.leaving for word in rig.came()[1]][-1]
    numbers = [word.number for word in rig.came()[1]]
    assert numbers == sorted(set(numbers))
