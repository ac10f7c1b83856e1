"""Signals per second over HTTP into ingestion, one to a request and 50 to a request; how long one waits for its answer.

Measured: the real gunicorn set up as by `moments serve ingestion` (2 processes of 4 threads), limits and log on, a web
key with its origin, signals of 800 bytes in plain JSON; two client processes of 8 keep-alive connections each, and the
broker, on one machine. A request is counted when it was answered with 200, that is when the broker has every signal of
it on disk. Beside it, in turns of a few seconds: an endpoint that publishes the same bytes to the same place, as one
message for each signal, waits for the confirms and does nothing else, under the same gunicorn settings with the same
broker, asked by the same clients. `processor` is what gunicorn's processes spend on a request, which changes little
when other work shares the machine.

`latency`: single signals come at instants that were fixed beforehand, as from customers who know nothing of
each other, at half the rate that the clients above got; time counts from that instant to the whole answer. Beside it
the empty endpoint, asked at the same instants. Up to 1 ms of it is the client's own, who sleeps in milliseconds.

Not shown: TLS, networks, compressed bodies, new connections, preflights; a trigger that consumes at the same time; the
same bodies are sent again and again (ingestion does not look for repetition, trigger does).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.figures import Figure
from benchmarks.places import BROKERS, Place, Places
from benchmarks.serving import BATCH, PER_REQUEST, SINGLE, Asked, Server, served
from benchmarks.workload import configuration_state
from services.ingestion.store import SCHEMA, IngestionStore
from shared.store import open_database

FLOOR = 10_000.0
"""Signals per second in batches."""
SHARE = 0.6
"""Of the rate of the empty endpoint, for single signals."""
LATEST = 100.0
"""Milliseconds within which 99 of 100 are answered at half of the greatest rate."""
_TURN = 2.0
_WARM_UP = 0.1
_LATENCY = "latency"


@dataclass(frozen=True, slots=True)
class Pair:
    """What the clients got of ingestion and of the empty endpoint."""

    ours: Asked
    empty: Asked


def names(brokers: Sequence[str] = BROKERS) -> list[str]:
    """The names of the figures."""
    return [f"http {what} {broker}" for broker in brokers for what in (SINGLE, _LATENCY, BATCH)]


def measure(places: Places, seconds: float, wanted: Collection[str]) -> Iterator[Figure]:
    """The figures of the wanted names, each over `seconds`."""
    for broker in BROKERS:
        single, latency, batch = chosen = [name in wanted for name in names([broker])]
        if not any(chosen):
            continue
        with (
            places.place(broker, "sqlite") as place,
            served(place, "benchmarks.empty") as empty,
            served(_admitting(place), "services.ingestion.wsgi") as ours,
        ):
            if single or latency:
                found = _ask_in_turn(ours, empty, SINGLE, seconds)
            if single:
                yield from _figures(f"http {SINGLE} {broker}", SINGLE, found)
            if latency:
                rate = found.ours.answered / found.ours.seconds / 2
                yield from _latencies(
                    f"http {_LATENCY} {broker}", ours.ask_steadily(rate, seconds), empty.ask_steadily(rate, seconds)
                )
            if batch:
                yield from _figures(f"http {BATCH} {broker}", BATCH, _ask_in_turn(ours, empty, BATCH, seconds))


def _figures(name: str, form: str, found: Pair) -> Iterator[Figure]:
    each, unit = (1, "requests/s") if form == SINGLE else (PER_REQUEST, "signals/s")
    rate, limit = (asked.answered / asked.seconds * each for asked in (found.ours, found.empty))
    yield Figure(name=name, value=rate, unit=unit, limit=limit, floor=SHARE * limit if form == SINGLE else FLOOR)
    processor, bare = (asked.processor * 1e6 for asked in (found.ours, found.empty))
    yield Figure(name=f"{name} processor", value=processor, unit="us/request", limit=bare)


def _latencies(name: str, ours: dict[str, float], empty: dict[str, float]) -> Iterator[Figure]:
    for part in ("p50", "p99", "max"):
        value, limit = ours[part] * 1e3, empty[part] * 1e3
        floor = LATEST if part == "p99" else None
        yield Figure(name=f"{name} {part}", value=value, unit="ms", limit=limit, floor=floor, at_most=True)


def _admitting(place: Place) -> Place:
    """Give ingestion its configuration, as if config had sent it before."""
    store = IngestionStore(open_database(place.settings.ingestion_database_url, schema=SCHEMA, synchronous="NORMAL"))
    store.migrate()
    store.keep([configuration_state()])
    store.close()
    return place


def _ask_in_turn(ours: Server, empty: Server, form: str, seconds: float) -> Pair:
    """Both get the same share of whatever else the machine does; what is made at first use is made before."""
    for server in (ours, empty):
        server.ask(form, _WARM_UP)
    turns = max(1, round(seconds / _TURN))
    pairs = [Pair(ours.ask(form, seconds / turns), empty.ask(form, seconds / turns)) for _ in range(turns)]
    return Pair(_together([pair.ours for pair in pairs]), _together([pair.empty for pair in pairs]))


def _together(asked: Sequence[Asked]) -> Asked:
    answered = sum(each.answered for each in asked)
    processor = sum(each.processor * each.answered for each in asked) / max(1, answered)
    return Asked(answered, sum(each.seconds for each in asked), processor)
