"""What a raise waits for when its profile has anonymous ids: signals that come by way of other partitions.

DOMAIN §6.5, docs/decisions/043. A marker proves that the profile's partition was read up to an instant; it says nothing
of signals that lie in the partition of an anonymous id, a *source*, or are on their way from there. So the owner of the
profile's partition inquires: the inquiry goes through the source behind those signals, and the reply into the
profile's partition behind what became of them. When the reply has been read, all of them are applied.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from contracts.joining import (
    INQUIRY_ID_PREFIX,
    INQUIRY_TYPE,
    REPLY_ID_PREFIX,
    REPLY_TYPE,
    Inquiry,
    Joining,
    Reply,
)
from contracts.topology import PARTITIONS, partition_key
from contracts.wire import encode
from services.trigger.engine.application import ProfileId
from services.trigger.spools import Spools
from services.trigger.store.keys import profile_key
from services.trigger.store.records import epochs_of
from services.trigger.store.rows import Rows
from services.trigger.store.sources import (
    Source,
    first_forward,
    is_any_source,
    last_forward,
    note_sources,
    resolve_sources,
    sources_of,
)
from services.trigger.store.waits import DueWait
from shared.broker import Message, Publisher
from shared.clock import Clock, stopwatch

_log = structlog.get_logger("trigger.joining")

ALWAYS = 2**62
ASK_AGAIN_AFTER = 10.0
"""Seconds after which an inquiry without a reply is sent again: who had the source may have died over it."""
_ASK_ON_AFTER = 1.0
"""The same where the broker was away, or the reply did not reach far enough: a spool holds back, a clock stepped."""
_LOOK_ANEW_AFTER = 1.0
_LOOK_AGAIN = 0.01
_FRESH = 2.0
"""Seconds for which a reply's turn is looked for often; later than that, something keeps the outbox back."""

Pair = tuple[int, int]
"""A partition of profiles, and a source."""


@dataclass(slots=True)
class _Asked:
    """An inquiry that is underway, or a pause after its reply. `due`: of the latest wait that it was sent for."""

    at: int
    due: int
    since: float
    patience: float
    sent: Future[None] | None = None

    @property
    def stands(self) -> bool:
        """Whether it is still to be waited for."""
        failed = self.sent is not None and self.sent.done() and self.sent.exception() is not None
        return stopwatch() - self.since < (_ASK_ON_AFTER if failed else self.patience)


@dataclass(slots=True)
class _Owed:
    """A reply that is to follow the messages of the source's outbox up to a place."""

    message: Message
    source: int
    place: int
    since: float
    sent: Future[None] | None = None


