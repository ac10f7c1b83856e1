"""`moments send`: a recorded shop log over HTTP, in real or accelerated time."""

from __future__ import annotations

import json
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from contracts.times import SECOND, to_rfc3339
from services.cli.credentials import Credentials, SigningSecret, advice, code_of
from services.cli.failures import Failed, Unreachable
from services.cli.formats import FORMATS, Envelope, Record, UnreadableLog, UnreadableRow
from services.cli.options import Url
from services.cli.recorded import limited, opened
from services.cli.rest import Answer, Client, NoAnswer
from shared.clock import Clock, SystemClock

PATH = "/v1/signals"
MOST_ITEMS = 500
MOST_BYTES = 400_000
_LONGEST_PAUSE = 10.0
_KEYS_KNOWN_WITHIN = 3 * SECOND


class GivenUp(Exception):
    """Ingestion did not take the signals within the time allowed."""


@dataclass(slots=True)
class Totals:
    """What became of the signals; `refused` counts reasons, `codes` are those that stand behind them."""

    sent: int = 0
    accepted: int = 0
    retries: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)
    codes: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A signal as it is sent: the instant (µs) at which it is due, and its JSON."""

    due: int
    body: bytes


def schedule(
    records: Iterator[Record], start: int, speed: float, *, consent: bool | None = None
) -> Iterator[Scheduled]:
    """Re-time a log: the first signal at `start`, every gap divided by `speed`; `time` is the scheduled instant.

    A signal recorded out of order is sent in its turn, with its own time. `consent`: what each is to say of its
    customer, in place of what was recorded; None: what was.
    """
    first: int | None = None
    latest = start
    for record in records:
        first = record.time if first is None else first
        instant = start + int((record.time - first) / speed)
        latest = max(latest, instant)
        envelope = {key: value for key, value in record.envelope.items() if key != "sentAt"}
        envelope["time"] = to_rfc3339(instant)
        if consent is not None:
            envelope = _saying(envelope, consent)
        yield Scheduled(latest, json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode())


def _saying(envelope: Envelope, consent: bool) -> Envelope:
    """The signal with its customer's consent, or without, wherever it says so."""
    data = envelope["data"]
    said = {**data, "consent": consent} if "consent" in data else data
    return {**envelope, "consent": consent, "data": said}


@dataclass(slots=True)
class Sender:
    """Sends scheduled signals when they are due; those not confirmed go again with the same ids.

    `credentials`: in whose name; what is sent again is signed again. `give_up`: seconds after which signals that
    ingestion does not take end the run with GivenUp.
    """

    client: Client
    credentials: Credentials
    clock: Clock
    pause: Callable[[float], None]
    give_up: float
    tell: Callable[[Totals], None]
    totals: Totals = field(default_factory=Totals)
    began: int = 0

    def run(self, signals: Iterator[Scheduled]) -> Totals:
        """Send everything."""
        self.began = self.clock.now()
        waiting = next(signals, None)
        while waiting is not None:
            ahead = (waiting.due - self.clock.now()) / SECOND
            if ahead > 0:
                self.tell(self.totals)
                self.pause(min(ahead, 0.5))
                continue
            batch, waiting = self._take_due(waiting, signals)
            self._deliver(batch)
            self.tell(self.totals)
        return self.totals

    def _take_due(self, first: Scheduled, signals: Iterator[Scheduled]) -> tuple[list[bytes], Scheduled | None]:
        """What is due now, within the limits of one request, and the first signal after it."""
        batch, size, now = [first.body], len(first.body), self.clock.now()
        for signal in signals:
            size += len(signal.body) + 1
            if signal.due > now or len(batch) == MOST_ITEMS or size > MOST_BYTES:
                return batch, signal
            batch.append(signal.body)
        return batch, None

    def _deliver(self, batch: list[bytes]) -> None:
        self.totals.sent += len(batch)
        until = self.clock.now() + int(self.give_up * SECOND)
        pause = 0.1
        while True:
            batch, reason, wanted = self._post(batch)
            if not batch:
                return
            if self.clock.now() >= until:
                raise GivenUp(reason)
            self.totals.retries += 1
            self.tell(self.totals)
            self.pause(min(wanted or pause, _LONGEST_PAUSE))
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _post(self, batch: list[bytes]) -> tuple[list[bytes], str, float | None]:
        """One request: the signals that must go again, why, and the pause that ingestion asks for."""
        body = b"[" + b",".join(batch) + b"]"
        try:
            answer = self.client.send("POST", PATH, body, self.credentials.headers(PATH, body, self.clock.now()))
        except NoAnswer as error:
            return batch, str(error), None
        if answer.status in (429, 502, 503, 504) or (answer.status in (401, 403) and self._may_be_new()):
            return batch, answer.reason(), answer.retry_after
        if answer.status != 200:
            told = [f"ingestion refused the request ({answer.status}): {answer.reason()}"]
            raise Failed("\n".join(told + advice([code_of(answer.document)])))
        return self._settle(batch, answer)

    def _may_be_new(self) -> bool:
        """A key that was made or enabled just now takes two seconds to be known (DOMAIN §3)."""
        return not self.totals.accepted and self.clock.now() < self.began + _KEYS_KNOWN_WITHIN

    def _settle(self, batch: list[bytes], answer: Answer) -> tuple[list[bytes], str, float | None]:
        results = answer.document.get("results") if isinstance(answer.document, dict) else answer.document
        if not isinstance(results, list) or len(results) != len(batch):
            raise Failed("ingestion's answer has no result for every signal; is the URL right?")
        again, reason = [], ""
        for body, result in zip(batch, results, strict=True):
            status = int(result.get("status", 0))
            if status in (429, 503):
                again.append(body)
                reason = reason_of(result)
            elif 200 <= status < 300:
                self.totals.accepted += 1
            else:
                self.totals.refused[f"{status} {reason_of(result)}"] += 1
                self.totals.codes.add(code_of(result))
        return again, reason, answer.retry_after


