"""booking_abandon, survey_abandon, game_abandon and conversion_abandon (§4)."""

from __future__ import annotations

from tests.oracle.cases.writing import BOB, Case, finished, moment, step, view
from tests.oracle.words import SECOND

OPENINGS = {"booking": "start", "survey": "start", "game": "start", "conversion": "create"}
ENDERS = (  # signal, what becomes of the wait
    ("booking/complete", "completed"),
    ("booking/cancel", "ended"),
    ("survey/complete", "completed"),
    ("game/complete", "completed"),
    ("conversion/complete", "completed"),
    ("conversion/delete", "ended"),
)

STEP_TEMPLATES = [
    *(
        Case(
            rule="4",
            name=f"{kind}/{opening} opens and {kind}/update slides",
            arrivals=(step(f"{kind}/{opening}", "1", 0), step(f"{kind}/update", "2", 60)),
            moment=moment(f"{kind}_abandon"),
            raises=(finished(0, 60, 120, last="2"),),
            opened=1,
        )
        for kind, opening in OPENINGS.items()
    ),
    *(
        Case(
            rule="4",
            name=f"{kind}/{opening} in an open occurrence is activity",
            arrivals=(step(f"{kind}/{opening}", "1", 0), step(f"{kind}/{opening}", "2", 10)),
            moment=moment(f"{kind}_abandon"),
            raises=(finished(0, 10, 70, last="2"),),
            opened=1,
        )
        for kind, opening in OPENINGS.items()
    ),
    *(
        Case(
            rule="4",
            name=f"{kind}/update seen first opens, the start may have been lost",
            arrivals=(step(f"{kind}/update", "1", 0),),
            moment=moment(f"{kind}_abandon"),
            raises=(finished(0, 0, 60),),
            opened=1,
        )
        for kind in OPENINGS
    ),
    *(
        Case(
            rule="4",
            name=f"{ender} ends as {outcome}",
            arrivals=(step(f"{ender.partition('/')[0]}/update", "1", 0), step(ender, "2", 60, received=60)),
            moment=moment(f"{ender.partition('/')[0]}_abandon"),
            opened=1,
            ended={outcome: 1},
        )
        for ender, outcome in ENDERS
    ),
    *(
        Case(
            rule="4",
            name=f"after {ender} an update only changes content and an opening signal opens again",
            arrivals=(
                step(f"{kind}/update", "1", 0),
                step(ender, "2", 10),
                step(f"{kind}/update", "3", 20),
                step(f"{kind}/{OPENINGS[kind]}", "4", 30),
                step(f"{kind}/update", "5", 40),
            ),
            moment=moment(f"{kind}_abandon"),
            raises=(finished(30, 40, 100, last="5"),),
            opened=2,
            ended={outcome: 1},
        )
        for ender, outcome in ENDERS
        for kind in (ender.partition("/")[0],)
    ),
    Case(
        rule="4",
        name="a booking/complete that comes first keeps the booking closed for updates",
        arrivals=(step("booking/complete", "1", 0), step("booking/update", "2", 5)),
        moment=moment("booking_abandon"),
        opened=0,
    ),
    Case(
        rule="6.6",
        name="an expired booking/start does not count as the opening after an ender",
        arrivals=(
            step("booking/cancel", "1", 0),
            step("booking/start", "2", 1, received=200),
            step("booking/update", "3", 199, received=201),
        ),
        moment=moment("booking_abandon"),
        expiry=100 * SECOND,
        opened=0,
    ),
    Case(
        rule="6.1",
        name="at the same time a survey/complete ranks after a survey/start, even when it arrives first",
        arrivals=(step("survey/complete", "1", 0), step("survey/start", "2", 0, received=5)),
        moment=moment("survey_abandon"),
        opened=1,
        ended={"completed": 1},
        choice=1,
    ),
    Case(
        rule="6.1",
        name="start and update have one rank: the id decides which stands last",
        arrivals=(step("game/update", "b", 0), step("game/start", "a", 0)),
        moment=moment("game_abandon"),
        raises=(finished(0, 0, 60, last="b"),),
        opened=1,
    ),
    Case(
        rule="2.2",
        name="every booking id of every profile is a process of its own",
        arrivals=(
            step("booking/start", "1", 0, process="b1"),
            step("booking/start", "2", 1, process="b2"),
            step("booking/start", "3", 2, process="b1", profile=BOB),
            step("booking/cancel", "4", 10, process="b1"),
        ),
        moment=moment("booking_abandon"),
        raises=(finished(1, 1, 61, process="b2"), finished(2, 2, 62, process="b1")),
        opened=3,
        ended={"ended": 1},
    ),
    Case(
        rule="2.2",
        name="signals of another class are no part of a survey, whatever their id",
        arrivals=(
            step("survey/start", "1", 0),
            step("booking/complete", "2", 10),
            step("game/update", "3", 20),
            view("4", 30),
        ),
        moment=moment("survey_abandon"),
        raises=(finished(0, 0, 60),),
        opened=1,
    ),
    Case(
        rule="4",
        name="a booking holds the items that were given last",
        arrivals=(
            step("booking/start", "1", 0, {"room": 1}),
            step("booking/update", "2", 10, {"room": 2, "breakfast": 2}),
            step("booking/update", "3", 20),
        ),
        moment=moment("booking_abandon"),
        raises=(finished(0, 20, 80, content={"room": 2, "breakfast": 2}),),
        opened=1,
        choice=17,
    ),
    Case(
        rule="4",
        name="a booking without items is not empty, it raises",
        arrivals=(step("booking/start", "1", 0),),
        moment=moment("booking_abandon"),
        raises=(finished(0, 0, 60),),
        opened=1,
        choice=17,
    ),
    Case(
        rule="4",
        name="a booking's maximum wait limits sliding",
        arrivals=tuple(step("booking/update", f"{n}", 40 * n) for n in range(4)),
        moment=moment("booking_abandon", maximum_wait=100 * SECOND),
        raises=(finished(0, 80, 100, last="2"), finished(120, 120, 180, last="3")),
        opened=2,
    ),
    Case(
        rule="4",
        name="a conversion of another site opens no wait, and slides one",
        arrivals=(
            step("conversion/create", "1", 0, site="b"),
            step("conversion/update", "2", 10, site="a"),
            step("conversion/update", "3", 20, site="b"),
        ),
        moment=moment("conversion_abandon", sites=frozenset({"a"})),
        raises=(finished(10, 20, 80),),
        opened=1,
        choice=2,
    ),
    Case(
        rule="6.4",
        name="a booking/complete after due that is applied before the raise suppresses it",
        arrivals=(step("booking/start", "1", 0, received=65), step("booking/complete", "2", 70)),
        moment=moment("booking_abandon"),
        opened=1,
        suppressed={"ended_before_raise": 1},
    ),
    Case(
        rule="6.11",
        name="a survey/update is founded no more when a complete turns up before it: the wait is void",
        arrivals=(step("survey/update", "1", 10), step("survey/complete", "2", 5, received=20)),
        moment=moment("survey_abandon"),
        opened=1,
        ended={"void": 1},
    ),
    Case(
        rule="6.11",
        name="a game/start after a late complete founds what was a slide: split, the earlier part has ended",
        arrivals=(
            step("game/start", "1", 0),
            step("game/start", "2", 40),
            step("game/complete", "3", 20, received=50),
        ),
        moment=moment("game_abandon"),
        raises=(finished(40, 40, 100, last="2"),),
        opened=2,
        ended={"completed": 1},
    ),
]
