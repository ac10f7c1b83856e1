"""`moments backtest`: the engine that runs in production over a recorded log, in virtual time."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from contracts.signals import PROFILE_FIELDS, Reference, Signal, make_signal
from contracts.templates import Template, templates, validate_settings
from contracts.times import from_rfc3339, to_rfc3339
from services.cli.backtest_job import Place, run_job
from services.cli.failures import Failed
from services.cli.formats import FORMATS, Record, UnreadableLog, UnreadableRow
from services.cli.options import Url, data_option
from services.cli.recorded import limited, opened
from services.ingestion.admission import Admitted, Listener
from services.ingestion.reading import Accepted, Reception, read_signal
from services.trigger.backtest import run_backtest
from services.trigger.replay import Outcome

CONFIGURATION = "backtest"
_ADMITTED = Admitted(
    Listener(CONFIGURATION, (), frozenset(PROFILE_FIELDS), Reference(CONFIGURATION, "Back-test"), Reference("")),
    CONFIGURATION,
    "server",
)


@dataclass(slots=True)
class Reading:
    """Turns records into accepted signals as ingestion would, each received when it happened; counts what fails.

    A record older than one before it is received late, together with that one.
    """

    signals: int = 0
    faults: Counter[str] = field(default_factory=Counter)

    def signals_of(self, records: Iterator[Record]) -> Iterator[Signal]:
        """The valid signals in the order of the file."""
        latest = 0
        for record in records:
            envelope = dict(record.envelope)
            latest = max(latest, _sent_at(envelope.pop("sentAt", None), record.time))
            read = read_signal(envelope, None, Reception(_ADMITTED, latest), clean=False)
            if isinstance(read, Accepted):
                self.signals += 1
                yield make_signal(id=read.id, source=read.source, time=read.time, data=read.data)
            else:
                faults = "; ".join(f"{fault.pointer}: {fault.reason}" for fault in read.faults)
                self.faults[faults or read.reason] += 1

    def note(self, fault: UnreadableRow) -> None:
        """Count a row that is no signal."""
        self.faults[fault.reason] += 1


def _sent_at(text: object, time: int) -> int:
    try:
        return max(time, from_rfc3339(text)) if isinstance(text, str) else time
    except ValueError:
        return time


class Assignment(click.ParamType[tuple[str, Any]]):
    """`name=value`; the value is JSON where it reads as such, else text."""

    name = "name=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        """Name and value."""
        if isinstance(value, tuple):
            return value
        name, equals, text = str(value).partition("=")
        if not equals or not name:
            self.fail(f"{value!r} is not written as name=value, as in duration=PT10M", param, ctx)
        try:
            return name, json.loads(text)
        except ValueError:
            return name, text


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path), required=False)
@click.option("--template", "template_", metavar="TYPE", help="The kind of moment, as cart_abandon.")
@click.option(
    "--set", "assignments", type=Assignment(), multiple=True, help="A setting, as duration=PT10M; repeatable."
)
@click.option("--format", "format_", type=click.Choice(list(FORMATS)), help="How FILE is written.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N signals of FILE.")
@click.option(
    "--moment", metavar="MOMENT", help="Without FILE: this moment of the installation, its id or name; drafts too."
)
@click.option("--configuration", metavar="ID", help="Without FILE: whose signals, where no moment is named.")
@click.option(
    "--compare", type=Assignment(), multiple=True, help="Without FILE: a setting of a second column; repeatable."
)
@click.option("--days", type=click.IntRange(min=1), metavar="N", help="Without FILE: the last N days. [default: 7]")
@click.option("--as-it-ran", is_flag=True, help="Without FILE: follow what the moment did.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per raise and line, the summary last.")
@click.option("--url", type=Url(), help="trigger. [default: of $MOMENTS_PORT_BASE, else http://127.0.0.1:8083]")
@click.option(
    "--token",
    envvar="MOMENTS_ADMIN_TOKEN",
    metavar="TOKEN",
    help="The admin token. [default: that of the data folder]",
)
@data_option
def backtest(  # noqa: PLR0913, PLR0917 - one argument for each option
    file: Path | None,
    template_: str | None,
    assignments: tuple[tuple[str, Any], ...],
    format_: str | None,
    limit: int | None,
    moment: str | None,
    configuration: str | None,
    compare: tuple[tuple[str, Any], ...],
    days: int | None,
    as_it_ran: bool,
    as_json: bool,
    url: str | None,
    token: str | None,
    data: str | None,
) -> None:
    """Run a moment over recorded signals and tell what it would have raised.

    With FILE over a recorded log: the same engine as in production, in virtual time; every signal is received when it
    happened, and waits still open at the end of the file are run out.

    Without FILE over the signals that an installation has recorded, as a job of its trigger: with --moment, changed by
    --set, or with --template and --configuration.
    """
    if file is not None:
        _refuse(
            "FILE",
            {
                "--moment": moment,
                "--configuration": configuration,
                "--compare": compare,
                "--days": days,
                "--as-it-ran": as_it_ran,
            },
        )
        _over_file(
            file, _needed("--template", template_), dict(assignments), _needed("--format", format_), limit, as_json
        )
        return
    _refuse("an installation", {"--format": format_, "--limit": limit})
    if moment is None and (template_ is None or configuration is None):
        raise click.UsageError("Name a FILE, or --moment, or --template and --configuration.")
    place = Place(url=url, token=token, data=data)
    request = {
        "momentId": None if moment is None else place.moment(moment),
        "type": template_,
        "audienceConfigurationId": configuration,
        "settings": dict(assignments),
        "compareWith": dict(compare) or None,
        "asItRan": as_it_ran,
    }
    run_job(place, request, days, as_json)


def _refuse(what: str, given: Mapping[str, object]) -> None:
    for name, value in given.items():
        if value:
            raise click.UsageError(f"{name} does not go with {what}.")


def _needed(name: str, value: str | None) -> str:
    if value is None:
        raise click.UsageError(f"Missing option '{name}'.")
    return value


def _over_file(
    file: Path, type_: str, given: Mapping[str, Any], format_: str, limit: int | None, as_json: bool
) -> None:
    template = template_of(type_)
    settings = settings_of(template, given)
    reading = Reading()
    raises, profiles = 0, set()
    suppressed: Counter[str] = Counter()
    try:
        with opened(file) as lines:
            records = FORMATS[format_](lines, name=file.name, on_fault=reading.note)
            signals = reading.signals_of(limited(records, limit))
            for outcome in run_backtest(template, settings, signals, configuration=CONFIGURATION):
                if not outcome.decision.raised:
                    suppressed[outcome.decision.reason] += 1
                    continue
                raises += 1
                profiles.add((outcome.process.id_type, outcome.process.profile))
                _print_raise(outcome, as_json)
    except UnreadableLog as error:
        raise Failed(f"{file}: {error}") from error
    summary = {
        "template": template.type,
        "settings": settings,
        "signals": reading.signals,
        "raises": raises,
        "profiles": len(profiles),
        "suppressed": dict(suppressed),
        "unreadable": dict(reading.faults),
    }
    _print_summary(summary, as_json)
    if reading.faults:
        sys.exit(1)


def template_of(type_: str) -> Template:
    """The template of an option; an unknown one ends the command with exit code 2."""
    known = templates()
    if type_ not in known:
        raise click.BadParameter(f"unknown type {type_!r}; there are {', '.join(known)}.", param_hint="--template")
    return known[type_]


def settings_of(template: Template, given: Mapping[str, Any]) -> dict[str, Any]:
    """The checked settings of options; wrong ones end the command with exit code 2."""
    settings, faults = validate_settings(template, given)
    if faults:
        reasons = "; ".join(f"{fault.pointer.lstrip('/')}: {fault.reason}" for fault in faults)
        raise click.BadParameter(reasons, param_hint="--set")
    return settings


def _print_raise(outcome: Outcome, as_json: bool) -> None:
    decision, process = outcome.decision, outcome.process
    if not as_json:
        name = f"{process.kind} {process.process}"
        click.echo(f"{to_rfc3339(decision.due)}  {process.profile:<24} {name:<44} #{decision.number}")
        return
    line = {
        "raisedAt": to_rfc3339(decision.due),
        "profile": {"idType": process.id_type, "id": process.profile},
        "process": {"kind": process.kind, "id": process.process},
        "content": decision.content,
        "site": decision.site,
        "openedAt": to_rfc3339(decision.opened_at),
        "lastActivityAt": to_rfc3339(decision.last_activity_at),
        "raiseNumber": decision.number,
        "signalIds": decision.signal_ids,
    }
    click.echo(json.dumps(line, ensure_ascii=False, separators=(",", ":")))


def _print_summary(summary: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(summary, ensure_ascii=False, separators=(",", ":")))
        return
    click.echo(f"{summary['raises']} raises, {summary['profiles']} profiles, {summary['signals']} signals")
    for reason, count in summary["suppressed"].items():
        click.echo(f"  {count} suppressed: {reason}")
    for reason, count in summary["unreadable"].items():
        click.echo(f"  {count} rows not read: {reason}")
