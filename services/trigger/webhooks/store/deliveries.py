"""Rows of deliveries and their attempts. Every call needs a connection; those that write, the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from services.trigger.store.rows import Row, Rows
from services.trigger.webhooks.resources import Attempt, Claimed, Delivery, State, Subscription

_DELIVERY = "id, subscription_id, event_id, type, state, taken_at, attempts, next_at, finished_at, body"
_CHUNK = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """An event that a subscription is to get."""

    subscription_id: str
    source: str
    event_id: str
    type: str
    profile_key: bytes | None
    body: bytes

    @property
    def key(self) -> bytes:
        """What makes two of them the same, so that the broker's repeats double nothing (DOMAIN §6.8)."""
        text = f"{self.subscription_id}:{len(self.source)}:{self.source}{self.event_id}"
        whose = self.profile_key or b""
        return blake2b(whose + text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class DeliveryRows:
    """Deliveries: taken up, claimed, recorded, listed, redelivered, forgotten."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def add(self, taken: Sequence[Taken], now: int) -> list[Taken]:
        """Write those that are new, due at once, in their order; returns them."""
        by_key = {each.key: each for each in taken}
        columns = {
            **{"key": "bytea", "subscription_id": "text", "event_id": "text", "type": "text", "profile_key": "bytea"},
            **{"body": "bytea", "state": "text", "taken_at": "bigint", "attempts": "integer", "next_at": "bigint"},
        }
        rows = [
            (key, each.subscription_id, each.event_id, each.type, each.profile_key, each.body, "pending", now, 0, now)
            for key, each in by_key.items()
        ]
        new = self.rows.insert_new("webhook_deliveries", columns, rows, "key", "(key)")
        return [by_key[bytes(key)] for key in new]

    def due(self) -> dict[str, int]:
        """Enabled subscription → when its next delivery is due; without those that have none. A seek for each."""
        sql = (
            "SELECT s.id, (SELECT d.next_at FROM webhook_deliveries d WHERE d.subscription_id = s.id"
            " AND d.state = 'pending' ORDER BY d.next_at LIMIT 1) FROM webhook_subscriptions s WHERE s.enabled = 1"
        )
        return {row[0]: int(row[1]) for row in self.rows.execute(sql) if row[1] is not None}

    def claim(self, subscription: Subscription, most: int, now: int, until: int, claim: str) -> list[Claimed]:
        """Take deliveries that are due; nobody else gets them before `until`. What another is taking is skipped."""
        skip = " FOR UPDATE SKIP LOCKED" if self.rows.postgresql else ""
        found = self.rows.execute(
            "WITH due AS MATERIALIZED (SELECT id FROM webhook_deliveries"  # noqa: S608
            f" WHERE subscription_id = ? AND state = 'pending' AND next_at <= ? ORDER BY next_at LIMIT ?{skip})"
            " UPDATE webhook_deliveries SET next_at = ?, claim = ?"
            " WHERE id IN (SELECT id FROM due) AND state = 'pending' AND next_at <= ?"
            " RETURNING id, event_id, type, body, attempts",
            (subscription.id, now, most, until, claim, now),
        )
        return [
            Claimed(
                id=row[0],
                subscription=subscription,
                event_id=row[1],
                type=row[2],
                body=bytes(row[3]),
                attempts=row[4],
                claim=claim,
            )
            for row in found
        ]

    def add_attempts(self, attempts: Sequence[tuple[int, Attempt]]) -> None:
        """Write what was tried: (delivery, attempt); of deliveries that were forgotten meanwhile, nothing."""
        tried = {delivery_id for delivery_id, _ in attempts}
        sql = "SELECT id FROM webhook_deliveries WHERE id IN {values}"
        standing = {row[0] for row in self.rows.select_in(sql, tried, "bigint")}
        columns = {"delivery_id": "bigint", "at": "bigint", "duration": "bigint", "status": "integer", "error": "text"}
        rows = [
            (delivery_id, each.at, each.duration, each.status, each.error)
            for delivery_id, each in attempts
            if delivery_id in standing
        ]
        self.rows.insert("webhook_attempts", columns, rows)

    def finish(self, delivery_id: int, state: State, now: int, claim: str | None) -> bool:
        """Delivered or dead. With a claim it must still hold: else another process has taken the delivery over."""
        more = " AND claim = ?" if claim is not None else ""
        done = self.rows.execute(
            "UPDATE webhook_deliveries SET state = ?, attempts = attempts + 1, next_at = NULL, claim = NULL,"  # noqa: S608
            f" finished_at = ? WHERE id = ? AND state = 'pending'{more} RETURNING id",
            (state, now, delivery_id, *(() if claim is None else (claim,))),
        )
        return bool(done)

    def postpone(self, delivery_id: int, next_at: int, claim: str) -> bool:
        """Try again later, if the claim still holds."""
        done = self.rows.execute(
            "UPDATE webhook_deliveries SET attempts = attempts + 1, next_at = ?, claim = NULL"
            " WHERE id = ? AND state = 'pending' AND claim = ? RETURNING id",
            (next_at, delivery_id, claim),
        )
        return bool(done)

    # What callers see and ask for.

    def page(self, subscription_id: str, states: Sequence[State], before: int | None, limit: int) -> list[Delivery]:
        """Deliveries in some of the states, the newest first; `before`: the id of the last one seen."""
        where = " AND id < ?" if before is not None else ""
        sql = (
            f"SELECT {_DELIVERY} FROM webhook_deliveries WHERE subscription_id = ? AND state = ?{where}"  # noqa: S608
            " ORDER BY id DESC LIMIT ?"
        )
        more = () if before is None else (before,)
        found = [row for state in states for row in self.rows.execute(sql, (subscription_id, state, *more, limit))]
        return [_delivery(row) for row in sorted(found, key=lambda row: -row[0])[:limit]]

    def find(self, subscription_id: str, delivery_id: int) -> Delivery | None:
        """One delivery of a subscription."""
        sql = f"SELECT {_DELIVERY} FROM webhook_deliveries WHERE id = ? AND subscription_id = ?"  # noqa: S608
        found = self.rows.execute(sql, (delivery_id, subscription_id))
        return _delivery(found[0]) if found else None

    def logs(self, delivery_ids: Sequence[int]) -> dict[int, list[Attempt]]:
        """Delivery → what was tried, the oldest first; without those never tried."""
        sql = "SELECT delivery_id, id, at, duration, status, error FROM webhook_attempts WHERE delivery_id IN {values}"
        found: dict[int, list[Attempt]] = {}
        for delivery_id, _, at, duration, status, error in sorted(self.rows.select_in(sql, delivery_ids, "bigint")):
            attempt = Attempt(at=at, duration=duration, status=status, error=error)
            found.setdefault(delivery_id, []).append(attempt)
        return found

    def redeliver(self, subscription_id: str, delivery_id: int, now: int) -> bool:
        """Send it now, whatever became of it, with all attempts before it again."""
        sql = (
            "UPDATE webhook_deliveries SET state = 'pending', attempts = 0, next_at = ?, claim = NULL,"
            " finished_at = NULL WHERE id = ? AND subscription_id = ? RETURNING id"
        )
        return bool(self.rows.execute(sql, (now, delivery_id, subscription_id)))

    def redeliver_dead(self, subscription_id: str, since: int, now: int) -> int:
        """The same for some of the dead ones that were taken up since an instant; returns how many, 0 at the end."""
        sql = (
            "UPDATE webhook_deliveries SET state = 'pending', attempts = 0, next_at = ?, claim = NULL,"
            " finished_at = NULL WHERE id IN (SELECT id FROM webhook_deliveries"
            " WHERE subscription_id = ? AND state = 'dead' AND taken_at >= ? ORDER BY id LIMIT ?) RETURNING id"
        )
        return len(self.rows.execute(sql, (now, subscription_id, since, _CHUNK)))

    def waiting(self) -> list[tuple[str, int, int]]:
        """(Subscription, how many wait, when the oldest was taken up) of all."""
        sql = (
            "SELECT subscription_id, count(*), min(taken_at) FROM webhook_deliveries WHERE state = 'pending'"
            " GROUP BY subscription_id ORDER BY subscription_id"
        )
        return [(row[0], int(row[1]), int(row[2])) for row in self.rows.execute(sql)]

    def surplus(self, subscription_id: str, most: int) -> int:
        """How many more of a webhook's wait than may."""
        sql = "SELECT count(*) FROM webhook_deliveries WHERE subscription_id = ? AND state = 'pending'"
        return max(0, int(self.rows.execute(sql, (subscription_id,))[0][0]) - most)

    def drop_oldest(self, subscription_id: str, count: int) -> int:
        """Delete some of the oldest that wait and are not being sent, at most `count`; returns how many."""
        sql = (
            "SELECT id FROM webhook_deliveries WHERE subscription_id = ? AND state = 'pending' AND claim IS NULL"
            " ORDER BY id LIMIT ?"
        )
        return self._forget(sql, (subscription_id, min(count, _CHUNK)))

    # Forgetting, in parts: nobody is held up for long.

    def forget_finished(self, before: int) -> int:
        """Delete some of those that were finished before an instant; returns how many."""
        return self._forget("SELECT id FROM webhook_deliveries WHERE finished_at < ? LIMIT ?", (before, _CHUNK))

    def forget_held(self, subscription_id: str, before: int) -> int:
        """Delete some of a webhook's that wait since before an instant; returns how many."""
        sql = (
            "SELECT id FROM webhook_deliveries WHERE subscription_id = ? AND state = 'pending' AND taken_at < ? LIMIT ?"
        )
        return self._forget(sql, (subscription_id, before, _CHUNK))

    def forget_all(self, subscription_id: str) -> int:
        """Delete some of a webhook's; returns how many."""
        return self._forget(
            "SELECT id FROM webhook_deliveries WHERE subscription_id = ? LIMIT ?", (subscription_id, _CHUNK)
        )

    def owners(self) -> list[str]:
        """The webhooks, also former ones, that have deliveries: a seek in the index for each."""
        found: list[str] = []
        while True:
            sql = "SELECT subscription_id FROM webhook_deliveries WHERE subscription_id > ? ORDER BY 1 LIMIT 1"
            rows = self.rows.execute(sql, (found[-1] if found else "",))
            if not rows:
                return found
            found.append(rows[0][0])

    def forget_profile(self, profile_key: bytes, *, until: int = 2**62) -> int:
        """Delete some of those about a profile that were taken up by an instant; returns how many."""
        sql = "SELECT id FROM webhook_deliveries WHERE profile_key = ? AND taken_at <= ? LIMIT ?"
        return self._forget(sql, (profile_key, until, _CHUNK))

    def _forget(self, which: str, parameters: Row) -> int:
        ids = [(row[0],) for row in self.rows.execute(which, parameters)]
        self.rows.execute_many("DELETE FROM webhook_attempts WHERE delivery_id = ?", ids)
        self.rows.execute_many("DELETE FROM webhook_deliveries WHERE id = ?", ids)
        return len(ids)


def _delivery(row: Row) -> Delivery:
    return Delivery(
        id=row[0],
        subscription_id=row[1],
        event_id=row[2],
        type=row[3],
        state=row[4],
        taken_at=row[5],
        attempts=row[6],
        next_at=row[7],
        finished_at=row[8],
        body=bytes(row[9]),
    )
