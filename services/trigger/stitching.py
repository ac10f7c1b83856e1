"""Anonymous customers: what they send is held until it is known who they are, and then joins their profile.

The owner of an anonymous id's partition does it, in the transaction of its batch. What joins a profile goes through
the outbox into the profile's partition in one message, and to journeys one by one (docs/decisions/035-stitching.md).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from contracts.signals import ProfileReference, Reference, Signal, decode_signal
from contracts.stitching import (
    ANONYMOUS,
    STITCHED_ID_PREFIX,
    STITCHED_TYPE,
    Identified,
    as_of_profile,
    encode_stitched,
)
from contracts.times import to_datetime
from contracts.topology import JOURNEYS, PARTITIONS, partition_key, partition_of
from contracts.wire import message_id_of
from services.trigger.engine.application import ProfileId
from services.trigger.store.anonymous import (
    MOST_BYTES,
    HeldSignal,
    Link,
    add_links,
    anonymous_key,
    count_anonymous,
    hand_on,
    held_signal,
    hold,
    links_of,
    refresh_links,
    release,
)
from services.trigger.store.keys import profile_key, signal_key
from services.trigger.store.rows import Rows
from services.trigger.store.sources import Source, note_sources
from shared.broker import Message
from shared.outbox import Outbox

_MOST_BYTES = 2 * MOST_BYTES
"""Of a message with signals that join a profile; in it each is a little longer than it was when it was held."""


MOST_TOLD = 32
"""Of words who somebody is in one transaction: each may bring along all that is held of an anonymous id."""


@dataclass(frozen=True, slots=True)
class Anonymous:
    """What came through the partition of an anonymous id: a signal of it, or who it is."""

    partition: int
    key: bytes
    told: Signal | Identified
    body: bytes

    @property
    def visitor(self) -> ProfileId:
        """The anonymous id, as that of a customer."""
        told = self.told
        name = told.anonymous if isinstance(told, Identified) else told.profile
        return ProfileId(told.configuration, ANONYMOUS, name)

    @property
    def at(self) -> int:
        """When it was received, µs."""
        return self.told.at if isinstance(self.told, Identified) else self.told.received_at

    @property
    def name(self) -> bytes:
        """What makes two copies of a signal the same; empty for who it is."""
        told = self.told
        return b"" if isinstance(told, Identified) else signal_key(self.key, told.source, told.id)


@dataclass(frozen=True, slots=True)
class Admitted:
    """What is left of what came, after what is of erased visitors. `until`: key of an erased visitor → up to when."""

    arrivals: Sequence[Anonymous]
    until: Mapping[bytes, int] = field(default_factory=dict)


def anonymous_arrival(partition: int, told: Signal | Identified, body: bytes) -> Anonymous:
    """What came, with the key of the anonymous id."""
    name = told.anonymous if isinstance(told, Identified) else told.profile
    return Anonymous(partition, anonymous_key(told.configuration, name), told, body)


def in_parts(arrivals: Sequence[Anonymous]) -> Iterator[list[Anonymous]]:
    """What came, in order, in parts of which each fits into the memory of one transaction; at least one part."""
    part: list[Anonymous] = []
    told = 0
    for each in arrivals:
        part.append(each)
        told += isinstance(each.told, Identified)
        if told == MOST_TOLD:
            yield part
            part, told = [], 0
    yield part


def is_anonymous(signal: Signal) -> bool:
    """Whether the customer of a signal is known by an anonymous id alone."""
    return signal.id_type == ANONYMOUS


def owner_of(links: Sequence[Link], time: int) -> Link | None:
    """Whose a signal of that time is: the latest person told by then, else the first one; None where none was."""
    if not links:
        return None
    return next((link for link in reversed(links) if link.time <= time), links[0])


def stitched_at(link: Link, time: int, received_at: int) -> int | None:
    """When it became known whose a signal is; None where that was known at its receipt."""
    return link.at if time < link.time or received_at < link.at else None


def _of_profile(held: HeldSignal, link: Link) -> bytes:
    since = stitched_at(link, held.time, held.received_at)
    profile = ProfileReference(link.identity.id_type, link.identity.profile)
    return as_of_profile(held.body, profile, None if since is None else to_datetime(since))


def _chunks(bodies: Iterable[bytes]) -> Iterator[list[bytes]]:
    """The bodies in lists that a message may hold; the first holds at least what may have been held."""
    chunk: list[bytes] = []
    size = 0
    for body in bodies:
        if chunk and size + len(body) > _MOST_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(body)
        size += len(body)
    if chunk:
        yield chunk


@dataclass(slots=True)
class _Book:
    """One anonymous id in a batch: who it is, in the order of times, what was held of it, and its new signals."""

    partition: int
    links: list[Link]
    told: list[Link] = field(default_factory=list)
    released: list[HeldSignal] = field(default_factory=list)
    signals: list[HeldSignal] = field(default_factory=list)
    used: int = 0

    def tell(self, identified: Identified, is_erased: Callable[[ProfileId, int], bool]) -> None:
        """Who it is; nothing is new where the same person is known for that time already, or was erased since."""
        identity = ProfileId(identified.configuration, identified.id_type, identified.profile)
        self.used = max(self.used, identified.at)
        known = owner_of(self.links, identified.time)
        if (known is not None and known.identity == identity) or is_erased(identity, identified.at):
            return
        link = Link(
            time=identified.time,
            at=identified.at,
            seen_at=identified.at,
            identity=identity,
            anonymous=identified.anonymous,
        )
        self.told.append(link)
        self.links = sorted([*self.links, link], key=lambda each: (each.time, each.at))

    def source(self, link: Link) -> Source:
        """From where something may join who it is; an older ingestion does not tell that itself."""
        return Source(profile_key(link.identity), self.partition, link.at)


IsErased = Callable[[Rows, ProfileId, int], bool]
"""Whether a profile was erased when or after something was received."""
IsSuppressed = Callable[[ProfileId], bool]
"""Whether a profile's signals are refused."""
Admit = Callable[[Rows, Sequence[Anonymous]], Admitted]
"""Leaves out what is of erased visitors."""


