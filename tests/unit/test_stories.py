"""Stories read from what the engine explains: who belongs to which occurrence, in which order, and in which words."""

from __future__ import annotations

from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest

from contracts.signals import CATALOGUE, Item
from contracts.templates import templates
from contracts.times import HOUR
from services.config.ui.stories.rows import MOST, grouped, rows_of
from services.config.ui.stories.shown import OCCURRENCES, STRANDS, shown
from services.config.ui.stories.story import Story, read_story
from services.config.ui.stories.wording import TONES, Teller, Verdict
from services.config.ui.texts import known, t
from services.ingestion.refusals import Code
from services.trigger.engine.account import Effect
from services.trigger.engine.reasons import ENDS, SUPPRESSIONS, SignalCode
from services.trigger.engine.reasons import Verdict as Outcome
from tests.contract.test_explanation_page import NOT_TOLD
from tests.support.stories import MUG, act, after, explained, minutes, story_of

UTC = ZoneInfo("UTC")
HOSTILE = "<script>alert(1)</script>\"'\u202eمرحبا 🛒" + "x" * 150


def teller(now: float = 600) -> Teller:
    return Teller(minutes(now), UTC)


def answer(*acts: Any, now: float = 600, **given: Any) -> Verdict:
    return teller(now).answer(story_of(*acts, **given))


# Words for everything that trigger can give: a new reason without words fails here.


@pytest.mark.parametrize(
    ("group", "codes"),
    [
        ("signal", set(SignalCode)),
        ("never", set(SignalCode) - {"opened", "slid", "joined", "ended"}),
        ("verdict", set(Outcome)),
        ("end", set(ENDS)),
        ("suppressed", set(SUPPRESSIONS)),
        ("refusal", set(get_args(Code)) - NOT_TOLD),
        ("did", set(CATALOGUE)),
        ("process", {template.process for template in templates().values()}),
        ("effect", set(get_args(Effect)) - {"suppressed"}),
        ("state", set(TONES)),
        ("line", {"raised", "recovered", "pending", "suppressed", "ended", "merged", "void"}),
        ("due", {"last_activity", "opening", "edit"}),
        ("id_types", {"", "email", "external", "phone", "deviceId", "appId"}),
    ],
)
def test_there_are_words_for_everything_that_trigger_can_give(group: str, codes: set[str]) -> None:
    assert {code for code in map(str, codes) if not known(f"explanation.{group}.{code}")} == set()


# The line that decides.


def test_an_end_before_the_due_says_what_was_done_and_how_long_before() -> None:
    assert (
        answer(act(0), act(106, "cart/purchase"), duration="PT2H").line
        == "Not raised: bought 14 minutes before it was due."
    )


def test_emptying_is_an_end_of_its_own() -> None:
    gone = answer(act(0), act(30, "cart/remove"), duration="PT2H")

    assert (gone.state, gone.line) == (
        "ended",
        "Not raised: the last item was removed 1 hour 30 minutes before it was due.",
    )


def test_a_raise_says_when_and_why() -> None:
    assert answer(act(0), act(10), duration="PT2H").line == "Raised at 10:10:00: 2 hours after the last activity."
    cut = answer(*(act(30 * n) for n in range(6)), duration="PT2H", maximumWait="PT3H")
    assert "the maximum wait of 3 hours since the first activity was reached" in cut.line


def test_a_raise_at_once_says_so() -> None:
    assert answer(act(0, "cart/purchase"), type="post_purchase").line == "Raised at 08:00:00: at once on the signal."


def test_a_recovered_raise_says_by_what() -> None:
    found = answer(act(0), act(180, "cart/purchase"), duration="PT2H")

    assert (found.state, found.line) == ("recovered", "Raised, and recovered: bought 1 hour after it was due.")


