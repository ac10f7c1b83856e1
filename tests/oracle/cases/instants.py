"""booking_complete, survey_complete, game_start, welcome, welcome_app and goodbye (§4): instant moments."""

from __future__ import annotations

from tests.oracle.cases.writing import BOB, MICROSECOND, Case, cart, finished, moment, step
from tests.oracle.words import SECOND

NAMED = {"booking_complete": "booking/complete", "survey_complete": "survey/complete", "game_start": "game/start"}
GREETINGS = {"welcome": ("signup", "cancel"), "goodbye": ("cancel", "signup")}

INSTANT_TEMPLATES = [
    *(
        Case(
            rule="4",
            name=f"{template} is raised at {signal} and its delay",
            arrivals=(step(signal, "1", 0),),
            moment=moment(template, 10),
            raises=(finished(0, 0, 10, last="1"),),
            opened=1,
        )
        for template, signal in NAMED.items()
    ),
    *(
        Case(
            rule="4",
            name=f"a further {signal} before the due joins: it is the last signal, the due stays",
            arrivals=(step(signal, "1", 0), step(signal, "2", 10)),
            moment=moment(template, 10),
            raises=(finished(0, 10, 10, decided=40, last="2"),),
            opened=1,
            choice=13,
        )
        for template, signal in NAMED.items()
    ),
    *(
        Case(
            rule="4",
            name=f"{template} once per process: a {signal} after the due is suppressed at its own due",
            arrivals=(
                step(signal, "1", 0),
                step(signal, "2", 10 + MICROSECOND),
                step(signal, "3", 1000),
                step(signal, "4", 1000, process="q"),
                step(signal, "5", 1001, profile=BOB),
            ),
            moment=moment(template, 10),
            raises=(finished(0, 0, 10), finished(1000, 1000, 1010, process="q"), finished(1001, 1001, 1011)),
            opened=5,
            suppressed={"repeat": 2},
            choice=13,
        )
        for template, signal in NAMED.items()
    ),
    Case(
        rule="6.6",
        name="without delay an instant moment settles: 30 s after the receivedAt of its signal",
        arrivals=(step("game/start", "1", 0, received=2),),
        moment=moment("game_start", 0),
        raises=(finished(0, 0, 0, decided=32),),
        opened=1,
        choice=14,
    ),
    Case(
        rule="6.6",
        name="an instant moment with a delay is raised at its due when its signal came before that",
        arrivals=(step("game/start", "1", 0, received=10 - MICROSECOND),),
        moment=moment("game_start", 10),
        raises=(finished(0, 0, 10),),
        opened=1,
    ),
    Case(
        rule="6.6",
        name="an expired survey/complete opens nothing and gives no reason to suppress the next",
        arrivals=(step("survey/complete", "1", 0, received=101), step("survey/complete", "2", 150)),
        moment=moment("survey_complete", 10),
        expiry=100 * SECOND,
        raises=(finished(150, 150, 160, last="2"),),
        opened=1,
    ),
    Case(
        rule="6.2",
        name="the due of an instant moment is the first signal and the delay: an earlier one that comes late moves it",
        arrivals=(step("survey/complete", "1", 20), step("survey/complete", "2", 0, received=30)),
        moment=moment("survey_complete", 60),
        raises=(finished(0, 20, 60, last="1"),),
        opened=1,
    ),
    Case(
        rule="6.3",
        name="split by an earlier first signal: the second part is suppressed when the first was raised",
        arrivals=(step("game/start", "1", 100), step("game/start", "2", 30, received=110)),
        moment=moment("game_start", 60),
        raises=(finished(30, 30, 90, decided=140, last="2"),),
        opened=2,
        suppressed={"repeat": 1},
        choice=13,
    ),
    Case(
        rule="4",
        name="of two pending waits of one process the one that is decided first is raised, the other suppressed",
        arrivals=(step("game/start", "1", 0, received=100), step("game/start", "2", 50, received=101)),
        moment=moment("game_start", 10),
        raises=(finished(0, 0, 10, decided=130, last="1"),),
        opened=2,
        suppressed={"repeat": 1},
        choice=13,
    ),
    Case(
        rule="4",
        name="once per process holds across runs, and a stopped wait was no raise",
        arrivals=(
            step("game/start", "1", 0),
            step("game/start", "2", 0, process="q"),
            step("game/start", "3", 25, process="q"),
            step("game/start", "4", 50),
            step("game/start", "5", 50, process="q"),
        ),
        moment=moment("game_start", 10, runs=((-10, 5), (20, 30), (40, None))),
        raises=(finished(50, 50, 60, process="p", last="4"), finished(50, 50, 60, process="q", last="5")),
        opened=5,
        suppressed={"stopped": 3},
    ),
    Case(
        rule="4",
        name="other signals of the game are content: they neither open nor slide nor end",
        arrivals=(step("game/update", "1", 0), step("game/start", "2", 10), step("game/complete", "3", 15)),
        moment=moment("game_start", 10),
        raises=(finished(10, 10, 20, last="2"),),
        opened=1,
    ),
    Case(
        rule="4",
        name="a completed booking holds what the booking held, up to the due",
        arrivals=(
            step("booking/start", "1", 0, {"room": 1}),
            step("booking/complete", "2", 10),
            step("booking/update", "3", 15, {"room": 2}),
            step("booking/update", "4", 21, {"room": 3}, received=21),
        ),
        moment=moment("booking_complete", 10),
        raises=(finished(10, 10, 20, content={"room": 2}),),
        opened=1,
        choice=17,
    ),
    Case(
        rule="6.7",
        name="a signal between the last one and the due contradicts the raise of an instant moment",
        arrivals=(step("game/start", "1", 0), step("game/update", "2", 5, received=20)),
        moment=moment("game_start", 10),
        raises=(finished(0, 0, 10),),
        opened=1,
        contradicted=1,
    ),
    Case(
        rule="6.7",
        name="a late opening signal at or before the latest decided due opens nothing",
        arrivals=(step("game/start", "1", 100), step("game/start", "2", 0, received=120)),
        moment=moment("game_start", 10),
        raises=(finished(100, 100, 110),),
        opened=1,
    ),
    Case(
        rule="6.10",
        name="an instant moment is never recovered",
        arrivals=(step("booking/complete", "1", 0), step("booking/complete", "2", 50)),
        moment=moment("booking_complete", 10),
        raises=(finished(0, 0, 10),),
        opened=2,
        suppressed={"repeat": 1},
    ),
]

