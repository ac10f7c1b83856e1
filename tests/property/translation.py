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

COMPLETED = "completed"


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


def signal_of(arrival: oracle.Arrival) -> Signal:
    """The product's signal of an arrival."""
    view = arrival.kind.endswith("/view")
    items = tuple(Item(product_id=item.product_id, quantity=item.quantity) for item in arrival.items)
    data = SignalData(
        signal=arrival.kind,
        audience_configuration=Reference("configuration"),
        audience=Reference("audience"),
        profile=ProfileReference(*arrival.profile),
        received_at=to_datetime(arrival.received_at),
        touchpoint="server",
        site=arrival.site,
        cart_id=arrival.cart_id,
        session_id=arrival.session_id,
        order_id=arrival.order_id,
        product_id=items[0].product_id if view and items else None,
        items=() if view else items,
    )
    # Ingestion's rule: no signal happens after its receipt.
    return make_signal(id=arrival.id, source=arrival.source, time=min(arrival.time, arrival.received_at), data=data)


def _settings(moment: oracle.Moment, settings: oracle.Settings) -> dict[str, Any]:
    values: dict[str, Any] = {"duration": format_duration(settings.duration), "repeat": "on_change"}
    if settings.sites is not None:
        values["sites"] = sorted(settings.sites)
    if moment.type == "browse_abandon":
        values["minimumViews"] = settings.minimum_views
    return values


def moment_of(moment: oracle.Moment, run: int, *, running: bool, at: int) -> Moment:
    """The product's moment as it stands at an instant."""
    history = [SettingsVersion(version=1, since=0, settings=_settings(moment, moment.settings))]
    for since, settings in sorted(moment.versions, key=lambda version: version[0]):
        if since <= at:
            history.append(SettingsVersion(version=2, since=since, settings=_settings(moment, settings)))
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
    exact = tuple(replace(version, timing=_timing(moment.settings_at(version.since))) for version in compiled.versions)
    return replace(compiled, versions=exact)


def _timing(settings: oracle.Settings) -> Timing:
    """The oracle's times are not bound to whole seconds."""
    return Timing(length=settings.duration, maximum=settings.maximum_wait)


def replayed(
    arrivals: tuple[oracle.Arrival, ...], moment: oracle.Moment, expiry: int, *, run_out: bool = True
) -> tuple[Replay, Seen]:
    """The engine over a history: at one instant changes of the moment first, then arrivals, then decisions."""
    replay = Replay(MomentBook(templates(), {}, expiry))
    changes = [(since, True, since) for since, _ in moment.runs]
    changes += [(until, False, since) for since, until in moment.runs if until is not None]
    steps: list[tuple[int, int, Any]] = [(at, 0, (running, run)) for at, running, run in changes]
    steps += [(arrival.received_at, 1, arrival) for arrival in arrivals]
    outcomes: list[Outcome] = []
    for at, what, thing in sorted(steps, key=lambda step: (step[0], step[1])):
        outcomes += replay.advance(at)
        if what == 1:
            replay.receive(signal_of(thing))
        elif thing[0]:
            replay.book.put(moment_of(moment, thing[1], running=True, at=at))
        else:
            replay.stop(moment_of(moment, thing[1], running=False, at=at))
    if run_out:
        outcomes += replay.run_out()
    elif arrivals:
        outcomes += replay.advance(arrivals[-1].received_at, inclusive=True)
    return replay, seen_by_product(replay, moment, outcomes)


def seen_by_product(replay: Replay, moment: oracle.Moment, outcomes: list[Outcome]) -> Seen:
    """What the engine did, in comparable form."""
    counts = {counter: n for (_, counter), n in replay.counts.items() if n}
    ended: Counter[str] = Counter()
    for counter, n in counts.items():
        kind, _, reason = counter.partition(":")
        if kind == "ended":
            ended[{"cart/purchase": COMPLETED, "merged": "merged", "void": "void"}.get(reason, "ended")] += n
    return Seen(
        raises=sorted(
            (
                (o.process.id_type, o.process.profile),
                o.process.kind,
                o.process.process,
                o.decision.opened_at,
                o.decision.last_activity_at,
                o.decision.due,
                o.decided_at,
                o.decision.signal_ids[-1] if o.decision.signal_ids else None,
                {item["productId"]: item["quantity"] for item in o.decision.content.get("items", [])}
                if o.process.kind == "cart"
                else {},
            )
            for o in outcomes
            if o.decision.raised
        ),
        suppressed=sorted(
            (o.process.kind, o.process.process, o.decision.reason, o.decision.due)
            for o in outcomes
            if not o.decision.raised
        ),
        opened=counts.get("opened", 0),
        ended=dict(ended),
        counts=counts,
        pending=replay.pending,
        contradicted=counts.get("contradicted", 0),
    )


def seen_by_oracle(outcome: oracle.Outcome) -> Seen:
    """What the oracle found, in the same form."""
    return Seen(
        raises=sorted(
            (
                r.process.profile,
                r.process.kind,
                r.process.id,
                r.opened_at,
                r.last_activity_at,
                r.due_at,
                r.decided_at,
                r.last_signal[1],
                dict(r.content) if r.process.kind == "cart" else {},
            )
            for r in outcome.raises
        ),
        suppressed=[],
        opened=outcome.ledger.opened,
        ended={reason: n for reason, n in outcome.ledger.ended.items() if n},
        counts={f"suppressed:{reason}": n for reason, n in outcome.ledger.suppressed.items() if n},
        pending=outcome.ledger.pending,
        contradicted=outcome.ledger.contradicted,
    )
