"""Walks through tables for what names erased customers; each call a chunk inside the caller's transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from services.trigger.about import profile_about, profile_of_event
from services.trigger.store.anonymous import count_anonymous
from services.trigger.store.erasures import Erasure
from services.trigger.store.rows import Rows
from services.trigger.store.sources import erase_sources
from services.trigger.store.spellings import Kept, spelling_of
from services.trigger.webhooks.store.deliveries import DeliveryRows

Gone = dict[str, int]
"""Erasure → how many rows went."""


@dataclass(frozen=True, slots=True)
class Whom:
    """What is looked for. `is_in`: whether kept bytes hold the value."""

    erasure: Erasure
    profile: bytes
    told: str
    is_in: Callable[[Kept], bool]


@dataclass(frozen=True, slots=True)
class Sought:
    """Everybody who is looked for in one walk."""

    whom: tuple[Whom, ...]

    @classmethod
    def of(cls, erasures: Sequence[Erasure], told: Mapping[str, str]) -> Sought:
        """`told`: erasure → the id of the message that told the other services."""
        return cls(
            tuple(
                Whom(each, each.profile_key, told[each.id], spelling_of(each.id_type, each.profile))
                for each in erasures
                if each.profile is not None and each.profile_key is not None
            )
        )

    def by_key(self, profile: bytes | None) -> Whom | None:
        """The one of that profile."""
        return next((each for each in self.whom if each.profile == profile), None)

    def within(self, body: bytes, configuration: str | None = None) -> Whom | None:
        """The first one whose value stands in kept bytes, of a configuration where that is known."""
        kept = Kept(body)
        meant = (each for each in self.whom if configuration in (None, each.erasure.configuration))
        return next((each for each in meant if each.is_in(kept)), None)


def _walk_outbox(rows: Rows, sought: Sought, place: int, limit: int) -> tuple[Gone, int | None]:
    """Messages that were sent, and those that told the other services whom to erase."""
    told = {each.told: each for each in sought.whom}
    found = rows.execute(
        "SELECT id, message_id, body, created_at FROM outbox WHERE id > ? AND sent_at IS NOT NULL ORDER BY id LIMIT ?",
        (place, limit),
    )
    gone: Counter[str] = Counter()
    for row, message_id, body, created_at in found:
        whom = told.get(message_id) or sought.by_key(profile_about(bytes(body)))
        if whom is not None and (message_id in told or created_at <= (whom.erasure.erased_at or 0)):
            gone[whom.erasure.id] += rows.change("DELETE FROM outbox WHERE id = ?", (row,))
    return dict(gone), found[-1][0] if len(found) == limit else None


def _walk_refused(rows: Rows, sought: Sought, place: int, limit: int) -> tuple[Gone, int | None]:
    """Refused signals, also those whose profile could not be read but whose text holds the value."""
    found = rows.execute(
        "SELECT sequence, profile_key, at, configuration, body, answer, sent FROM refused WHERE sequence > ?"
        " ORDER BY sequence LIMIT ?",
        (place, limit),
    )
    gone: Counter[str] = Counter()
    for sequence, key, at, configuration, *kept in found:
        body = b"\n".join(bytes(each or b"") for each in kept)
        whom = sought.by_key(bytes(key)) or sought.within(body, configuration or None)
        if whom is not None and at <= (whom.erasure.erased_at or 0):
            gone[whom.erasure.id] += rows.change("DELETE FROM refused WHERE sequence = ?", (sequence,))
    return dict(gone), found[-1][0] if len(found) == limit else None


def _walk_deliveries(rows: Rows, sought: Sought, place: int, limit: int) -> tuple[Gone, int | None]:  # noqa: ARG001
    """Deliveries that a webhook took up while the tombstone was being taken."""
    deliveries = DeliveryRows(rows)
    gone = {
        each.erasure.id: deliveries.forget_profile(each.profile, until=each.erasure.erased_at or 0)
        for each in sought.whom
    }
    return {key: count for key, count in gone.items() if count}, 0 if any(gone.values()) else None


def _walk_backtests(rows: Rows, sought: Sought, place: int, limit: int) -> tuple[Gone, int | None]:  # noqa: ARG001
    """Back-tests whose examples name the customer: the whole job goes, and can be asked for again."""
    gone: Counter[str] = Counter()
    for job, request, result in rows.execute(
        "SELECT id, request, result FROM backtests WHERE state IN ('done', 'failed', 'cancelled')"
    ):
        whom = sought.within(bytes(request) + bytes(result or b""))
        if whom is not None:
            gone[whom.erasure.id] += rows.change("DELETE FROM backtests WHERE id = ?", (job,))
    return dict(gone), None


def _walk_anonymous(rows: Rows, sought: Sought, place: int, limit: int) -> tuple[Gone, int | None]:
    """What anonymous customers sent and is held, where it names the customer; and who was told to be the customer,
    and from which partitions that came.

    Of a visitor who is the one to be erased, what was received since the request stays.
    """
    found = rows.execute(
        "SELECT id, key, received_at, body FROM anonymous_signals WHERE id > ? ORDER BY id LIMIT ?", (place, limit)
    )
    gone: Counter[str] = Counter()
    for row, key, received_at, body in found:
        whom, own = sought.by_key(bytes(key)), True
        if whom is None:
            whose, own = profile_of_event(bytes(body)), False
            whom = None if whose is None else sought.within(bytes(body), whose.configuration)
        if whom is not None and received_at <= (whom.erasure.at if own else whom.erasure.erased_at or 0):
            gone[whom.erasure.id] += rows.change("DELETE FROM anonymous_signals WHERE id = ?", (row,))
    count_anonymous(rows, 0, {"erased": sum(gone.values())})
    for whom in sought.whom:
        gone[whom.erasure.id] += rows.change(
            "DELETE FROM anonymous_links WHERE (profile_key = ? OR key = ?) AND at <= ?",
            (whom.profile, whom.profile, whom.erasure.at),
        )
        erase_sources(rows, whom.profile, whom.erasure.at)
    return {key: count for key, count in gone.items() if count}, found[-1][0] if len(found) == limit else None


Walk = Callable[[Rows, Sought, int, int], tuple[Gone, int | None]]
WALKS: tuple[tuple[str, Walk], ...] = (
    ("outbox", _walk_outbox),
    ("refused", _walk_refused),
    ("anonymous", _walk_anonymous),
    ("webhook_deliveries", _walk_deliveries),
    ("backtests", _walk_backtests),
)
"""Store → the walk through it."""


def is_being_read(rows: Rows, erasure: Erasure) -> bool:
    """Whether a back-test began before the erasure and may still name the customer when it ends."""
    sql = "SELECT 1 FROM backtests WHERE state = 'running' AND started_at <= ? LIMIT 1"
    return bool(rows.execute(sql, (erasure.log_gone_at or erasure.erased_at or 0,)))
