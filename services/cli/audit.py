"""`moments audit`: does the ledger of every moment balance (DOMAIN §6.11)?"""

from __future__ import annotations

import json
import sys

import click

from services.cli.failures import Unreachable
from services.cli.options import data_option, environment, settings_from
from shared.store import STORE_FAULTS


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@data_option
def audit(as_json: bool, data: str | None) -> None:
    """Check that opened = raised + ended + suppressed + pending, for every moment.

    Reads trigger's database; services may run meanwhile. Exit code 1 when a ledger does not balance.
    """
    settings = settings_from(environment(data))
    from services.trigger.audit import check

    try:
        ledgers = check(settings)
    except STORE_FAULTS as error:
        raise Unreachable(f"The database of trigger cannot be read: {error}") from error
    click.echo(json.dumps(ledgers) if as_json else ledgers)
    sys.exit(0)
