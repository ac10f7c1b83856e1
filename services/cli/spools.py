"""`moments spools`: what waits for the broker on this machine, and which machines trigger waits for."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from contracts.times import SECOND, to_rfc3339
from services.cli.failures import Failed, Unreachable
from services.cli.options import data_option, environment, settings_from
from services.ingestion.readiness import describe
from services.ingestion.spool.store import Standing, look
from services.trigger.store.rows import Rows
from services.trigger.store.spools import SpoolRow, pass_over, spool_rows
from shared.clock import SystemClock
from shared.settings import Settings
from shared.store import STORE_FAULTS, close_database, connected, open_database


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@data_option
@click.pass_context
def spools(context: click.Context, as_json: bool, data: str | None) -> None:
    """Show what waits for the broker on this machine, and which machines raises wait for.

    Reads the spool in the data folder and trigger's database; services may run meanwhile.
    """
    if context.invoked_subcommand is not None:
        return
    settings = settings_from(environment(data))
    here = look(settings.data, settings.spool)
    with _trigger(settings) as rows:
        machines = spool_rows(rows) if rows is not None else []
    if as_json:
        document: dict[str, Any] = {
            "here": None if here is None else dataclasses.asdict(here),
            "machines": [machine._asdict() for machine in machines],
        }
        click.echo(json.dumps(document))
        return
    click.echo("\n".join(_lines(here, machines)))


@spools.command("pass")
@click.argument("machine")
@data_option
def pass_machine(machine: str, data: str | None) -> None:
    """Let raises go on without MACHINE; when it speaks again, it is waited for again.

    What it still keeps back counts as late when it comes.
    """
    with _trigger(settings_from(environment(data))) as rows:
        if rows is None:
            raise Failed("There is no trigger database.")
        with rows.database.atomic():
            passed = pass_over(rows, machine)
    if not passed:
        raise Failed(f"No machine {machine!r} is waited for; `moments spools` lists them.")
    click.echo(f"{machine} is not waited for any more.")


def _lines(here: Standing | None, machines: list[SpoolRow]) -> Iterator[str]:
    now = SystemClock().now()
    if here is None:
        yield "There is no spool in this data folder; MOMENTS_SPOOL=<megabytes> makes ingestion keep one."
    else:
        yield f"{here.name}: {describe(here, now)}" if here.signals else f"{here.name}: empty"
    words = {"here": "raises wait for its word", "left": "has signed off", "passed": "passed over"}
    for machine in machines:
        yield (
            f"{machine.machine}: {words[machine.state]}; heard {max(0, now - machine.heard_at) // SECOND} s ago, "
            f"all before {to_rfc3339(machine.at)} has come, {machine.waiting} signals wait there"
        )


@contextmanager
def _trigger(settings: Settings) -> Iterator[Rows | None]:
    """Trigger's tables; None where there are none."""
    if settings.trigger_database_url.startswith("sqlite:") and not (settings.data / "trigger.db").exists():
        yield None
        return
    database = open_database(settings.trigger_database_url, schema="moments_trigger")
    try:
        with connected(database):
            yield Rows(database)
    except STORE_FAULTS as error:
        raise Unreachable(f"The database of trigger cannot be read: {error}") from error
    finally:
        close_database(database)
