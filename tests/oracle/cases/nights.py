"""Quiet hours (§4, §6.2), over both switches of Europe/Paris and America/New_York. Instants are given in UTC."""

from __future__ import annotations

from datetime import datetime

from tests.oracle.cases.writing import START, Case, X, Y, cart, finished, moment, raised, step
from tests.oracle.quiet import QuietHours
from tests.oracle.words import HOUR, SECOND, Moment


def utc(text: str) -> float:
    """Seconds after START of an instant in UTC, as `2026-03-28 21:30`."""
    return datetime.fromisoformat(f"{text}+00:00").timestamp() - START / SECOND


def quiet(start: str, end: str, zone: str = "Europe/Paris", duration: float = 60, **settings: int) -> Moment:
    return moment("cart_abandon", duration, quiet=QuietHours(zone=zone, start=start, end=end), **settings)


def night(name: str, watched: Moment, due: str, moved: str, choice: int | None = None) -> Case:
    """A cart whose due, 60 s after its add, is moved."""
    opened = utc(due) - 60
    return Case(
        rule="6.2",
        name=name,
        arrivals=(cart("add", "1", opened, X),),
        moment=watched,
        raises=(raised(opened, opened, utc(moved), X),),
        opened=1,
        choice=choice,
    )


PARIS = quiet("22:00", "08:00")
NEW_YORK = quiet("22:00", "08:00", "America/New_York")
SHORT = quiet("22:00", "02:30")

NIGHTS = [
    night("the quiet hours begin with their first instant", PARIS, "2026-01-10 21:00", "2026-01-11 07:00"),
    night("just before the quiet hours is not quiet", PARIS, "2026-01-10 20:59:59", "2026-01-10 20:59:59"),
    night("a due after midnight is moved to the same morning", PARIS, "2026-01-11 01:23:45", "2026-01-11 07:00"),
    night("just before the end is quiet", PARIS, "2026-01-11 06:59:59", "2026-01-11 07:00"),
    night("the end of the quiet hours is not quiet", PARIS, "2026-01-11 07:00", "2026-01-11 07:00"),
    night(
        "noon's hours begin with their first instant", quiet("12:00", "14:00"), "2026-01-10 11:00", "2026-01-10 13:00"
    ),
    night("quiet hours within one day", quiet("12:00", "14:00"), "2026-01-10 11:30", "2026-01-10 13:00"),
    night("the evening is not quiet at noon's hours", quiet("12:00", "14:00"), "2026-01-10 22:30", "2026-01-10 22:30"),
    night("Paris in spring: 08:00 is an hour earlier in UTC", PARIS, "2026-03-28 23:00", "2026-03-29 06:00"),
    night("Paris in autumn: 08:00 is an hour later in UTC", PARIS, "2026-10-24 22:30", "2026-10-25 07:00"),
    night("New York in spring: 08:00 is an hour earlier in UTC", NEW_YORK, "2026-03-08 04:00", "2026-03-08 12:00"),
    night("New York in autumn: 08:00 is an hour later in UTC", NEW_YORK, "2026-11-01 03:00", "2026-11-01 13:00"),
    night(
        "an end that the spring leaves out is the instant of the switch",
        SHORT,
        "2026-03-28 23:00",
        "2026-03-29 01:00",
        20,
    ),
    night("what is left out of the night in spring is not quiet", SHORT, "2026-03-29 01:00", "2026-03-29 01:00", 20),
    night(
        "a start that the spring leaves out begins at the switch",
        quiet("02:30", "08:00"),
        "2026-03-29 01:00",
        "2026-03-29 06:00",
        20,
    ),
    night(
        "just before the switch the start is not reached",
        quiet("02:30", "08:00"),
        "2026-03-29 00:59:59",
        "2026-03-29 00:59:59",
        20,
    ),
    night("an end that comes twice in autumn is the first one", SHORT, "2026-10-24 23:00", "2026-10-25 00:30", 20),
    night(
        "between the two ends in autumn the clock shows no quiet hour",
        SHORT,
        "2026-10-25 00:45",
        "2026-10-25 00:45",
        20,
    ),
    night(
        "when the clock goes back into the quiet hours they end a second time",
        SHORT,
        "2026-10-25 01:15",
        "2026-10-25 01:30",
        20,
    ),
    night(
        "New York: the second 01:30 of the autumn ends the quiet hours again",
        quiet("23:00", "01:30", "America/New_York"),
        "2026-11-01 06:10",
        "2026-11-01 06:30",
        20,
    ),
]

NIGHTS += [
    night(
        "a switch that leaves out all that is not quiet does not end the quiet hours",
        quiet("00:01", "00:00", "America/Santiago"),
        "2026-09-06 03:59:59",
        "2026-09-07 03:00",
        20,
    ),
]

EVENING = utc("2026-01-10 20:30")
MORNING = utc("2026-01-11 07:00")
MANNERS = [
    Case(
        rule="6.3",
        name="a signal in the quiet hours, before the moved due, joins and moves the due from there",
        arrivals=(cart("add", "1", EVENING, X), cart("remove", "2", MORNING, Y)),
        moment=quiet("22:00", "08:00", duration=3600),
        raises=(raised(EVENING, MORNING, MORNING + 3600, X, last="2"),),
        opened=1,
    ),
    Case(
        rule="6.2",
        name="the maximum wait is moved out of the quiet hours too",
        arrivals=(cart("add", "1", EVENING, X), cart("remove", "2", EVENING + 3000, Y)),
        moment=quiet("22:00", "08:00", duration=3600, maximum_wait=HOUR),
        raises=(raised(EVENING, EVENING + 3000, MORNING, X),),
        opened=1,
    ),
    Case(
        rule="6.2",
        name="an instant moment's due is moved, further signals until then join",
        arrivals=(step("event/signup", "1", EVENING), step("event/signup", "2", MORNING - 1)),
        moment=moment("welcome", 3600, quiet=QuietHours(zone="Europe/Paris", start="22:00", end="08:00")),
        raises=(finished(EVENING, MORNING - 1, MORNING, process="event:p", last="2"),),
        opened=1,
    ),
    Case(
        rule="6.2",
        name="an instant moment without delay waits for the morning",
        arrivals=(step("event/signup", "1", EVENING + 3600), step("event/cancel", "2", MORNING)),
        moment=moment("welcome", 0, quiet=QuietHours(zone="Europe/Paris", start="22:00", end="08:00")),
        opened=1,
        ended={"ended": 1},
    ),
    Case(
        rule="5",
        name="an edit of the quiet hours re-times pending waits",
        arrivals=(cart("add", "1", EVENING, X),),
        moment=moment(
            "cart_abandon",
            3600,
            quiet=QuietHours(zone="Europe/Paris", start="22:00", end="08:00"),
            versions=(
                (
                    EVENING + 60,
                    moment(
                        "cart_abandon", 3600, quiet=QuietHours(zone="Europe/London", start="23:00", end="09:00")
                    ).settings,
                ),
            ),
        ),
        raises=(raised(EVENING, EVENING, EVENING + 3600, X),),
        opened=1,
    ),
    Case(
        rule="4",
        name="two carts that wait for the morning are due together: of a cool-down the smaller process wins",
        arrivals=(
            cart("add", "1", EVENING + 3600, X, cart="c2"),
            cart("add", "2", EVENING + 7200, X, cart="c1"),
        ),
        moment=quiet("22:00", "08:00", cool_down=SECOND),
        raises=(raised(EVENING + 7200, EVENING + 7200, MORNING, X, process="c1"),),
        opened=2,
        suppressed={"cool_down": 1},
    ),
]