def test_what_waits_says_until_when_and_what_is_due_is_being_decided() -> None:
    signals, settings = (act(0),), {"duration": "PT2H", "until": 60}

    assert answer(*signals, now=60, **settings).line == "Waiting until 10:00:00: 2 hours after the last activity."
    assert answer(*signals, now=121, **settings).line == "It is due, and being decided now."


def test_a_late_signal_makes_a_decision_wait_and_the_line_says_until_when() -> None:
    line = answer(act(0, late=135), now=135.2, duration="PT2H", until=135.1).line

    assert line.startswith("It is due. A signal came late, so it is decided at 10:15:30")


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"minimumValue": {"amount": 20, "currency": "EUR"}}, "worth 12.50 EUR, less than the 20.00 EUR asked for"),
        ({"categories": ["shoes"]}, "its categories are mugs; the moment asks for shoes"),
    ],
)
def test_a_suppressed_one_says_by_what_with_its_numbers(settings: dict[str, Any], line: str) -> None:
    found = answer(act(0), duration="PT2H", **settings)

    assert (found.state, found.line) == ("suppressed", f"Not raised: {line}.")


def test_what_was_due_before_the_customer_was_known_says_when_that_was() -> None:
    line = answer(act(0, known=180), duration="PT2H").line

    assert line == "Not raised: it was due before it was known who the customer is, which was at 11:00:00."


def test_a_signal_that_was_sent_anonymously_says_when_its_sender_was_known() -> None:
    (occurrence,) = story_of(act(0, known=90), duration="PT2H").strands[0].occurrences

    assert occurrence.state == "raised"
    told = teller().sentences(occurrence.steps[0])
    assert told[-1] == "It was sent anonymously; 1 hour 30 minutes later it was known who it was."


def test_a_cool_down_names_the_raise_before() -> None:
    line = answer(act(0), act(200), duration="PT2H", coolDown="PT6H").line

    assert line == "Not raised: raised already at 10:00:00; 2 hours 40 minutes of the cool-down of 6 hours were left."


def test_a_moment_that_raises_once_says_so() -> None:
    line = answer(act(0), act(200), duration="PT2H", repeat="once").line

    assert line == "Not raised: it had been raised once before, and this moment is raised once."


def test_too_few_views_are_counted() -> None:
    views = [act(n, "product/view", product_id="p", items=(), session_id="v") for n in range(2)]

    found = answer(*views, type="browse_abandon", duration="PT30M", minimumViews=3)

    assert found.line == "Not raised: 2 views since the last raise, fewer than the 3 asked for."


def test_where_nothing_waited_the_most_frequent_reason_is_given() -> None:
    assert answer(act(0), act(1), sites=["other.example.com"]).line == (
        "Never waited: the signals came from other sites than the moment asks for."
    )
    assert answer(act(0, "page/view", title="Start", items=())).line == (
        "This customer is known, but no signal of theirs concerns this moment."
    )
    assert answer().line == "No signal of this customer has been received."


def test_what_waits_is_what_people_ask_about_else_the_newest() -> None:
    story = story_of(act(0), act(5, cart="other"), act(100, cart="other"), duration="PT2H", until=130)

    assert [each.state for each in story.occurrences] == ["pending", "raised"]
    assert story.newest is not None
    assert story.newest.process == "other"
    done = story_of(act(0), act(5, cart="other"), duration="PT2H")
    assert done.newest is not None
    assert done.newest.process == "other"


# What belongs where.


def test_occurrences_come_newest_first_and_their_steps_by_the_clock() -> None:
    story = story_of(act(0), act(10), act(300), act(310, "cart/clear"), act(400), duration="PT2H")

    (strand,) = story.strands
    assert [(each.number, each.state) for each in strand.occurrences] == [(2, "raised"), (1, "ended"), (0, "raised")]
    assert [[(step.event, after(step.at)) for step in each.steps] for each in strand.occurrences] == [
        [("signal", 400), ("decision", 520)],
        [("signal", 300), ("signal", 310)],
        [("signal", 0), ("signal", 10), ("decision", 130)],
    ]


