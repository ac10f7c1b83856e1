"""Recording recoveries and publishing their events, each once (DOMAIN §6.10)."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from contracts.events import encode_recovered_event, recovered_id_of, recovered_routing_key
from contracts.topology import JOURNEYS
from services.trigger.engine.effects import Recovery
from services.trigger.store.cache import Stored
from services.trigger.store.raises import RaiseRow, RecoveryRow, insert_recoveries, raises_by_id
from services.trigger.store.records import add_counts
from services.trigger.store.rows import Rows
from shared.broker import Message
from shared.outbox import Outbox

NO_CURRENCY = "XXX"
"""ISO 4217's code for "no currency": amounts whose sender named none."""

_MICRO = 1_000_000


def save_recoveries(
    rows: Rows, outbox: Outbox, found: Sequence[Recovery], stored: Callable[[bytes], Stored], now: int
) -> None:
    """Write recoveries inside the caller's transaction; one that stands already is published no second time."""
    raises = raises_by_id(rows, [recovery.raise_id for recovery in found])
    known = {recovery.raise_id: recovery for recovery in reversed(found) if recovery.raise_id in raises}
    inserted = insert_recoveries(rows, [_row(each, raises[each.raise_id], now) for each in known.values()])
    counts: dict[int, Counter[tuple[str, str]]] = defaultdict(Counter)
    messages: dict[int, list[Message]] = defaultdict(list)
    for raise_id in sorted(inserted):
        recovery = known[raise_id]
        place = stored(recovery.process_key).partition
        messages[place].append(_message(recovery, raises[raise_id]))
        counts[place][recovery.moment, "recovered"] += 1
        for currency, amount in recovery.value.items():
            counts[place][recovery.moment, f"recovered_value:{currency or NO_CURRENCY}"] += int(amount * _MICRO)
    for place in sorted(messages):
        outbox.add(messages[place], partition=place)
        add_counts(rows, counts[place], place, now)


def value_document(value: Mapping[str | None, Decimal]) -> list[dict[str, Any]]:
    """The value as journeys read it: an amount for each currency."""
    return [
        {"amount": float(amount)} | ({"currency": currency} if currency else {}) for currency, amount in value.items()
    ]


def _row(recovery: Recovery, raised: RaiseRow, now: int) -> RecoveryRow:
    signal = recovery.signal
    return RecoveryRow(
        raise_id=recovery.raise_id,
        moment_id=recovery.moment,
        profile_key=raised.profile_key,
        process_key=recovery.process_key,
        source=signal.source,
        signal_id=signal.id,
        time=signal.time,
        received_at=signal.joined_at,
        recorded_at=now,
        value=json.dumps(value_document(recovery.value)),
    )


def _message(recovery: Recovery, raised: RaiseRow) -> Message:
    signal = recovery.signal
    body = encode_recovered_event(
        raised.event,
        time=signal.time,
        signal=(signal.source, signal.id, signal.kind.name),
        value=value_document(recovery.value),
    )
    event_type = json.loads(raised.event)["data"]["moment"]["type"]
    return Message(
        exchange=JOURNEYS,
        routing_key=recovered_routing_key(event_type),
        body=body,
        message_id=recovered_id_of(recovery.raise_id),
    )