def reason_of(result: dict[str, Any]) -> str:
    """Why an item was refused, in one line."""
    return Answer(int(result.get("status", 0)), {}, result).reason()


class _Progress:
    """One line on the terminal that is written over; nothing where there is no terminal."""

    def __init__(self, total: int, shown: bool) -> None:
        self.total = total
        self.shown = shown
        self._last = ""

    def __call__(self, totals: Totals) -> None:
        if not self.shown:
            return
        share = min(1.0, totals.sent / self.total) if self.total else 1.0
        bar = ("█" * round(share * 30)).ljust(30, "·")
        line = f"{bar} {totals.sent}/{self.total} sent, {totals.accepted} accepted"
        if totals.refused:
            line += f", {totals.refused.total()} refused"
        if totals.retries:
            line += f", {totals.retries} retries"
        if line != self._last:
            click.echo(f"\r{line}\x1b[K", nl=False, err=True)
            self._last = line

    def end(self) -> None:
        """Leave the line."""
        if self._last:
            click.echo(err=True)


class Speed(click.FloatRange):
    """A finite number above 0."""

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number; "nan" and "inf" are none."""
        number = super().convert(value, param, ctx)
        return number if math.isfinite(number) else self.fail(f"{value!r} is not a number above 0.", param, ctx)


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path))
@click.option("--format", "format_", type=click.Choice(list(FORMATS)), required=True, help="How the file is written.")
@click.option("--key", required=True, metavar="KEY", help="A server key with its secret: sk_…:secret")
@click.option(
    "--signing-secret",
    type=SigningSecret(),
    envvar="MOMENTS_SIGNING_SECRET",
    metavar="SECRET",
    default="",
    help="Sign each request by it, with --key sk_… [default: $MOMENTS_SIGNING_SECRET, else they are not signed]",
)
@click.option(
    "--consent/--no-consent",
    default=None,
    help="Say of every signal that its customer consents, or does not. [default: what the log says]",
)
@click.option("--url", type=Url(), default="http://127.0.0.1:8082", show_default=True, help="Ingestion.")
@click.option(
    "--speed",
    type=Speed(),
    default=60.0,
    show_default=True,
    help="How many times faster than it happened.",
)
@click.option(
    "--run",
    default="",
    metavar="NAME",
    help="Part of every signal id: a second run under another name is no duplicate.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N signals.")
@click.option(
    "--give-up",
    type=click.FloatRange(min=0),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="How long ingestion may fail to take a signal.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object, and no progress.")
def send(  # noqa: PLR0913, PLR0917 - one argument for each option
    file: Path,
    format_: str,
    key: str,
    signing_secret: str,
    consent: bool | None,
    url: str,
    speed: float,
    run: str,
    limit: int | None,
    give_up: float,
    as_json: bool,
) -> None:
    """Send a recorded shop log to ingestion in (accelerated) real time.

    The first signal happens now and every gap is divided by --speed. What ingestion cannot take at once is sent
    again with the same ids until it is confirmed. Exit code 1 when signals were refused or rows unreadable.

    \b
    Formats:
      rees46  event_time,event_type,product_id,…,price,user_id,user_session (CSV, also .gz)
      jsonl   one signal per line as posted to /v1/signals
    """
    if signing_secret and not key.startswith("sk_"):
        raise click.UsageError("Only a server key signs: --key sk_…")
    totals = Totals()
    clock = SystemClock()
    shown = not as_json and sys.stderr.isatty()
    progress = _Progress(_count_rows(file, format_, limit) if shown else 0, shown)
    client = Client(url)
    sender = Sender(client, Credentials(key, signing_secret), clock, time.sleep, give_up, progress, totals)
    given_up: str | None = None
    try:
        with opened(file) as lines:
            records = FORMATS[format_](lines, name=file.name, run=run, on_fault=_count_into(totals.unreadable))
            sender.run(schedule(limited(records, limit), clock.now(), speed, consent=consent))
    except UnreadableLog as error:
        raise Failed(f"{file}: {error}") from error
    except GivenUp as error:
        given_up = str(error)
    finally:
        progress.end()
        client.close()
    _summarise(totals, as_json)
    if given_up is not None:
        raise Unreachable(f"given up after {give_up:g} s: ingestion at {url} did not take the signals: {given_up}")
    if totals.refused or totals.unreadable:
        sys.exit(1)


def _count_into(unreadable: Counter[str]) -> Callable[[UnreadableRow], None]:
    def count(fault: UnreadableRow) -> None:
        unreadable[fault.reason] += 1

    return count


def _count_rows(file: Path, format_: str, limit: int | None) -> int:
    with opened(file) as lines:
        rows = sum(1 for line in lines if line.strip()) - (format_ == "rees46")
    return rows if limit is None else min(rows, limit)


def _summarise(totals: Totals, as_json: bool) -> None:
    if as_json:
        summary = {
            "sent": totals.sent,
            "accepted": totals.accepted,
            "refused": dict(totals.refused),
            "unreadable": dict(totals.unreadable),
            "retries": totals.retries,
        }
        click.echo(json.dumps(summary, ensure_ascii=False))
        return
    click.echo(f"{totals.sent} sent, {totals.accepted} accepted, {totals.refused.total()} refused")
    for reason, count in totals.refused.most_common():
        click.echo(f"  {count} × {reason}")
    for reason, count in totals.unreadable.most_common():
        click.echo(f"  {count} rows not read: {reason}")
    for text in advice(totals.codes):
        click.echo(text)
