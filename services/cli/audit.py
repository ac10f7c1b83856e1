"""`moments audit`: do the ledger and the roll-ups of every moment tell the truth (DOMAIN §6.11, §8)?"""

from __future__ import annotations

import dataclasses
import json

import click

from services.cli.erasure_audit import erasure
from services.cli.failures import Failed, Unreachable
from services.cli.options import data_option, environment, settings_from
from services.trigger.audit import check
from shared.clock import SystemClock
from shared.store import STORE_FAULTS


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@data_option
@click.pass_context
def audit(context: click.Context, as_json: bool, data: str | None) -> None:
    """Check that opened = raised + ended + suppressed + pending, for every moment.

    Also that the due index, the processes, the raises, the outbox and the analytics agree. Reads trigger's
    database; services may run meanwhile. Exit code 1 when there is a difference.
    """
    if context.invoked_subcommand is not None:
        return
    settings = settings_from(environment(data))
    if settings.trigger_database_url.startswith("sqlite:") and not (settings.data / "trigger.db").exists():
        raise Failed(f"There is no trigger database in {settings.data}.")
    try:
        differences = check(settings, SystemClock())
    except STORE_FAULTS as error:
        raise Unreachable(f"The database of trigger cannot be read: {error}") from error
    if as_json:
        click.echo(json.dumps({"differences": [dataclasses.asdict(difference) for difference in differences]}))
    elif differences:
        click.echo("\n".join(str(difference) for difference in differences))
    else:
        click.echo("The ledgers balance; due index, processes, raises, outbox and analytics agree.")
    if differences:
        raise Failed(f"{len(differences)} differences")


audit.add_command(erasure)
