"""What can be done with webhooks by REST: subscriptions, secrets, tests, the delivery log, redelivery."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from contracts.times import DAY, SECOND
from services.trigger.api.cursors import cursor_text
from services.trigger.store.rows import Rows
from services.trigger.webhooks.resources import STATES, Answer, Attempt, Delivery, State, Subscription
from services.trigger.webhooks.sample import sample_event
from services.trigger.webhooks.sending import Sender
from services.trigger.webhooks.signatures import new_secret, signed_headers, webhook_id
from services.trigger.webhooks.store.deliveries import DeliveryRows
from services.trigger.webhooks.store.subscriptions import SubscriptionRows
from services.trigger.webhooks.targets import ForbiddenTarget, Guard
from shared.clock import Clock
from shared.conditions import Expected, VersionConflict
from shared.http import Conflict, NotFound, Unprocessable
from shared.problems import Fault
from shared.store import connected

MOST = 200
_LONGEST_EXCERPT = 2_000


class UnknownWebhook(NotFound):
    """There is no webhook of this id."""


class UnknownDelivery(NotFound):
    """The webhook has no delivery of this id."""


class UnusableUrl(Unprocessable):
    """A webhook cannot lead there."""


class TooManyWebhooks(Conflict):
    """There are as many webhooks as there may be."""


@dataclass(frozen=True, slots=True)
class Logged:
    """A delivery with what was tried."""

    delivery: Delivery
    log: Sequence[Attempt]

    def document(self, *, whole: bool = False) -> dict[str, Any]:
        """What REST shows; `whole` with the event itself."""
        each = self.delivery
        document = {name: getattr(each, name) for name in ("event_id", "type", "state", "taken_at", "attempts")}
        document |= {"id": str(each.id), "webhook_id": webhook_id(each.event_id), "log": self.log}
        document |= {"next_attempt_at": each.next_at, "finished_at": each.finished_at}
        return {**document, "event": msgspec.json.decode(each.body)} if whole else document


class Subscriptions:
    """The webhooks of this installation. Unknown ids raise UnknownWebhook or UnknownDelivery."""

    def __init__(self, rows: Rows, guard: Guard, sender: Sender, clock: Clock) -> None:
        self._database = rows.database
        self._rows = SubscriptionRows(rows)
        self._deliveries = DeliveryRows(rows)
        self._guard = guard
        self._sender = sender
        self._clock = clock

    def page(self, cursor: tuple[int, str] | None, limit: int) -> dict[str, Any]:
        """A page of the list, the newest first."""
        with connected(self._database):
            found = self._rows.page(cursor, limit + 1)
        last = found[limit - 1] if len(found) > limit else None
        return {"items": found[:limit], "next": cursor_text((last.created_at, last.id)) if last else None}

    def get(self, subscription_id: str) -> Subscription:
        """One webhook."""
        with connected(self._database):
            return self._known(subscription_id)

    def create(self, *, name: str, description: str, url: str, patterns: list[str], enabled: bool) -> Subscription:
        """A new webhook with a secret; raises UnusableUrl, TooManyWebhooks."""
        self._check(url)
        now = self._clock.now()
        made = Subscription(
            id=str(uuid.uuid4()),
            name=name,
            description=description,
            url=url,
            patterns=tuple(patterns),
            enabled=enabled,
            version=1,
            created_at=now,
            updated_at=now,
            secret=new_secret(),
            disabled_at=None if enabled else now,
            disabled_reason=None if enabled else "requested",
        )
        with connected(self._database), self._database.atomic():
            if self._rows.count() >= MOST:
                raise TooManyWebhooks(f"There are {MOST} already; delete one first.")
            self._rows.add(made)
        return made

    def change(self, subscription_id: str, changes: dict[str, Any], expected: Expected) -> Subscription:
        """Merge changes; raises UnusableUrl, VersionConflict. A new URL, and enabling, forget former failures."""
        if "url" in changes:
            self._check(changes["url"])
        with connected(self._database), self._database.atomic():
            former = self._known(subscription_id, expected)
            if "patterns" in changes:
                changes = {**changes, "patterns": tuple(changes["patterns"])}
            wanted = replace(former, **changes)
            if wanted == former:
                return former
            if wanted.enabled != former.enabled:
                wanted = self._switched(wanted)
            if wanted.url != former.url:
                wanted = replace(wanted, failing_since=None, paused_until=0)
            return self._write(former, wanted)

    def delete(self, subscription_id: str, expected: Expected) -> None:
        """Delete a webhook; nothing more is sent, its log is forgotten."""
        with connected(self._database), self._database.atomic():
            if not self._rows.remove(self._known(subscription_id, expected)):
                raise VersionConflict()

    def rotate(self, subscription_id: str, overlap_seconds: int, expected: Expected) -> Subscription:
        """A new secret; the present one signs too for the overlap. One that was replaced before signs no more."""
        with connected(self._database), self._database.atomic():
            former = self._known(subscription_id, expected)
            until = self._clock.now() + overlap_seconds * SECOND
            kept = (former.secret, until) if overlap_seconds else (None, None)
            wanted = replace(former, secret=new_secret(), previous_secret=kept[0], previous_until=kept[1])
            return self._write(former, wanted)

    def test(self, subscription_id: str) -> dict[str, Any]:
        """Send a sample event now, whether the webhook is enabled or not; what came back."""
        subscription = self.get(subscription_id)
        now = self._clock.now()
        event_id, body = sample_event(subscription, now)
        answer = self._sender.send(
            subscription.url, signed_headers(event_id, now, body, subscription.secrets(now)), body
        )
        return _answer_document(event_id, answer)

    def deliveries(self, subscription_id: str, state: str, cursor: int | None, limit: int) -> dict[str, Any]:
        """A page of the delivery log, the newest first."""
        states: Sequence[State] = [each for each in STATES if state in (each, "all")]
        with connected(self._database):
            self._known(subscription_id)
            found = self._deliveries.page(subscription_id, states, cursor, limit + 1)
            log = self._deliveries.logs([each.id for each in found[:limit]])
        items = [Logged(each, log.get(each.id, [])).document() for each in found[:limit]]
        return {"items": items, "next": cursor_text((found[limit - 1].id,)) if len(found) > limit else None}

    def delivery(self, subscription_id: str, delivery_id: int) -> dict[str, Any]:
        """One delivery with its event."""
        with connected(self._database):
            self._known(subscription_id)
            found = self._deliveries.find(subscription_id, delivery_id)
            if found is None:
                raise UnknownDelivery
            return Logged(found, self._deliveries.logs([found.id]).get(found.id, [])).document(whole=True)

    def redeliver(self, subscription_id: str, delivery_id: int) -> dict[str, Any]:
        """Send one again from now on, whatever became of it."""
        with connected(self._database), self._database.atomic():
            self._known(subscription_id)
            if not self._deliveries.redeliver(subscription_id, delivery_id, self._clock.now()):
                raise UnknownDelivery
        return self.delivery(subscription_id, delivery_id)

    def redeliver_dead(self, subscription_id: str, since: int | None) -> dict[str, int]:
        """Send the dead ones again, those taken up since an instant or all; how many. In parts of a transaction."""
        total, done, now = 0, 1, self._clock.now()
        with connected(self._database):
            self._known(subscription_id)
            while done:
                with self._database.atomic():
                    done = self._deliveries.redeliver_dead(subscription_id, since or -36_500 * DAY, now)
                total += done
        return {"redelivered": total}

    def _known(self, subscription_id: str, expected: Expected | None = None) -> Subscription:
        found = self._rows.find(subscription_id, lock=expected is not None)
        if found is None:
            raise UnknownWebhook
        if expected is not None:
            expected.check(found)
        return found

    def _write(self, former: Subscription, wanted: Subscription) -> Subscription:
        now = max(self._clock.now(), former.updated_at + 1)
        changed = replace(wanted, version=former.version + 1, updated_at=now)
        if not self._rows.change(changed, former.version):
            raise VersionConflict()
        return changed

    def _switched(self, wanted: Subscription) -> Subscription:
        if wanted.enabled:
            return replace(wanted, disabled_at=None, disabled_reason=None, failing_since=None, paused_until=0)
        return replace(wanted, disabled_at=self._clock.now(), disabled_reason="requested")

    def _check(self, url: str) -> None:
        try:
            self._guard.target(url)
        except ForbiddenTarget as error:
            raise UnusableUrl(str(error), faults=[Fault("/url", str(error))]) from error


def _answer_document(event_id: str, answer: Answer) -> dict[str, Any]:
    return {
        "event_id": event_id,
        "delivered": answer.delivered,
        "status": answer.status,
        "error": answer.error or None,
        "duration": int(answer.seconds * SECOND),
        "answer": answer.body.decode("utf-8", "replace")[:_LONGEST_EXCERPT],
    }