class Joins:
    """Inquiries and replies of one session of the worker; used by its thread alone.

    `epochs`: the partitions that the session has. `is_erased`: whether a profile was erased when or after something was
    received.
    """

    def __init__(
        self,
        rows: Rows,
        transaction: Callable[[], AbstractContextManager[Rows]],
        publisher: Publisher,
        clock: Clock,
        spools: Spools,
        epochs: Mapping[int, int],
        is_erased: Callable[[Rows, ProfileId, int], bool],
    ) -> None:
        self._rows = rows
        self._transaction = transaction
        self._publisher = publisher
        self._clock = clock
        self._spools = spools
        self._epochs = epochs
        self._is_erased = is_erased
        self._known: dict[Pair, int] = {}
        self._wanted: dict[int, dict[int, int]] = {}
        self._asked: dict[Pair, _Asked] = {}
        self._owed: list[_Owed] = []
        self._read: dict[int, int] = {}
        self._place: dict[int, DueWait] = {}
        self._begun: dict[int, float] = {}
        self._now = 0
        self.held: dict[int, int] = {}
        """Partitions with waits that are held → the instant up to which all waits that still stand are."""

    def begin(self) -> None:
        """A new session: what was asked and known in the one before no longer counts."""
        for by_partition in (self._known, self._wanted, self._asked, self._read, self._place, self._begun):
            by_partition.clear()
        self.held.clear()
        self._owed.clear()
        self._now = 0

    def keep(self, joinings: Sequence[Joining]) -> None:
        """Remember from where something may join profiles, before the words of it are acknowledged."""
        if joinings:
            with self._transaction() as rows:
                told = [(ProfileId(each.configuration, each.id_type, each.profile), each) for each in joinings]
                standing = [(whose, each) for whose, each in told if not self._is_erased(rows, whose, each.at)]
                note_sources(rows, [Source(profile_key(whose), each.source, each.at) for whose, each in standing])

    # Raises.

    def sources(self, rows: Rows, found: Iterable[DueWait]) -> dict[bytes, set[int]]:
        """By process the sources of its profile, of waits that are due; next to nothing where nobody has any."""
        self._heed_clock()
        return sources_of(rows, {row.key[0] for row in found}) if is_any_source(rows) else {}

    def until(self, partition: int, sources: Iterable[int]) -> int:
        """Up to when everything from sources has come into a partition, as far as is known."""
        return min((self._known.get((partition, source), 0) for source in sources), default=ALWAYS)

    def place(self, partition: int) -> DueWait | None:
        """Behind which wait to go on, in a partition; None where a pass begins with the first, and nothing is held yet.

        Where very many are held for long, they are not looked at anew for every marker: that would hold up all others.
        """
        if partition not in self._place:
            if stopwatch() - self._begun.get(partition, -_LOOK_ANEW_AFTER) >= _LOOK_ANEW_AFTER:
                self.held.pop(partition, None)
            if partition in self.held:
                self._place[partition] = DueWait((b"", "", 0), partition, self.held[partition] + 1)
            else:
                self._wanted.pop(partition, None)
                self._begun[partition] = stopwatch()
        return self._place.get(partition)

    def armed(self, due: int | None) -> None:
        """New waits are due from then on: where that is among those that are held, they are to be looked at anew."""
        for partition, until in self.held.items():
            if due is not None and due <= until:
                self._begun.pop(partition, None)

    def hold(self, partition: int, sources: Iterable[int], due: int) -> None:
        """A wait of a partition is held until sources have come through up to its due."""
        wanted = self._wanted.setdefault(partition, {})
        for source in sources:
            wanted[source] = max(due, wanted.get(source, 0))

    def leave(self, row: DueWait) -> None:
        """The last wait of its partition that was looked at; where any is held, the pass goes on behind it."""
        if row.partition in self._wanted:
            self._place[row.partition] = row

    def end_pass(self, credits: Mapping[int, int], now: int) -> None:
        """All waits up to the credits of partitions were looked at: ask for what they are held by."""
        for partition, until in credits.items():
            self._read[partition] = max(min(until, now), self._read.get(partition, 0))
            self._place.pop(partition, None)
            if partition in self._wanted:
                self.held[partition] = min(until, now)
            else:
                self.held.pop(partition, None)
        self._ask()

    def abandon_pass(self, partitions: Iterable[int]) -> None:
        """A pass over the waits of partitions was broken off: look at all of them anew."""
        for partition in partitions:
            self._place.pop(partition, None)
            self._begun.pop(partition, None)
            self.held.pop(partition, None)

    def hear(self, told: Inquiry | Reply) -> dict[int, int]:
        """Take one at its place among the deliveries, which are applied: a partition that may go on → its credit.

        A reply from later than now was asked for by a clock that was ahead: it says nothing of dues by this one.
        """
        if isinstance(told, Inquiry):
            self._take(told)
            return {}
        if told.at > self._heed_clock():
            return {}
        pair = (told.partition, told.source)
        further = told.until > self._known.get(pair, 0)
        self._known[pair] = max(told.until, self._known.get(pair, 0))
        asked = self._asked.get(pair)
        if asked is not None and asked.at <= told.at:
            del self._asked[pair]
            if told.until < asked.due:
                self._asked[pair] = _Asked(told.at, asked.due, stopwatch(), _ASK_ON_AFTER)
        if not further or told.partition not in self._wanted or told.partition not in self._epochs:
            return {}
        self._place.pop(told.partition, None)
        self._begun.pop(told.partition, None)
        return {told.partition: self._read.get(told.partition, 0)}

    def step(self) -> None:
        """Between batches: send what is owed and can go now, and ask again where no reply came."""
        self._heed_clock()
        if self._owed:
            waiting = {source: first_forward(self._rows, source) for source in {owed.source for owed in self._owed}}
            self._owed = [owed for owed in self._owed if not self._reply(owed, waiting[owed.source])]
        if self._wanted:
            self._ask()

    def rest(self, most: float) -> float:
        """How long the worker may wait for signals before `step` has something to do, in seconds."""
        fresh = any(owed.sent is None and stopwatch() - owed.since < _FRESH for owed in self._owed)
        return min(most, _LOOK_AGAIN) if fresh else most

    def _heed_clock(self) -> int:
        """The clock. Once it is set back, what came through by then says nothing of dues that are yet to come."""
        before, self._now = self._now, self._clock.now()
        if self._now < before:
            for by_partition in (self._known, self._asked, self._read, self._begun):
                by_partition.clear()
        return self._now

    # Inquiries.

    def _ask(self) -> None:
        """One inquiry at a time for each partition and source, however many waits it is for."""
        pairs = [
            (partition, source)
            for partition, wanted in self._wanted.items()
            for source, due in wanted.items()
            if self._known.get((partition, source), 0) < due and not self._is_asked((partition, source))
        ]
        if not pairs:
            return
        epochs = epochs_of(self._rows, {source for _, source in pairs})
        now = self._clock.now()
        inquiries = [
            Inquiry(partition=source, asker=partition, at=now, epoch=epochs.get(source, 0))
            for partition, source in pairs
        ]
        repeated = sum(pair in self._asked and self._asked[pair].sent is not None for pair in pairs)
        if repeated:
            _log.warning("joining.asked_again", inquiries=repeated)
        sent = self._publisher.publish_all([_inquiry_message(each) for each in inquiries])
        for pair, future in zip(pairs, sent, strict=True):
            due = self._wanted[pair[0]][pair[1]]
            self._asked[pair] = _Asked(now, due, stopwatch(), ASK_AGAIN_AFTER, future)

    def _is_asked(self, pair: Pair) -> bool:
        asked = self._asked.get(pair)
        return asked is not None and asked.stands

    def _take(self, inquiry: Inquiry) -> None:
        """All that lay before it is applied, and stands in the outbox or beyond: the reply goes behind that.

        What was learned of spools at the taking of the partition may be newer than the inquiry (see `Spools.own`):
        one that was sent before goes through once more.
        """
        source = inquiry.partition
        epoch = self._epochs.get(source)
        if epoch is None:
            return
        if epoch != inquiry.epoch:
            self._publisher.publish(_inquiry_message(msgspec.structs.replace(inquiry, epoch=epoch)))
            return
        until = self._spools.bound(source, inquiry.at)
        reply = Reply(partition=inquiry.asker, source=source, at=inquiry.at, until=until)
        last = last_forward(self._rows, source)
        owed = _Owed(_reply_message(reply), source, last or 0, stopwatch())
        if not self._reply(owed, last):
            self._owed.append(owed)

    def _reply(self, owed: _Owed, waiting: int | None) -> bool:
        """Send it when its turn has come; whether the broker has it. `waiting`: what was not sent stands from there."""
        if owed.sent is not None:
            if not owed.sent.done():
                return False
            if owed.sent.exception() is None:
                return True
            owed.sent = None
        if waiting is None or waiting > owed.place:
            owed.sent = self._publisher.publish(owed.message)
        return False


def _inquiry_message(inquiry: Inquiry) -> Message:
    return _message(inquiry.partition, inquiry, INQUIRY_ID_PREFIX, INQUIRY_TYPE)


def _reply_message(reply: Reply) -> Message:
    return _message(reply.partition, reply, REPLY_ID_PREFIX, REPLY_TYPE)


def _message(partition: int, told: Inquiry | Reply, prefix: str, content_type: str) -> Message:
    return Message(
        exchange=PARTITIONS,
        routing_key=partition_key(partition),
        body=encode(told),
        message_id=f"{prefix}{uuid.uuid4().hex}",
        content_type=content_type,
    )


def resolve_old_links(rows: Rows, transaction: Callable[[], AbstractContextManager[Any]], partitions: int) -> None:
    """Find the sources of links that an older release made."""
    profiles = 0
    while True:
        with transaction():
            resolved = resolve_sources(rows, partitions)
        profiles += resolved
        if not resolved:
            break
    if profiles:
        _log.info("joining.links_resolved", profiles=profiles)