GREETING_TEMPLATES = [
    *(
        Case(
            rule="4",
            name=f"{template} is raised at the {opening} of each class and name, a process each",
            arrivals=(
                step(f"newsletter/{opening}", "1", 0, process="daily"),
                step(f"newsletter/{opening}", "2", 1, process="weekly"),
                step(f"webinar/{opening}", "3", 2, process="daily"),
                step(f"event/{opening}", "4", 3, process=None),
                step(f"website/{opening}", "5", 4, process="daily"),
            ),
            moment=moment(template, 10),
            raises=(
                finished(0, 0, 10, process="newsletter:daily"),
                finished(1, 1, 11, process="newsletter:weekly"),
                finished(2, 2, 12, process="webinar:daily"),
                finished(3, 3, 13, process="event:"),
                finished(4, 4, 14, process="website:daily"),
            ),
            opened=5,
        )
        for template, (opening, _) in GREETINGS.items()
    ),
    *(
        Case(
            rule="4",
            name=f"the matching {ender} during the delay, its end included, ends {template}",
            arrivals=(
                step(f"newsletter/{opening}", "1", 0, process="daily"),
                step(f"newsletter/{opening}", "2", 0, process="weekly"),
                step(f"newsletter/{ender}", "3", 10, process="daily"),
                step(f"webinar/{ender}", "4", 5, process="weekly"),
            ),
            moment=moment(template, 10),
            raises=(finished(0, 0, 10, process="newsletter:weekly"),),
            opened=2,
            ended={"ended": 1},
        )
        for template, (opening, ender) in GREETINGS.items()
    ),
    *(
        Case(
            rule="4",
            name=f"after the {ender} a further {opening} opens a wait of its own for {template}",
            arrivals=(
                step(f"event/{opening}", "1", 0),
                step(f"event/{ender}", "2", 4),
                step(f"event/{opening}", "3", 8),
            ),
            moment=moment(template, 10),
            raises=(finished(8, 8, 18, process="event:p", last="3"),),
            opened=2,
            ended={"ended": 1},
        )
        for template, (opening, ender) in GREETINGS.items()
    ),
    *(
        Case(
            rule="4",
            name=f"a {opening} before the due joins {template}, a later one raises again",
            arrivals=(
                step(f"event/{opening}", "1", 0),
                step(f"event/{opening}", "2", 5),
                step(f"event/{opening}", "3", 11),
            ),
            moment=moment(template, 10),
            raises=(
                finished(0, 5, 10, process="event:p", last="2"),
                finished(11, 11, 21, process="event:p", last="3"),
            ),
            opened=2,
            choice=16,
        )
        for template, (opening, _) in GREETINGS.items()
    ),
    *(
        Case(
            rule="4",
            name=f"{template} of a class that is not among its kinds opens no wait",
            arrivals=(
                step(f"newsletter/{opening}", "1", 0),
                step(f"webinar/{opening}", "2", 0),
                step(f"event/{opening}", "3", 0),
            ),
            moment=moment(template, 10, kinds=frozenset({"webinar"})),
            raises=(finished(0, 0, 10, process="webinar:p"),),
            opened=1,
            choice=16,
        )
        for template, (opening, _) in GREETINGS.items()
    ),
    Case(
        rule="5",
        name="kinds are judged at opening, with the settings in force at the receivedAt",
        arrivals=(step("event/signup", "1", 0), step("webinar/signup", "2", 0), step("webinar/signup", "3", 6)),
        moment=moment(
            "welcome",
            10,
            kinds=frozenset({"event"}),
            versions=((5, moment("welcome", 10, kinds=frozenset({"webinar"})).settings),),
        ),
        raises=(finished(0, 0, 10, process="event:p"), finished(6, 6, 16, process="webinar:p", last="3")),
        opened=2,
        choice=16,
    ),
    Case(
        rule="6.1",
        name="at the same time a cancel ranks after a signup: it ends a welcome",
        arrivals=(step("event/cancel", "1", 0), step("event/signup", "2", 0)),
        moment=moment("welcome", 0),
        opened=1,
        ended={"ended": 1},
        choice=1,
    ),
    Case(
        rule="6.1",
        name="at the same time a signup ranks before a cancel: it does not end a goodbye",
        arrivals=(step("event/cancel", "1", 0), step("event/signup", "2", 0)),
        moment=moment("goodbye", 10),
        raises=(finished(0, 0, 10, process="event:p"),),
        opened=1,
    ),
    Case(
        rule="6.4",
        name="a cancel after the delay that is applied before the welcome is raised suppresses it",
        arrivals=(step("event/signup", "1", 0, received=65), step("event/cancel", "2", 70)),
        moment=moment("welcome", 60),
        opened=1,
        suppressed={"ended_before_raise": 1},
    ),
    Case(
        rule="6.7",
        name="a late cancel contradicts a welcome that was raised, and a late signup too",
        arrivals=(
            step("event/signup", "1", 0),
            step("event/cancel", "2", 30, received=70),
            step("event/signup", "3", 40, received=71),
        ),
        moment=moment("welcome", 60),
        raises=(finished(0, 0, 60, process="event:p"),),
        opened=1,
        contradicted=2,
    ),
    Case(
        rule="4",
        name="welcome with repeat once greets a subscription once",
        arrivals=(
            step("event/signup", "1", 0),
            step("event/cancel", "2", 20),
            step("event/signup", "3", 40),
            step("event/signup", "4", 40, process="q"),
        ),
        moment=moment("welcome", 10, once=True),
        raises=(finished(0, 0, 10, process="event:p"), finished(40, 40, 50, process="event:q")),
        opened=3,
        suppressed={"repeat": 1},
    ),
    Case(
        rule="4",
        name="a welcome is given on the moment's sites only",
        arrivals=(step("event/signup", "1", 0, site="a"), step("event/signup", "2", 0, site="b", process="q")),
        moment=moment("welcome", 10, sites=frozenset({"a"})),
        raises=(finished(0, 0, 10, process="event:p"),),
        opened=1,
    ),
    Case(
        rule="4",
        name="app/install is welcomed, once more after a removal",
        arrivals=(step("app/install", "1", 0), step("app/uninstall", "2", 20), step("app/install", "3", 40)),
        moment=moment("welcome_app", 10),
        raises=(finished(0, 0, 10), finished(40, 40, 50)),
        opened=2,
    ),
    Case(
        rule="4",
        name="app/uninstall during the delay ends, that of another app does not",
        arrivals=(
            step("app/install", "1", 0),
            step("app/install", "2", 0, process="q"),
            step("app/uninstall", "3", 9),
        ),
        moment=moment("welcome_app", 10),
        raises=(finished(0, 0, 10, process="q"),),
        opened=2,
        ended={"ended": 1},
    ),
    Case(
        rule="2.2",
        name="an app without id is the default one of profile and site, and cart signals are no part of it",
        arrivals=(step("app/install", "1", 0, process=None, site="a"), cart("purchase", "2", 5, site="a")),
        moment=moment("welcome_app", 10),
        raises=(finished(0, 0, 10, process="default:a"),),
        opened=1,
    ),
]
