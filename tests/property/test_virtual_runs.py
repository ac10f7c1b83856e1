"""Profile by profile in virtual time is the same as all profiles together, for every kind of template."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from typing import Any
from uuid import uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.moments import MomentState, SettingsVersion
from contracts.signals import Item, ProfileReference, Reference, Signal, SignalData, make_signal
from contracts.templates import templates, validate_settings
from contracts.times import DAY, MINUTE, SECOND, to_datetime
from services.trigger.backtesting.virtual import VirtualRun, rules_of
from services.trigger.engine.application import ProfileId, profile_of
from services.trigger.engine.apply import Entry
from services.trigger.engine.decide import RAISE_NAMESPACE, Decision, ProcessId, raise_id_of
from services.trigger.engine.effects import Recovery
from services.trigger.engine.membership import CART, LEVELS, membership_in, membership_of
from services.trigger.engine.moment import Moment, compile_moment
from services.trigger.replay import MomentBook, Replay

START = 1_790_000_000 * SECOND
RUN = START + 10 * MINUTE
CART_KINDS = ("cart/add", "cart/add", "cart/replace", "cart/remove", "cart/clear", "cart/purchase", "product/view")
SURVEY_KINDS = ("survey/start", "survey/update", "survey/complete")


def history(seed: int, kinds: tuple[str, ...], count: int = 120) -> list[Signal]:
    """Signals of three customers by receivedAt; some come late."""
    chance, received, made = random.Random(seed), START, []
    for number in range(count):
        received += chance.choice((1, SECOND, 20 * SECOND, 3 * MINUTE)) + chance.randrange(1_000)
        kind = chance.choice(kinds)
        data = SignalData(
            signal=kind,
            audience_configuration=Reference("c"),
            audience=Reference("a"),
            profile=ProfileReference("external", chance.choice("abc")),
            received_at=to_datetime(received),
            touchpoint="server",
            site=chance.choice((None, "a.example", "b.example")),
            cart_id=chance.choice((None, "x", "y")) if kind.startswith("cart/") else None,
            session_id=chance.choice((None, "s", "t")),
            survey_id=chance.choice("vw") if kind.startswith("survey/") else None,
            order_id=chance.choice((None, "o1", "o2")) if kind == "cart/purchase" else None,
            items=(Item(product_id=chance.choice("pq"), price=2.0, currency="EUR", category="k"),),
        )
        late = chance.choice((0, 0, 0, 40 * SECOND, 8 * MINUTE, 2 * DAY))
        made.append(make_signal(id=f"{number}", source="s", time=received - late, data=data))
    return made


CASES: list[tuple[str, tuple[str, ...], dict[str, Any]]] = [
    ("cart_abandon", CART_KINDS, {"duration": "PT2M"}),
    ("cart_abandon", CART_KINDS, {"duration": "PT2M", "coolDown": "PT5M", "repeat": "once"}),
    ("cart_abandon", CART_KINDS, {"duration": "PT1M", "minimumValue": {"amount": 4, "currency": "EUR"}}),
    ("browse_abandon", CART_KINDS, {"duration": "PT1M", "minimumViews": 2}),
    ("post_purchase", CART_KINDS, {"delay": "PT1M"}),
    ("survey_abandon", SURVEY_KINDS, {"duration": "PT2M", "maximumWait": "PT3M"}),
]


def moment_of(type_: str, settings: dict[str, Any]) -> Moment:
    """A moment that was started some minutes after the first signals."""
    normal, faults = validate_settings(templates()[type_], settings)
    assert not faults
    state = MomentState(
        id="m",
        version=1,
        type=type_,
        name="M",
        configuration_id="c",
        status="running",
        running_since=RUN,
        history=(SettingsVersion(version=1, since=0, settings=normal),),
    )
    return compile_moment(state, templates()[type_])


def together(moment: Moment, signals: list[Signal], until: int) -> tuple[set[Any], Counter[str], set[str]]:
    """Outcomes, counters and recovered raises of all profiles at once."""
    book = MomentBook(templates(), {}, DAY)
    book.put(moment)
    replay, outcomes = Replay(book), []
    for signal in signals:
        outcomes += replay.advance(signal.received_at)
        replay.receive(signal)
    outcomes += replay.advance(until)
    found = {(o.process, o.decision.raise_id, o.decision.reason, o.decision.due, o.decided_at) for o in outcomes}
    counts = Counter({name: value for (_, name), value in replay.counts.items() if value and name != "recovered"})
    if replay.pending:
        counts["pending"] = replay.pending
    return found, counts, {recovery.raise_id for recovery in replay.recoveries}


def one_by_one(moment: Moment, signals: list[Signal], until: int) -> tuple[set[Any], Counter[str], set[str]]:
    """The same, profile by profile."""
    found: set[Any] = set()
    recovered: set[str] = set()

    def decide(process: ProcessId, decision: Decision, now: int) -> None:
        found.add((process, decision.raise_id, decision.reason, decision.due, now))

    def recover(recovery: Recovery) -> None:
        recovered.add(recovery.raise_id)

    run = VirtualRun(moment, rules_of(moment.template, moment, DAY, 7 * DAY), decide, recover)
    profiles: dict[ProfileId, list[Entry]] = defaultdict(list)
    for place, signal in enumerate(signals):
        profiles[profile_of(signal)].append(Entry(place, signal))
    for profile, entries in profiles.items():
        run.begin(profile)
        for entry in entries:
            membership = membership_in(entry.signal, moment.template.process)
            if membership is not None:
                run.receive(entry, membership)
        run.finish(until)
    counts = Counter({name: value for (_, name), value in run.effects.counts.items() if value})
    for each in found:
        counts["raised" if not each[2] else f"suppressed:{each[2]}"] += 1
    return found, counts, recovered


@pytest.mark.parametrize(("type_", "kinds", "settings"), CASES, ids=[f"{n}-{case[0]}" for n, case in enumerate(CASES)])
def test_profile_by_profile_is_the_same_as_together(
    type_: str, kinds: tuple[str, ...], settings: dict[str, Any]
) -> None:
    moment = moment_of(type_, settings)
    raised = 0
    for seed in range(8):
        signals = history(seed, kinds)
        until = signals[-1].received_at + MINUTE

        expected = together(moment, signals, until)

        assert one_by_one(moment, signals, until) == expected
        raised += expected[1]["raised"]
    assert raised > 0


def test_a_signals_processes_of_one_kind_are_those_among_all() -> None:
    for signal in [each for seed in range(4) for each in history(seed, CART_KINDS + SURVEY_KINDS)]:
        everything = membership_of(signal)
        for kind in ("cart", "browse", "survey", "game"):
            own = tuple(place for place in everything.own if place[0] == kind)
            every = (kind,) if kind in everything.every else ()
            found = membership_in(signal, kind)
            assert (found.own, found.every) == (own, every) if found is not None else not own and not every
            assert found is None or found.level == sum(LEVELS[name] for name in every)
    assert CART in LEVELS


@given(names=st.lists(st.text(max_size=8), min_size=7, max_size=7))
def test_a_raise_id_is_a_uuid_of_the_compact_array(names: list[str]) -> None:
    moment, configuration, id_type, profile, process, source, signal = names
    array = [moment, configuration, id_type, profile, "cart", process, source, signal]
    text = json.dumps(array, ensure_ascii=False, separators=(",", ":"))

    identity = ProcessId(configuration, id_type, profile, "cart", process)

    assert raise_id_of(moment, identity, source, signal) == str(uuid5(RAISE_NAMESPACE, text))
