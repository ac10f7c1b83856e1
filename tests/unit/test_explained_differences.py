"""An explanation tells the record: also where the stored signals give something else, or are no longer all there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from contracts.moments import MomentState, SettingsVersion
from contracts.signals import Item, ProfileReference, Reference, Signal, SignalData, make_signal
from contracts.templates import templates
from contracts.times import DAY, MINUTE, SECOND, to_datetime, to_rfc3339
from contracts.wire import SignalRefused
from services.trigger.engine.application import ProfileId, profile_of
from services.trigger.engine.explanation import Known, explain
from services.trigger.engine.moment import Moment, compile_moment
from services.trigger.engine.retelling import Case
from services.trigger.engine.state import Process
from services.trigger.engine.turns import InForce, Recorded
from services.trigger.explaining import Course
from tests.support.explanations import derive_from

START = 1_700_000_000 * SECOND
CART = templates()["cart_abandon"]
STATE = MomentState(
    id="m1",
    version=1,
    type="cart_abandon",
    name="Cart",
    configuration_id="c1",
    status="running",
    running_since=START - DAY,
    history=(SettingsVersion(version=1, since=START - DAY, settings={"duration": "PT10M", "repeat": "on_change"}),),
)


def signal(name: str, minutes: float, kind: str = "cart/add", *, late: float = 0) -> Signal:
    time = START + int(minutes * MINUTE)
    data = SignalData(
        signal=kind,
        audience_configuration=Reference("c1"),
        audience=Reference("a"),
        profile=ProfileReference("email", "ada@example.com"),
        received_at=to_datetime(time + int(late * MINUTE)),
        touchpoint="web",
        site="shop.example.com",
        cart_id="k",
        items=(Item(product_id="p1"),),
    )
    return make_signal(id=name, source="shop", time=time, data=data)


def case_of(*signals: Signal) -> Case:
    """What the store holds after a moment has gone through signals."""
    course = Course.of(STATE, CART)
    course.follow(signals)
    profile = profile_of(signals[0])
    in_force = InForce(after=-1, at=START - DAY, moment=moment())
    turns = [in_force, *course.decisions[profile]]
    return Case(profile=profile, template=CART, entries=course.entries[profile], turns=turns, complete=True, expiry=DAY)


def moment(**changes: Any) -> Moment:
    return compile_moment(msgspec.structs.replace(STATE, **changes), CART)


def told(case: Case, **known: Any) -> dict[str, Any]:
    given = {"state": STATE, "runs": [(START - DAY, None)], **known}
    document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(explain(case, Known(**given))))
    return document


def decision_of(case: Case) -> Recorded:
    (found,) = (turn for turn in case.turns if isinstance(turn, Recorded))
    return found


def recorded_as(case: Case, **changes: Any) -> Case:
    """The case with another record of its one decision."""
    decision = decision_of(case)
    turns = [replace(turn, **changes) if turn is decision else turn for turn in case.turns]
    return replace(case, turns=turns)


def test_what_agrees_is_consistent() -> None:
    document = told(case_of(signal("a", 0), signal("b", 1)))

    assert (document["consistent"], document["complete"], document["answer"]["code"]) == (True, True, "raised")


def test_another_outcome_is_told_as_it_was_recorded() -> None:
    case = recorded_as(case_of(signal("a", 0)), raised=False, reason="minimum_value")

    document = told(case)

    assert not document["consistent"]
    assert "recorded as minimum_value, the signals give raised" in document["differences"][0]
    assert derive_from(document).suppressed == [("minimum_value", to_rfc3339(START + 10 * MINUTE))]


def test_another_due_is_told_as_it_was_recorded() -> None:
    case = recorded_as(case_of(signal("a", 0)), due=START + 9 * MINUTE)

    document = told(case)

    assert len(document["differences"]) == 1
    assert "was due at" in document["differences"][0]
    assert derive_from(document).raised == [(decision_of(case).raise_id, to_rfc3339(START + 9 * MINUTE))]


def test_a_decision_that_no_signal_gives_is_told_and_said() -> None:
    case = recorded_as(case_of(signal("a", 0)), raise_id="another")

    document = told(case)

    assert "the signals give no such wait" in document["differences"][0]
    (decision,) = (entry for entry in document["entries"] if entry["event"] == "decision")
    assert (decision["changes"][0]["raiseId"], decision["changes"][0]["wait"]) == ("another", -1)


def test_where_signals_are_forgotten_nothing_is_held_against_the_record() -> None:
    case = case_of(signal("a", 0), signal("b", 20))
    kept = replace(case, entries=case.entries[1:], complete=False)

    document = told(kept, missing="Earlier signals are no longer kept.")

    assert (document["consistent"], document["complete"]) == (True, False)
    assert document["missing"] == "Earlier signals are no longer kept."
    assert document["counts"]["raised"] == 2


def test_decisions_without_numbers_are_found_by_their_ids() -> None:
    numbered = recorded_as(case_of(signal("a", 0)), number=0)
    wrong = recorded_as(case_of(signal("a", 0)), number=7)

    assert told(numbered)["consistent"]
    assert not told(wrong)["consistent"]


def test_a_run_that_became_known_late_opens_what_came_since() -> None:
    case = case_of(signal("a", 0), signal("b", 1))
    late = InForce(after=0, at=START + MINUTE, moment=moment(running_since=START))
    case = replace(case, turns=[late, decision_of(case)])

    document = told(case)

    codes = [entry["code"] for entry in document["entries"]]
    assert codes == ["not_running", "", "slid", ""]
    assert [change["effect"] for change in document["entries"][1]["changes"]] == ["opened"]
    assert document["differences"] == []


def test_a_stop_that_left_no_record_of_its_waits_is_told_and_said() -> None:
    case = case_of(signal("a", 0))
    stopped = InForce(after=0, at=START + MINUTE, moment=moment(status="stopped", stopped_at=START + MINUTE))
    case = replace(case, turns=[case.turns[0], stopped])

    document = told(case)

    assert derive_from(document).suppressed == [("stopped", to_rfc3339(START + 10 * MINUTE))]
    assert "no record says so" in document["differences"][0]


def test_a_clock_that_steps_back_changes_no_order() -> None:
    edited = (*STATE.history, SettingsVersion(version=2, since=START + 30 * MINUTE, settings={"duration": "PT1M"}))
    case = recorded_as(case_of(signal("a", 0)), version=1)
    before = InForce(after=0, at=START, moment=moment(history=edited), version=2)
    case = replace(case, turns=[*case.turns, before])

    assert told(case)["differences"] == []


def test_a_due_that_an_edit_gave_stands() -> None:
    edited = (*STATE.history, SettingsVersion(version=2, since=START + 5 * MINUTE, settings={"duration": "PT1M"}))
    due = START + 5 * MINUTE + 40 * SECOND
    edit = InForce(after=0, at=START + 5 * MINUTE, moment=moment(history=edited), given={("k", 0): due})
    case = recorded_as(case_of(signal("a", 0)), due=due, at=due, version=2)
    case = replace(case, turns=[*case.turns, edit])

    document = told(case)

    assert document["differences"] == []
    (change,) = document["entries"][2]["changes"]
    assert (change["effect"], change["due"]["countedFrom"], change["due"]["at"]) == ("retimed", "edit", to_rfc3339(due))


def test_a_process_that_stands_otherwise_is_said() -> None:
    case = case_of(signal("a", 0))

    document = told(replace(case, turns=case.turns[:1]), present={"k": Process()})

    assert "other waits are pending" in document["differences"][0]


def test_a_moment_that_never_ran_says_so() -> None:
    case = replace(case_of(signal("a", 0)), turns=[])

    document = told(case, runs=[])

    assert (document["answer"]["code"], document["entries"][0]["code"]) == ("never_ran", "not_running")


def test_refusals_stand_where_they_came() -> None:
    refused = SignalRefused(
        id="r", at=START + 5 * MINUTE, status=422, code="invalid", reason="it is not valid", configuration="c1",
        faults=(("/data/items", "Missing."),), signal="x", id_type="email", profile="ada@example.com",
    )  # fmt: skip

    document = told(case_of(signal("a", 0)), refusals=[refused])

    assert [entry["event"] for entry in document["entries"]] == ["settings", "signal", "refusal", "decision"]
    assert [entry["place"] for entry in document["entries"]] == [0, 1, 2, 3]
    assert "/data/items: Missing." in document["entries"][2]["text"]


def test_an_expired_signal_says_how_late_it_was() -> None:
    document = told(case_of(signal("a", 0, late=25 * 60)))

    (entry,) = (entry for entry in document["entries"] if entry["event"] == "signal")
    assert (entry["code"], entry["numbers"]) == ("expired", {"lateBy": "P1DT1H", "expiry": "P1D"})
    assert "It was 1 d 1 h late, the expiry is 1 d." in entry["text"]
    assert document["answer"]["code"] == "never_opened"


def test_a_known_profile_is_no_stranger_when_another_process_is_asked_for() -> None:
    case = case_of(signal("a", 0))

    document = msgspec.json.decode(
        msgspec.json.encode(explain(case, Known(state=STATE, runs=[(START - DAY, None)]), process="elsewhere"))
    )

    assert (document["answer"]["code"], document["counts"]["other"]) == ("no_such_signals", 1)
    assert "the process elsewhere" in document["answer"]["text"]


def test_a_draft_is_not_told_as_a_stop() -> None:
    case = case_of(signal("a", 0))
    draft = InForce(after=-1, at=START - 2 * DAY, moment=moment(status="draft", running_since=None))

    document = told(replace(case, turns=[draft, *case.turns]))

    assert document["entries"][0]["text"] == "The moment is not running; no signal opens a wait."
    assert document["answer"]["code"] == "raised"


def test_nothing_is_known_of_a_stranger() -> None:
    stranger = ProfileId("c1", "email", "bob@example.com")
    case = replace(case_of(signal("a", 0)), profile=stranger, entries=[], turns=[])

    assert told(case)["answer"]["code"] == "unknown_profile"
