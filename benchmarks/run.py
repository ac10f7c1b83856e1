"""The runner: which figures, of which size, as a table or as JSON."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks import backtest, ingestion, lag, trigger
from benchmarks.figures import HEADING, Figure
from benchmarks.places import BROKERS, STORES, Places, missing
from shared.clock import stopwatch
from shared.logs import set_up_logs


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured: signals to drain, seconds of HTTP for each figure, pending waits, seconds of due ones.

    `log`: signals of a log to run a back-test over.
    """

    signals: int
    http_seconds: float
    pending: int
    due_seconds: float
    log: int


FULL = Size(signals=100_000, http_seconds=8.0, pending=100_000, due_seconds=20.0, log=1_000_000)
QUICK = Size(signals=5_000, http_seconds=0.7, pending=3_000, due_seconds=2.0, log=20_000)


def main() -> None:
    """Measure and print; ends with 1 when a promise was missed."""
    arguments = _arguments()
    set_up_logs("benchmarks", "error")
    unavailable = missing()
    known = _names(unavailable)
    unknown = [part for part in arguments.only if not any(part in name for name in known)]
    if unknown:
        sys.exit(f"no figure is called {', '.join(unknown)}; there are: {', '.join(known)}")
    for server, reason in unavailable.items():
        _tell(f"no figures with {server}: {reason}")
    began = stopwatch()
    if not arguments.json:
        print(HEADING)
    missed: list[str] = []
    for figure in _measure(QUICK if arguments.quick else FULL, _chosen(known, arguments.only)):
        print(figure.as_json() if arguments.json else figure.as_row(), flush=True)
        missed += [figure.name] if figure.met is False else []
    _tell(f"{stopwatch() - began:.0f} s" + ("; quick: small samples, for a look only" if arguments.quick else ""))
    if missed:
        sys.exit(f"promised and missed: {', '.join(missed)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="moments bench",
        description="Measure throughput and fire lag beside the bare limits of this machine.",
        epilog="limit: the same machine without our work, measured in the same run. ratio: value / limit. "
        "The exit code is 1 when a promise was missed.",
    )
    parser.add_argument("--quick", action="store_true", help="small samples, within a minute")
    parser.add_argument(
        "--json",
        action="store_true",
        help="one JSON object for each figure: name, value, unit, limit, ratio, promised, met",
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="only figures whose name contains NAME")
    return parser.parse_args()


def _names(unavailable: dict[str, str]) -> list[str]:
    """The figures that can be had here."""
    brokers = [broker for broker in BROKERS if broker not in unavailable]
    stores = [store for store in STORES if store not in unavailable]
    return [
        *trigger.names(brokers, stores),
        *ingestion.names(brokers),
        *lag.names(brokers, stores),
        *backtest.names(stores),
    ]


def _chosen(known: list[str], only: list[str]) -> set[str]:
    return {name for name in known if not only or any(part in name for part in only)}


def _measure(size: Size, wanted: set[str]) -> Iterator[Figure]:
    with Places() as places:
        places.start(server for server in ("rabbitmq", "postgresql") if any(server in name for name in wanted))
        yield from trigger.measure(places, size.signals, wanted)
        yield from ingestion.measure(places, size.http_seconds, wanted)
        yield from lag.measure(places, size.pending, size.due_seconds, wanted)
        yield from backtest.measure(places, size.log, wanted)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
