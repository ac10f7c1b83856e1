"""From the oracle's words to the product's: histories in, comparable outcomes out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from contracts.moments import MomentState, SettingsVersion
from contracts.signals import Item, ProfileReference, Reference, Signal, SignalData, make_signal
from contracts.templates import templates
from contracts.times import format_duration, to_datetime
from services.trigger.engine.moment import Moment, compile_moment
from services.trigger.engine.timing import Timing
from services.trigger.replay import MomentBook, Outcome, Replay
from tests.oracle import words as oracle


@dataclass(frozen=True, slots=True)
class Seen:
    """What can be compared of a run."""

    raises: list[tuple[Any, ...]]
    suppressed: list[tuple[Any, ...]]
    opened: int
    ended: dict[str, int]
    counts: dict[str, int]
    pending: int
    contradicted: int
    recovered: list[tuple[Any, ...]]


_ID_FIELDS = {
    **{group: f"{group}_id" for group in ("booking", "survey", "game", "conversion")},
    **dict.fromkeys(("website", "newsletter", "webinar", "event"), "name"),
    "app": "application_id",
}


def signal_of(arrival: oracle.Arrival) -> Signal:
    """The product's signal of an arrival."""
    view = arrival.kind.endswith("/view")
    items = tuple(
        Item(
            product_id=item.product_id,
            quantity=item.quantity,
            price=None if item.price is None else float(item.price),
            currency=item.currency,
            category=item.category,
        )
        for item in arrival.items
    )
    seen = items[0] if view and items else None
    data = SignalData(
        signal=arrival.kind,
        audience_configuration=Reference("configuration"),
        audience=Reference("audience"),
        profile=ProfileReference(*arrival.profile),
        received_at=to_datetime(arrival.received_at),
        touchpoint="server",
        stitched_at=None if arrival.stitched_at is None else to_datetime(arrival.stitched_at),
        site=arrival.site,
        cart_id=arrival.cart_id,
        session_id=arrival.session_id,
        order_id=arrival.order_id,
        product_id=seen and seen.product_id,
        price=seen and seen.price,
        currency=seen and seen.currency,
        category=seen and seen.category,
        items=() if view else items,
        **({_ID_FIELDS[arrival.group]: arrival.process_id} if arrival.group in _ID_FIELDS else {}),
    )
    # Ingestion's rule: no signal happens after its receipt.
    return make_signal(id=arrival.id, source=arrival.source, time=min(arrival.time, arrival.received_at), data=data)


def _settings(moment: oracle.Moment, settings: oracle.Settings) -> dict[str, Any]:
    length = "delay" if templates()[moment.type].rule == "instant" else "duration"
    values: dict[str, Any] = {
        length: format_duration(settings.duration),
        "repeat": "once" if settings.once else "on_change",
        "maximumWait": settings.maximum_wait and format_duration(settings.maximum_wait),
        "minimumViews": settings.minimum_views if moment.type == "browse_abandon" else None,
        "coolDown": settings.cool_down and format_duration(settings.cool_down),
    }
    if settings.sites is not None:
        values["sites"] = sorted(settings.sites)
    if settings.kinds is not None:
        values["kinds"] = sorted(settings.kinds)
    if settings.categories is not None:
        values["categories"] = sorted(settings.categories)
    if settings.minimum_value is not None:
        least = settings.minimum_value
        values["minimumValue"] = {"amount": float(least.amount), "currency": least.currency}
    if settings.quiet is not None:
        values["quietHours"] = {"zone": settings.quiet.zone, "from": settings.quiet.start, "to": settings.quiet.end}
    return {name: value for name, value in values.items() if value is not None}


def moment_of(moment: oracle.Moment, run: int, *, running: bool, at: int) -> Moment:
    """The product's moment as it stands at an instant."""
    history = [SettingsVersion(version=1, since=0, settings=_settings(moment, moment.settings))]
    for number, (since, settings) in enumerate(sorted(moment.versions, key=lambda version: version[0]), start=2):
        if since <= at:
            history.append(SettingsVersion(version=number, since=since, settings=_settings(moment, settings)))
    state = MomentState(
        id=moment.id,
        version=1,
        type=moment.type,
        name=moment.type,
        configuration_id=moment.configuration,
        status="running" if running else "stopped",
        running_since=run,
        history=tuple(history),
    )
    compiled = compile_moment(state, templates()[moment.type])
    exact = tuple(
        replace(version, timing=_timing(version.timing, moment.settings_at(version.since)))
        for version in compiled.versions
    )
    return replace(compiled, versions=exact)


def _timing(timing: Timing, settings: oracle.Settings) -> Timing:
    """The oracle's times are not bound to whole seconds."""
    return replace(timing, length=settings.duration, maximum=settings.maximum_wait)


