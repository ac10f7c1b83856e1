"""Draining the spool step by step, on the embedded broker (docs/decisions/036-spool.md)."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
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
from services.ingestion.spool import attention, keeping
from services.ingestion.spool.attention import ASK_EVERY, UNHEARD_EVERY
from services.ingestion.spool.board import Mode
from services.ingestion.spool.keeping import EVERY, KeepSpool
from services.ingestion.spool.store import Outcome, Spool
from shared.broker import Broker, BrokerUnavailable, Consumer, Message, Publisher, Together, connect_broker
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
    reader: Consumer
    ids: list[str] = field(default_factory=list)
    words: list[SpoolWord] = field(default_factory=list)

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
        while arrived := self.reader.receive(100, 0.05):
            for each in arrived:
                if each.message_id.startswith(SPOOL_ID_PREFIX):
                    self.words.append(decode_spool_word(each.body))
                else:
                    self.ids.append(decode_signal(each.body).id)
        return self.ids, self.words


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """An empty spool that trigger knows of; no lease was given yet."""
    broker = connect_broker(f"embedded://{tmp_path}/broker.db", CLOCK)
    topology = moments_topology(1)
    broker.declare(topology)
    publisher = Breaking(broker.publisher(topology))
    spool = Spool(tmp_path, 4, b"pepper", CLOCK)
    spool.introduce()
    keeper = KeepSpool(Leadership(tmp_path / "lock"), spool, broker, publisher, CLOCK, 1)
    listener = Listener("c1", (), frozenset(("email",)), Reference("c1", "Shop"), Reference("a1", "Customers"))
    reception = Reception(Admitted(listener, "sk_1", "server"), CLOCK.now())
    accepted = read_signal(signal(), None, reception, clean=False)
    assert isinstance(accepted, Accepted)
    reader = broker.consumer([partition_queue(0)], prefetch=10_000)
    assert reader.receive(1, 0.0) == []
    yield Rig(broker, publisher, spool, keeper, Handover(publisher, spool), accepted, reader)
    reader.drop()
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


def test_where_nobody_reads_words_do_not_pile_up_and_who_reads_again_soon_hears_one(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000.0]
    for module in (keeping, attention):
        monkeypatch.setattr(module, "stopwatch", lambda: now[0])
    rig.keeper.step()
    rig.reader.drop()

    def go_on(seconds: float) -> None:
        until = now[0] + seconds
        while now[0] < until:
            now[0] += EVERY
            wait_until(lambda: not rig.keeper._words.underway)  # type: ignore[union-attr]
            rig.keeper.step()

    go_on(ASK_EVERY)
    before = rig.broker.depth(partition_queue(0))
    go_on(300.0)
    piled_up = rig.broker.depth(partition_queue(0)) - before
    rig.reader = rig.broker.consumer([partition_queue(0)])
    heard = len(rig.came()[1])
    go_on(ASK_EVERY + EVERY)

    assert piled_up == 300 / UNHEARD_EVERY
    assert len(rig.came()[1]) > heard
    ats = [word.at for word in rig.words]
    assert ats == sorted(ats)


def test_the_introduction_goes_everywhere_however_often_it_failed(tmp_path: Path, rig: Rig) -> None:
    """Else a partition that nobody reads could be taken by a trigger that never heard of this machine."""
    topology = moments_topology(3)
    rig.broker.declare(topology)
    assert rig.spool.sign_off()
    keeper = KeepSpool(Leadership(tmp_path / "other"), rig.spool, rig.broker, rig.publisher, CLOCK, 3)
    rig.publisher.left = 1
    with pytest.raises(BrokerUnavailable):
        keeper.step()
    rig.publisher.left = 10_000

    wait_until(lambda: keeper.step() >= 0 and rig.spool.standing().known)

    assert [rig.broker.depth(partition_queue(n)) for n in range(3)] == [2, 1, 1]