class Stitcher:
    """Takes what came of anonymous customers. `partitions`: how many there are."""

    def __init__(
        self,
        outbox: Outbox,
        partitions: int,
        is_erased: IsErased,
        is_suppressed: IsSuppressed = lambda _: False,
        admit: Admit = lambda _, arrivals: Admitted(arrivals),
    ) -> None:
        self._outbox = outbox
        self._partitions = partitions
        self._is_erased = is_erased
        self._is_suppressed = is_suppressed
        self._admit = admit

    def take(self, rows: Rows, arrivals: Sequence[Anonymous], now: int) -> None:
        """Hold, or hand on, inside the caller's transaction. Who somebody is counts for the whole batch."""
        admitted = self._admit(rows, arrivals)
        if not admitted.arrivals:
            return
        books = self._books(rows, admitted)
        add_links(rows, [(key, link) for key, book in books.items() for link in book.told])
        note_sources(rows, [book.source(link) for book in books.values() for link in book.told])
        refresh_links(rows, [(key, book.used) for key, book in books.items() if book.links and book.used])
        counts: dict[int, Counter[str]] = defaultdict(Counter)
        released = release(rows, [key for key, book in books.items() if book.told], now)
        for each in released:
            erased = each.received_at <= admitted.until.get(each.key, -1)  # its tombstone is on its way
            counts[books[each.key].partition]["erased" if erased else "stitched"] += 1
            if not erased:
                books[each.key].released.append(each)
        for book in books.values():
            if book.links:
                fresh = hand_on(rows, book.signals, now)
                self._hand_on(rows, book, [*book.released, *fresh])
                counts[book.partition]["forwarded"] += len(fresh)
            elif book.signals:
                held, dropped = hold(rows, book.signals)
                counts[book.partition] += Counter(held=held, dropped=dropped)
        for partition, found in counts.items():
            count_anonymous(rows, partition, found)

    def _books(self, rows: Rows, admitted: Admitted) -> dict[bytes, _Book]:
        known = links_of(rows, {each.key for each in admitted.arrivals})
        books: dict[bytes, _Book] = {}
        for each in admitted.arrivals:
            book = books.get(each.key)
            if book is None:
                until = admitted.until.get(each.key, -1)
                links = [link for link in known.get(each.key, []) if link.at > until]
                book = books[each.key] = _Book(each.partition, links)
            if isinstance(each.told, Identified):
                book.tell(each.told, lambda identity, at: self._is_erased(rows, identity, at))
            else:
                signal = each.told
                book.used = max(book.used, signal.received_at)
                book.signals.append(
                    held_signal(each.key, signal.source, signal.id, signal.time, signal.received_at, each.body)
                )
        return books

    def _hand_on(self, rows: Rows, book: _Book, signals: Sequence[HeldSignal]) -> None:
        """Write what each of the people is to get into the outbox; what was held comes first, so that it goes whole.

        Nothing is theirs whose signals are refused, nor what was received before they were erased.
        """
        shares: dict[ProfileId, list[tuple[HeldSignal, Link]]] = defaultdict(list)
        for each in signals:
            link = owner_of(book.links, each.time)
            assert link is not None
            shares[link.identity].append((each, link))
        for identity, share in shares.items():
            for chunk in _chunks(_of_profile(*each) for each in self._standing(rows, identity, share)):
                self._outbox.add(self._messages(identity, chunk), partition=book.partition)

    def _standing(
        self, rows: Rows, identity: ProfileId, share: list[tuple[HeldSignal, Link]]
    ) -> list[tuple[HeldSignal, Link]]:
        if self._is_suppressed(identity):
            return []
        if not self._is_erased(rows, identity, min(held.received_at for held, _ in share)):
            return share
        return [each for each in share if not self._is_erased(rows, identity, each[0].received_at)]

    def _messages(self, identity: ProfileId, bodies: list[bytes]) -> Iterator[Message]:
        read = [decode_signal(body) for body in bodies]
        configuration = read[0].data.audience_configuration
        profile = ProfileReference(identity.id_type, identity.profile)
        yield self._bundle(identity, configuration, profile, bodies)
        for signal, body in zip(read, bodies, strict=True):
            yield Message(
                exchange=JOURNEYS,
                routing_key=signal.kind.routing_key,
                body=body,
                message_id=message_id_of(signal.id),
                optional=True,
            )

    def _bundle(
        self, identity: ProfileId, configuration: Reference, profile: ProfileReference, bodies: list[bytes]
    ) -> Message:
        partition = partition_of(*identity, self._partitions)
        return Message(
            exchange=PARTITIONS,
            routing_key=partition_key(partition),
            body=encode_stitched(configuration, profile, bodies),
            message_id=f"{STITCHED_ID_PREFIX}{profile_key(identity).hex()}",
            content_type=STITCHED_TYPE,
        )