def replayed(
    arrivals: tuple[oracle.Arrival, ...], moment: oracle.Moment, expiry: int, *, run_out: bool = True
) -> tuple[Replay, Seen]:
    """The engine over a history: at one instant changes of the moment first, then arrivals, then decisions."""
    replay = Replay(MomentBook(templates(), {}, expiry))
    changes = [(since, True, since) for since, _ in moment.runs]
    changes += [(until, False, since) for since, until in moment.runs if until is not None]
    steps: list[tuple[int, int, Any]] = [(at, 0, (running, run)) for at, running, run in changes]
    steps += [(since, 1, moment.running_since(since)) for since, _ in moment.versions]
    steps += [(arrival.came_at, 2, arrival) for arrival in arrivals]
    outcomes: list[Outcome] = []
    for at, what, thing in sorted(steps, key=lambda step: (step[0], step[1])):
        outcomes += replay.advance(at)
        if what == 2:
            replay.receive(signal_of(thing))
        elif what == 1:
            if thing is not None:
                replay.edit(moment_of(moment, thing, running=True, at=at))
        elif thing[0]:
            replay.book.put(moment_of(moment, thing[1], running=True, at=at))
        else:
            replay.stop(moment_of(moment, thing[1], running=False, at=at))
    if run_out:
        outcomes += replay.run_out()
    elif arrivals:
        outcomes += replay.advance(arrivals[-1].came_at, inclusive=True)
    return replay, seen_by_product(replay, moment, outcomes)


def seen_by_product(replay: Replay, moment: oracle.Moment, outcomes: list[Outcome]) -> Seen:
    """What the engine did, in comparable form."""
    counts = {counter: n for (_, counter), n in replay.counts.items() if n}
    ended: Counter[str] = Counter()
    completing = templates()[moment.type].completes
    for counter, n in counts.items():
        kind, _, reason = counter.partition(":")
        if kind == "ended":
            ended[reason if reason in ("merged", "void") else "completed" if reason in completing else "ended"] += n
    raised = {o.decision.raise_id: o for o in outcomes if o.decision.raised}
    return Seen(
        raises=sorted(
            (*_place(o), o.decided_at, o.decision.signal_ids[-1] if o.decision.signal_ids else None, *_held(moment, o))
            for o in raised.values()
        ),
        suppressed=sorted((*_place(o), o.decided_at, o.decision.reason) for o in outcomes if not o.decision.raised),
        opened=counts.get("opened", 0),
        ended=dict(ended),
        counts=counts,
        pending=replay.pending,
        contradicted=counts.get("contradicted", 0),
        recovered=sorted(
            (*_place(raised[found.raise_id])[:3], raised[found.raise_id].decision.due, found.signal.id)
            for found in replay.recoveries
        ),
    )


def _place(outcome: Outcome) -> tuple[Any, ...]:
    """Whose occurrence it is, and its times."""
    process, decision = outcome.process, outcome.decision
    times = (decision.opened_at, decision.last_activity_at, decision.due)
    return ((process.id_type, process.profile), process.kind, process.process, *times)


def _held(moment: oracle.Moment, outcome: Outcome) -> tuple[Any, ...]:
    content = outcome.decision.content
    quantities: Counter[str] = Counter()
    if outcome.process.kind != "browse":
        for item in content.get("items", []):
            quantities[item["productId"]] += item["quantity"]
    return sorted(quantities.items()), content.get("orderId") or "" if moment.type == "post_purchase" else ""


def seen_by_oracle(outcome: oracle.Outcome) -> Seen:
    """What the oracle found, in the same form."""
    return Seen(
        raises=sorted(
            (*_occurrence(r), r.decided_at, r.last_signal[1], sorted(r.content.items()), r.order_id or "")
            for r in outcome.raises
        ),
        suppressed=sorted(
            (*_occurrence(s), s.decided_at, s.reason) for s in outcome.suppressed if s.reason != "stopped"
        ),
        opened=outcome.ledger.opened,
        ended={reason: n for reason, n in outcome.ledger.ended.items() if n},
        counts={f"suppressed:{reason}": n for reason, n in outcome.ledger.suppressed.items() if n},
        pending=outcome.ledger.pending,
        contradicted=outcome.ledger.contradicted,
        recovered=sorted(
            (each.process.profile, each.process.kind, each.process.id, each.due_at, each.signal[1])
            for each in outcome.recovered
        ),
    )


def _occurrence(each: oracle.Raise | oracle.Closed) -> tuple[Any, ...]:
    process = each.process
    return (process.profile, process.kind, process.id, each.opened_at, each.last_activity_at, each.due_at)
