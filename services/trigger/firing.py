"""Deciding due waits in one transaction with their raises and the outbox (ARCHITECTURE §3.6, DOMAIN §6.4)."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contracts.events import encode_moment_event, moment_routing_key
from contracts.times import MINUTE
from contracts.topology import JOURNEYS
from services.trigger.audience import Audience, RaisedFor
from services.trigger.engine.application import ProfileId
from services.trigger.engine.decide import Decision, NotReady, decide, record
from services.trigger.engine.filters import Past
from services.trigger.engine.moment import Moment
from services.trigger.engine.profile import LastMoment
from services.trigger.engine.state import Wait
from services.trigger.engine.waits import due_of
from services.trigger.joining import Joins
from services.trigger.reach import Reach
from services.trigger.registry import Registry
from services.trigger.store.cache import Cache, Stored
from services.trigger.store.erasures import doomed_profiles
from services.trigger.store.raises import RaiseRow, insert_raises, last_raises, raised_orders
from services.trigger.store.records import add_counts, last_sequence
from services.trigger.store.rollups import Outcome, feed_outcomes
from services.trigger.store.rows import Rows
from services.trigger.store.shelf import BatchShelf
from services.trigger.store.waits import DueWait, delete_waits, move_waits, waits_of_profiles
from shared.broker import Message
from shared.outbox import Outbox

CHUNK = 250
PUT_OFF = 5 * MINUTE
"""For how long a wait that cannot be decided is left alone (µs)."""


@dataclass(slots=True)
class _Candidate:
    row: DueWait
    stored: Stored
    moment: Moment
    wait: Wait

    @property
    def order(self) -> tuple[int, str, str]:
        return (due_of(self.moment, self.wait), self.stored.identity.kind, self.stored.identity.process)


@dataclass(frozen=True, slots=True)
class Fired:
    """What one transaction decided; `more` when there may be further due waits."""

    raised: int
    suppressed: int
    more: bool


def fire(
    rows: Rows,
    outbox: Outbox,
    registry: Registry,
    credits: Mapping[int, int],
    now: int,
    cache: Cache | None = None,
    joins: Joins | None = None,
    limit: int | None = None,
) -> Fired:
    """Decide, inside the caller's transaction, up to a chunk of the waits that are due, or up to `limit`.

    `credits`: partition → the instant of its marker: waits ready at or before it may be decided (DOMAIN §6.5), those of
    profiles with anonymous ids as far as `joins` knows that these have come through.
    Raises what the engine raises at a wait that it cannot decide; with a `limit` of one that is the first.
    """
    reach = Reach(rows, credits, now, joins)
    found = reach.take(limit or CHUNK)
    if not found:
        return Fired(0, 0, more=reach.full)
    shelf = BatchShelf(rows, cache)
    candidates, orphans = _candidates(shelf, found, registry)
    if reach.full and limit != 1:
        candidates += _companions(rows, shelf, candidates, registry, reach, now)
    doomed = doomed_profiles(rows)  # their waits are left to the tombstone, which suppresses them
    candidates = [each for each in candidates if each.stored.profile_key not in doomed]
    delete_waits(rows, [row.key for row in orphans])
    shelf.fetch_history({id(c.stored.process): c.stored.process for c in candidates}.values())
    batch = _Batch(rows, outbox, registry, now, last_sequence(rows))
    batch.read_past(candidates)
    for candidate in sorted(candidates, key=lambda candidate: candidate.order):
        batch.decide(shelf, candidate, reach)
    shelf.save()
    batch.write(candidates[0].row.partition if candidates else 0)
    batch.tell_audience(cache if cache is not None else Cache())
    return Fired(batch.raised, batch.suppressed, more=reach.full)


def put_off_first(rows: Rows, credits: Mapping[int, int], now: int, joins: Joins | None = None) -> DueWait | None:
    """Leave the first of the waits that may be decided alone for a while; it stays pending."""
    for row in Reach(rows, credits, now, joins).take(1):
        move_waits(rows, [(now + PUT_OFF, row.key)])
        return row
    return None


def _candidates(
    shelf: BatchShelf, found: Sequence[DueWait], registry: Registry
) -> tuple[list[_Candidate], list[DueWait]]:
    stored = shelf.fetch({row.key[0] for row in found})
    candidates, orphans = [], []
    for row in found:
        process_key, moment_id, number = row.key
        moment = registry.moment(moment_id)
        place = stored.get(process_key)
        wait = place.process.wait(moment_id, number) if place is not None else None
        if moment is None or place is None or wait is None:
            orphans.append(row)
        else:
            candidates.append(_Candidate(row, place, moment, wait))
    return candidates, orphans


def _companions(
    rows: Rows,
    shelf: BatchShelf,
    candidates: Sequence[_Candidate],
    registry: Registry,
    reach: Reach,
    now: int,
) -> list[_Candidate]:
    """Further waits that are due, of the same moments and customers, where an earlier raise forbids a later one.

    Of what is due together the smaller (due, process) wins (DOMAIN §4): the end of a chunk must not part them.
    """
    profiles = {c.stored.profile_key for c in candidates if c.moment.depends_on_past}
    known = {c.row.key for c in candidates}
    found = reach.only([row for row in waits_of_profiles(rows, profiles, now) if row.key not in known])
    companions, _ = _candidates(shelf, found, registry)
    return [companion for companion in companions if companion.moment.depends_on_past]


class _Batch:
    """The decisions of one transaction and what they write."""

    def __init__(self, rows: Rows, outbox: Outbox, registry: Registry, now: int, after: int):
        self._rows = rows
        self._outbox = outbox
        self._registry = registry
        self._now = now
        self._after = after
        self._last: dict[str, dict[bytes, int]] = {}
        self._orders: dict[str, dict[bytes, set[str]]] = {}
        self._moved: list[tuple[int, tuple[bytes, str, int]]] = []
        self._gone: list[tuple[bytes, str, int]] = []
        self._raises: list[RaiseRow] = []
        self._places: dict[str, int] = {}
        self._messages: dict[str, tuple[int, Message]] = {}
        self._profiles: dict[str, RaisedFor] = {}
        self.raised = 0
        self.suppressed = 0

    def read_past(self, candidates: Sequence[_Candidate]) -> None:
        """Load the earlier raises that cool-downs and orders are held against."""
        cooling: dict[str, set[bytes]] = defaultdict(set)
        ordering: dict[str, set[bytes]] = defaultdict(set)
        for candidate in candidates:
            moment, profile = candidate.moment, candidate.stored.profile_key
            if moment.settings.get("coolDown"):
                cooling[moment.id].add(profile)
            if moment.template.once_per == "order":
                ordering[moment.id].add(profile)
        self._last = {moment: last_raises(self._rows, moment, profiles) for moment, profiles in cooling.items()}
        self._orders = {moment: raised_orders(self._rows, moment, profiles) for moment, profiles in ordering.items()}

    def decide(self, shelf: BatchShelf, candidate: _Candidate, reach: Reach) -> None:
        """Decide one wait and note what follows; a wait that is ready only after what it may be is not decided.

        A wait that slid stands in the index before its true due: that one, too, must not be after the marker.
        """
        stored, moment, wait = candidate.stored, candidate.moment, candidate.wait
        last = self._last.setdefault(moment.id, {})
        orders = self._orders.setdefault(moment.id, {}).setdefault(stored.profile_key, set())
        outcome = decide(
            stored.process,
            stored.identity,
            moment,
            wait,
            shelf.history(stored.process),
            now=reach.of(candidate.row),
            past=Past(last_due=last.get(stored.profile_key), orders=orders),
        )
        shelf.touch(candidate.row.key[0])
        if isinstance(outcome, NotReady):
            wait.armed = outcome.at
            self._moved.append((outcome.at, candidate.row.key))
            reach.hold(candidate.row, outcome.at)
            return
        track = stored.process.tracks[moment.id]
        record(track, wait, outcome)
        self._gone.append(candidate.row.key)
        event = b""
        if outcome.raised:
            last[stored.profile_key] = max(last.get(stored.profile_key, 0), outcome.due)
            orders.update(outcome.orders)
            event = self._event(candidate, outcome)
            message = Message(
                exchange=JOURNEYS,
                routing_key=moment_routing_key(moment.template.type),
                body=event,
                message_id=outcome.raise_id,
            )
            self._messages[outcome.raise_id] = (candidate.row.partition, message)
            self._profiles[outcome.raise_id] = self._raised_for(candidate, outcome)
        self._note(candidate, outcome, event, track.run)

    def write(self, partition: int) -> None:
        """Write index, raises, outbox and counters. What stands already is not published or counted again."""
        move_waits(self._rows, self._moved)
        delete_waits(self._rows, self._gone)
        inserted = insert_raises(self._rows, self._raises)
        by_partition: dict[int, list[Message]] = defaultdict(list)
        self._profiles = {key: each for key, each in self._profiles.items() if key in inserted}
        for key, (place, message) in self._messages.items():
            if key in inserted:
                by_partition[place].append(message)
        for place, messages in by_partition.items():
            self._outbox.add(messages, partition=place)
        recorded = [row for row in self._raises if row.id in inserted]
        feed_outcomes(self._rows, [Outcome(row.moment_id, self._places[row.id], row.id, self._now) for row in recorded])
        self._count(recorded, partition)

    def _count(self, recorded: Sequence[RaiseRow], partition: int) -> None:
        self.raised = sum(row.raised for row in recorded)
        self.suppressed = len(recorded) - self.raised
        counts = Counter((row.moment_id, "raised" if row.raised else f"suppressed:{row.reason}") for row in recorded)
        add_counts(self._rows, counts, partition, self._now)

    def tell_audience(self, cache: Cache) -> None:
        """After `write`: let the profiles know of what was raised for them."""
        audience = Audience(self._rows, self._outbox, self._registry.configurations, cache)
        audience.take_raises(self._profiles.values(), self._now)

    def _raised_for(self, candidate: _Candidate, outcome: Decision) -> RaisedFor:
        stored, moment = candidate.stored, candidate.moment
        return RaisedFor(
            stored.profile_key,
            ProfileId(*stored.identity[:3]),
            stored.partition,
            LastMoment(self._now, outcome.raise_id, moment.id, moment.name, moment.template.type),
        )

    def _note(self, candidate: _Candidate, outcome: Decision, event: bytes, run: int) -> None:
        self._places[outcome.raise_id] = candidate.row.partition
        self._raises.append(
            RaiseRow(
                id=outcome.raise_id,
                moment_id=candidate.moment.id,
                profile_key=candidate.stored.profile_key,
                process_key=candidate.row.key[0],
                raised=outcome.raised,
                reason=outcome.reason,
                due_at=outcome.due,
                decided_at=self._now,
                event=event,
                number=candidate.wait.number,
                opened_at=outcome.opened_at,
                last_at=outcome.last_activity_at,
                run=run,
                version=candidate.moment.versions[-1].number,
                after=self._after,
                orders=json.dumps(sorted(outcome.orders)) if outcome.raised and outcome.orders else None,
            )
        )

    def _event(self, candidate: _Candidate, outcome: Decision) -> bytes:
        identity, moment = candidate.stored.identity, candidate.moment
        return encode_moment_event(
            raise_id=outcome.raise_id,
            moment=(moment.id, moment.name, moment.template.type),
            configuration=(moment.configuration, self._registry.configurations.get(moment.configuration)),
            profile=(identity.id_type, identity.profile),
            process=(identity.kind, identity.process),
            site=outcome.site,
            content=outcome.content,
            attributes=outcome.attributes,
            times=(outcome.opened_at, outcome.last_activity_at, outcome.due, self._now),
            number=outcome.number,
            signal_ids=outcome.signal_ids,
        )