def test_a_late_signal_stands_at_its_own_time_and_says_that_it_was_late() -> None:
    story = story_of(act(0), act(20, late=20), act(30), duration="PT2H")

    (found,) = story.occurrences
    assert [after(step.at) for step in found.steps if step.event == "signal"] == [0, 20, 30]
    late = found.steps[1]
    assert teller().sentences(late)[-1] == "It arrived 20 minutes later."
    assert [step.late_by for step in found.steps if step is not late] == [0, 0, 0]


def test_waits_that_a_late_signal_joins_are_told_as_rearranged() -> None:
    story = story_of(act(0), act(130, late=0.1), act(110, late=21), duration="PT2H")

    states = {each.state for each in story.occurrences}
    assert "raised" in states
    joined = story_of(act(0, late=100), act(119), act(60, late=61), duration="PT1H", until=122)
    assert {each.state for each in joined.occurrences} <= {"pending", "void", "raised"}


def test_signals_that_change_nothing_are_told_beside_what_they_lie_in_or_by_themselves() -> None:
    story = story_of(act(0), act(5, "cart/clear"), act(50, "cart/remove"), act(60, "cart/purchase"), duration="PT2H")

    (strand,) = story.strands
    assert [step.code for step in strand.idle] == ["leaves_empty", "nothing_to_end"] or [
        step.code for step in strand.idle
    ] == ["after_end", "nothing_to_end"]
    assert [step.kind for step in strand.occurrences[0].steps] == ["cart/add", "cart/clear"]


def test_every_signal_of_an_account_is_told_exactly_once_under_each_wait_that_it_touched() -> None:
    acts = [act(7 * n, kind) for n, kind in enumerate(["cart/add", "cart/add", "cart/remove", "cart/purchase"] * 12)]
    document = explained(*acts, duration="PT10M")
    story = shown_places(document)

    assert sorted(set(story)) == [each["place"] for each in document["entries"] if each["event"] == "signal"]


def shown_places(document: dict[str, Any]) -> list[int]:
    story = read_story(document)
    steps = [step for each in story.occurrences for step in each.steps]
    steps += [step for strand in story.strands for step in strand.idle] + list(story.homeless)
    return [step.place for step in steps if step.event == "signal"]


def test_an_empty_account_is_an_empty_story() -> None:
    story = story_of()

    assert (list(story.occurrences), story.strands, story.refusals) == ([], (), ())
    assert shown(story, teller()).strands == []


# Rows.


def test_signals_alike_become_one_row_and_the_end_stands_by_itself() -> None:
    story = story_of(*(act(n) for n in range(39)), act(50, "cart/purchase"), duration="PT2H")

    rows = rows_of(next(story.occurrences))

    assert [(row.kind, len(row.steps)) for row in rows] == [("step", 1), ("group", 38), ("step", 1)]
    told = shown(story, teller()).strands[0].occurrences[0].rows[1]
    assert told.title == "38 × Added to the cart"
    assert told.sentences[0] == "between 08:01:00 and 08:38:00"


def test_three_alike_are_told_one_by_one_and_a_late_one_stands_alone() -> None:
    assert [row.kind for row in rows_of(next(story_of(act(0), act(1), act(2), act(3)).occurrences))] == ["step"] * 5
    late = story_of(*(act(n, late=5 if n == 9 else 0) for n in range(10)))
    rows = rows_of(next(late.occurrences))
    assert [(row.kind, len(row.steps), bool(row.last.late_by)) for row in rows[:3]] == [
        ("step", 1, False),
        ("group", 8, False),
        ("step", 1, True),
    ]


