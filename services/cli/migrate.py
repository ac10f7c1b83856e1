"""`moments migrate`: bring the databases to the schema of this version, without starting a service."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib import import_module

import click

from services.cli.failures import Unreachable
from services.cli.options import data_option, environment, settings_from
from shared.settings import Settings
from shared.store import STORE_FAULTS

# Service → where its function `migrate_store(settings) -> list[Migration]` lives.
_STORES: Mapping[str, str] = {
    "config": "services.config.store",
    "ingestion": "services.ingestion.store",
    "trigger": "services.trigger.store",
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print service → the steps that were run, as one JSON object.")
@data_option
def migrate(as_json: bool, data: str | None) -> None:
    """Bring the three databases to the schema of this version. Running services are not disturbed.

    Every service does the same when it starts; this command is for doing it beforehand.
    """
    settings = settings_from(environment(data))
    done = {service: _migrate(service, module, settings) for service, module in _STORES.items()}
    if as_json:
        click.echo(json.dumps(done))
        return
    for service, steps in done.items():
        click.echo(f"{service}: {', '.join(steps) if steps else 'nothing to do'}")


def _migrate(service: str, module: str, settings: Settings) -> list[str]:
    run: Callable[[Settings], list[str]] = import_module(module).migrate_store
    try:
        return run(settings)
    except STORE_FAULTS as error:
        raise Unreachable(f"The database of {service} cannot be used: {error}") from error
