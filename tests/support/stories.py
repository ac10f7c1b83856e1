"""Explanations as trigger gives them, of what customers do in virtual time: told by the engine itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from contracts.moments import MomentState, SettingsVersion
from contracts.signals import Item, ProfileReference, Reference, Signal, SignalData, make_signal
from contracts.templates import templates
from contracts.times import DAY, MINUTE, SECOND, from_rfc3339, to_datetime
from services.config.ui.stories.story import Story, read_story
from services.trigger.engine.application import ProfileId
from services.trigger.explaining import Course

START = from_rfc3339("2026-11-26T08:00:00Z")
ADA = ProfileId("c1", "email", "ada@example.com")
MUG = Item(product_id="mug", price=12.5, currency="EUR", category="mugs")


def act(
    minutes: float,
    kind: str = "cart/add",
    *,
    late: float = 0,
    known: float | None = None,
    cart: str = "k",
    items: Sequence[Item] = (MUG,),
    **fields: Any,
) -> Signal:
    """What Ada did so many minutes after the start; `late`: how many more it took to arrive.

    `known`: minutes after the start at which Ada, anonymous until then, was known.
    """
    time = START + int(minutes * MINUTE)
    act.count += 1  # type: ignore[attr-defined]
    data = SignalData(
        signal=kind,
        audience_configuration=Reference("c1"),
        audience=Reference("a"),
        profile=ProfileReference("email", ADA.profile),
        received_at=to_datetime(time + int(late * MINUTE)),
        touchpoint="web",
        stitched_at=None if known is None else to_datetime(START + int(known * MINUTE)),
        **{"site": "shop.example.com", "cart_id": cart, "items": tuple(items), **fields},
    )
    return make_signal(id=f"s{act.count:06}", source="shop", time=time, data=data)  # type: ignore[attr-defined]


act.count = 0  # type: ignore[attr-defined]


def explained(
    *acts: Signal, type: str = "cart_abandon", until: float | None = None, process: str | None = None, **settings: Any
) -> dict[str, Any]:
    """The document of a moment that has always run with these settings; `until`: minutes after which nothing more
    is decided, else everything is."""
    template = templates()[type]
    defaults = {each.name: each.default for each in template.settings if each.default is not None}
    version = SettingsVersion(version=1, since=START - DAY, settings={**defaults, **settings})
    state = MomentState(
        id="m1",
        version=1,
        type=type,
        name="Reminder",
        configuration_id="c1",
        status="running",
        running_since=START - DAY,
        history=(version,),
    )
    course = Course.of(state, template)
    for each in sorted(acts, key=lambda each: each.joined_at):
        course.note(course.replay.advance(each.joined_at))
        course.receive(each)
    course.note(course.replay.run_out() if until is None else course.replay.advance(START + int(until * MINUTE)))
    account = course.explain(ADA, process=process)
    document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(account))
    return {**document, "earlier": None}


def story_of(*acts: Signal, **given: Any) -> Story:
    """The story of what Ada did."""
    return read_story(explained(*acts, **given))


def minutes(count: float) -> int:
    """An instant so many minutes after the start, µs."""
    return START + int(count * MINUTE)


def after(at: int) -> float:
    """How many minutes an instant lies after the start."""
    return (at - START) / (60 * SECOND)