def test_thousands_of_signals_stay_a_few_rows_and_lose_none() -> None:
    kinds = ["cart/add", "cart/add", "cart/remove"]
    story = story_of(*(act(n / 10, kinds[n % 3]) for n in range(3000)), duration="PT2H")

    found = next(story.occurrences)
    rows = rows_of(found)

    assert len(rows) == MOST
    assert sum(len(row.steps) for row in rows) == len(found.steps) > 1000
    assert [step.place for row in rows for step in row.steps] == [step.place for step in found.steps]
    assert len(grouped(found.steps)) <= MOST


def test_many_processes_and_occurrences_are_folded_and_counted() -> None:
    story = story_of(
        *(act(200 * n) for n in range(OCCURRENCES + 4)),
        *(act(n, cart=f"c{n}") for n in range(STRANDS + 3)),
        duration="PT1H",
    )

    whole = shown(story, teller(), opened="0:k")

    assert (len(whole.strands), whole.older) == (STRANDS, 4)
    kept = whole.strands[0]
    assert kept.older == 3
    assert [each.open for each in kept.occurrences] == [False] * OCCURRENCES + [True]
    assert kept.tally == [("raised", t("explanation.state.raised"), OCCURRENCES + 4)]
    alone = shown(story, teller(), alone=True)
    assert alone.strands[0].older == 0


def test_what_is_asked_for_is_shown_though_it_is_old_and_a_wrong_name_opens_the_newest() -> None:
    story = story_of(act(0), *(act(100 + n, cart=f"c{n}") for n in range(STRANDS)), duration="PT1H")

    whole = shown(story, teller(), opened="0:k")
    other = shown(story, teller(), opened="7:nowhere")

    assert (len(whole.strands), whole.older) == (STRANDS + 1, 0)
    assert [each.open for strand in whole.strands for each in strand.occurrences].index(True) == STRANDS
    assert other.strands[0].occurrences[0].open
    folded = shown(story, teller(), opened="-")
    assert not any(each.open for strand in folded.strands for each in strand.occurrences)


def test_hostile_ids_are_kept_and_named_safely() -> None:
    story = story_of(act(0, cart=HOSTILE[:200]), duration="PT1H")

    (strand,) = shown(story, teller()).strands

    assert strand.strand.process == HOSTILE[:200]
    assert strand.anchor.isalnum()
    assert strand.occurrences[0].anchor.replace("-", "").isalnum()


def test_an_older_record_without_numbers_keeps_its_reason() -> None:
    document = explained(act(0), duration="PT2H", minimumValue={"amount": 20, "currency": "EUR"})
    for entry in document["entries"]:
        for change in entry["changes"]:
            change["numbers"] = {"value": "x"}
    assert (
        teller().answer(read_story(document)).line == "Not raised: the items were worth less than the moment asks for."
    )


def test_a_reason_that_is_not_known_yet_is_shown_as_it_is() -> None:
    document = explained(act(0), duration="PT2H", minimumValue={"amount": 20, "currency": "EUR"})
    for wait in document["waits"]:
        wait["reason"] = "phase_of_the_moon"
    assert teller().answer(read_story(document)).line == "Not raised: phase_of_the_moon."


def test_days_are_said_where_they_differ() -> None:
    told = Teller(minutes(30 * 60), UTC)

    assert told.clock(minutes(0)) == "26 Nov, 08:00:00"
    assert told.clock(minutes(0), minutes(5)) == "08:00:00"
    assert told.clock(minutes(0) - 400 * 24 * HOUR) == "22 Oct 2025, 08:00:00"
    assert told.day(minutes(0)) == "Thursday, 26 November"


def test_items_without_a_category_are_told_as_such() -> None:
    plain = Item(product_id="p", price=3.0, currency="EUR")

    line = answer(act(0, items=(plain,)), duration="PT2H", categories=["shoes"]).line

    assert line == "Not raised: no item has a category; the moment asks for shoes."
    assert MUG.category == "mugs"


def test_a_story_is_a_value_of_its_document_alone() -> None:
    document = explained(act(0), act(10, late=3), duration="PT2H")
    assert isinstance(read_story(document), Story)
    assert read_story(document) == read_story(document)
