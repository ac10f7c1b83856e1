"""Rows of subscriptions. Every call needs a connection; those that write, the caller's transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from services.trigger.store.rows import Row, Rows
from services.trigger.webhooks.resources import DisabledReason, Subscription

_COLUMNS = (
    *("id", "name", "description", "url", "patterns", "enabled", "version", "created_at", "updated_at", "secret"),
    *("disabled_at", "disabled_reason", "previous_secret", "previous_until", "failing_since", "paused_until"),
)
_NAMES = ", ".join(_COLUMNS)


class SubscriptionRows:
    """Subscriptions, what is bound for them, and what became of their events, counted."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def find(self, subscription_id: str, *, lock: bool = False) -> Subscription | None:
        """One subscription; `lock` holds it until the transaction ends."""
        tail = " FOR UPDATE" if lock and self.rows.postgresql else ""
        found = self.rows.execute(f"SELECT {_NAMES} FROM webhook_subscriptions WHERE id = ?{tail}", (subscription_id,))  # noqa: S608
        return _subscription(found[0]) if found else None

    def page(self, after: tuple[int, str] | None, limit: int) -> list[Subscription]:
        """Subscriptions, the newest first; `after`: creation and id of the last one seen."""
        where, parameters = "", ()
        if after is not None:
            where, parameters = " WHERE (created_at, id) < (?, ?)", after  # type: ignore[assignment]
        sql = f"SELECT {_NAMES} FROM webhook_subscriptions{where} ORDER BY created_at DESC, id DESC LIMIT ?"  # noqa: S608
        return [_subscription(row) for row in self.rows.execute(sql, (*parameters, limit))]

    def enabled(self) -> list[Subscription]:
        """All that are sent to."""
        sql = f"SELECT {_NAMES} FROM webhook_subscriptions WHERE enabled = 1"  # noqa: S608
        return [_subscription(row) for row in self.rows.execute(sql)]

    def switches(self) -> dict[str, bool]:
        """Subscription → whether it is enabled, of all."""
        return {row[0]: bool(row[1]) for row in self.rows.execute("SELECT id, enabled FROM webhook_subscriptions")}

    def count(self) -> int:
        """How many there are."""
        return int(self.rows.execute("SELECT count(*) FROM webhook_subscriptions")[0][0])

    def add(self, value: Subscription) -> None:
        """Write a new one."""
        marks = ", ".join("?" * len(_COLUMNS))
        self.rows.execute(f"INSERT INTO webhook_subscriptions ({_NAMES}) VALUES ({marks})", _row(value))  # noqa: S608
        self._changed()

    def change(self, value: Subscription, former: int) -> bool:
        """Write one; False when it has not the `former` version any more."""
        changes = ", ".join(f"{name} = ?" for name in _COLUMNS)
        sql = f"UPDATE webhook_subscriptions SET {changes} WHERE id = ? AND version = ? RETURNING id"  # noqa: S608
        done = self.rows.execute(sql, (*_row(value), value.id, former))
        self._changed()
        return bool(done)

    def remove(self, value: Subscription) -> bool:
        """Delete one; its deliveries are forgotten later. False when it has another version by now."""
        sql = "DELETE FROM webhook_subscriptions WHERE id = ? AND version = ? RETURNING id"
        done = self.rows.execute(sql, (value.id, value.version))
        self.rows.execute("DELETE FROM webhook_counters WHERE subscription_id = ?", (value.id,))
        self._changed()
        return bool(done)

    # What its endpoint did.

    def succeeded(self, subscription_id: str) -> None:
        """The endpoint took an event."""
        self.rows.execute(
            "UPDATE webhook_subscriptions SET failing_since = NULL, paused_until = 0"
            " WHERE id = ? AND (failing_since IS NOT NULL OR paused_until > 0)",
            (subscription_id,),
        )

    def failed(self, subscription_id: str, at: int, pause_until: int | None) -> None:
        """The endpoint did not take an event; it may have asked for a rest."""
        self.rows.execute(
            "UPDATE webhook_subscriptions SET failing_since = COALESCE(failing_since, ?),"
            " paused_until = CASE WHEN paused_until < ? THEN ? ELSE paused_until END WHERE id = ?",
            (at, pause_until or 0, pause_until or 0, subscription_id),
        )

    def disable(
        self, subscription_id: str, reason: DisabledReason, now: int, *, failing_before: int | None = None
    ) -> bool:
        """Send no more, if it is enabled and, where given, has been failing since before an instant."""
        more = " AND failing_since <= ?" if failing_before is not None else ""
        done = self.rows.execute(
            "UPDATE webhook_subscriptions SET enabled = 0, disabled_at = ?, disabled_reason = ?, updated_at = ?,"  # noqa: S608
            f" version = version + 1 WHERE id = ? AND enabled = 1{more} RETURNING id",
            (now, reason, now, subscription_id, *(() if failing_before is None else (failing_before,))),
        )
        if done:
            self._changed()
        return bool(done)

    def count_up(self, counts: Counter[tuple[str, str]]) -> None:
        """Add to counters: (subscription, counter) → how many more."""
        columns = {"subscription_id": "text", "counter": "text", "value": "bigint"}
        conflict = "(subscription_id, counter) DO UPDATE SET value = webhook_counters.value + excluded.value"
        rows = [(*key, value) for key, value in sorted(counts.items())]
        self.rows.insert("webhook_counters", columns, rows, conflict)

    def counters(self) -> list[tuple[str, str, int]]:
        """(Subscription, counter, value) of all."""
        return [
            (row[0], row[1], int(row[2]))
            for row in self.rows.execute(
                "SELECT subscription_id, counter, value FROM webhook_counters"
                " WHERE subscription_id IN (SELECT id FROM webhook_subscriptions) ORDER BY 1, 2"
            )
        ]

    def forget_counters(self) -> None:
        """Delete what was counted, by requests that were underway, for webhooks that are no more."""
        self.rows.execute(
            "DELETE FROM webhook_counters WHERE subscription_id NOT IN (SELECT id FROM webhook_subscriptions)"
        )

    # What is bound.

    def revision(self) -> int:
        """A number that rises with every change of any subscription."""
        return int(self.rows.execute("SELECT revision FROM webhook_state")[0][0])

    def claim_binder(self, name: str, now: int, until: int) -> bool:
        """Become the only process that binds, until `release_binder` or an instant."""
        sql = "UPDATE webhook_state SET binder = ?, binder_until = ? WHERE binder_until < ? OR binder = ? RETURNING id"
        return bool(self.rows.execute(sql, (name, until, now, name)))

    def release_binder(self, name: str, revision: int) -> None:
        """Let others bind; what stood at `revision` is bound."""
        sql = "UPDATE webhook_state SET binder_until = 0, bound_revision = ? WHERE binder = ?"
        self.rows.execute(sql, (revision, name))

    def bound(self) -> set[str]:
        """The patterns that may be bound."""
        return {row[0] for row in self.rows.execute("SELECT pattern FROM webhook_bindings")}

    def note_bound(self, patterns: Iterable[str]) -> None:
        """These are about to be bound."""
        columns = {"pattern": "text"}
        self.rows.insert("webhook_bindings", columns, [(each,) for each in sorted(patterns)], "(pattern) DO NOTHING")

    def forget_bound(self, patterns: Sequence[str]) -> None:
        """These are bound no more."""
        self.rows.execute_many("DELETE FROM webhook_bindings WHERE pattern = ?", [(each,) for each in patterns])

    def _changed(self) -> None:
        self.rows.execute("UPDATE webhook_state SET revision = revision + 1")


def _row(value: Subscription) -> Row:
    fields: dict[str, Any] = {name: getattr(value, name) for name in _COLUMNS}
    fields["patterns"] = msgspec.json.encode(value.patterns).decode()
    fields["enabled"] = int(value.enabled)
    return tuple(fields.values())


def _subscription(row: Row) -> Subscription:
    fields = dict(zip(_COLUMNS, row, strict=True))
    fields["patterns"] = tuple(msgspec.json.decode(fields["patterns"]))
    fields["enabled"] = bool(fields["enabled"])
    return Subscription(**fields)
