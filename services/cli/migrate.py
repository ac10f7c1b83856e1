"""`moments migrate`: bring the databases to the schema of this version, without starting a service."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import click

from services.cli.failures import Unreachable
from services.cli.options import data_option, environment, settings_from
from services.config.store.migrations import MIGRATIONS as CONFIG
from services.ingestion.store import MIGRATIONS as INGESTION
from services.trigger.store.migrations import MIGRATIONS as TRIGGER
from shared.settings import Settings
from shared.store import STORE_FAULTS, Migration, close_database, open_database
from shared.store import migrate as run_missing

MIGRATIONS: Mapping[str, Sequence[Migration]] = {"config": CONFIG, "ingestion": INGESTION, "trigger": TRIGGER}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print service → the steps that were run, as one JSON object.")
@data_option
def migrate(as_json: bool, data: str | None) -> None:
    """Bring the three databases to the schema of this version. Running services are not disturbed.

    Every service does the same when it starts; this command is for doing it beforehand.
    """
    settings = settings_from(environment(data))
    done = {service: _migrate(service, steps, settings) for service, steps in MIGRATIONS.items()}
    if as_json:
        click.echo(json.dumps(done))
        return
    for service, steps in done.items():
        click.echo(f"{service}: {', '.join(steps) if steps else 'nothing to do'}")


def _migrate(service: str, steps: Sequence[Migration], settings: Settings) -> list[str]:
    url = getattr(settings, f"{service}_database_url")
    try:
        database = open_database(url, schema=f"moments_{service}")
        try:
            return [step.name for step in run_missing(database, steps)]
        finally:
            close_database(database)
    except STORE_FAULTS as error:
        raise Unreachable(f"The database of {service} cannot be used: {error}") from error
