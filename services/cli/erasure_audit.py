"""`moments audit erasure`: is anything left of a customer who was erased?"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import click

from contracts.erasures import subject_of
from contracts.profiles import InvalidProfile, normalise_profile
from contracts.stitching import ANONYMOUS
from contracts.times import to_rfc3339
from services.cli.failures import Failed, Unreachable
from services.cli.options import data_option, environment, settings_from
from services.cli.traces import Trace, Wanted, fold, traces_in, traces_in_files
from services.ingestion.spool.store import FILE as SPOOL_FILE
from services.trigger.engine.application import ProfileId
from services.trigger.store.erasing import signals_of
from services.trigger.store.erasures import DONE, Erasure, find_erasure
from services.trigger.store.keys import profile_key
from services.trigger.store.rows import Rows
from shared.broker import BrokerError, connect_broker
from shared.clock import SystemClock
from shared.settings import Settings
from shared.store import STORE_FAULTS, close_database, connected, open_database

_SCHEMAS = {"trigger": "moments_trigger", "config": "moments_config", "ingestion": "moments_ingestion"}


@click.command("erasure")
@click.argument("erasure_id", metavar="ID")
@click.option(
    "--profile", required=True, help="The customer's value, as it was asked for; the receipt does not name it."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@data_option
def erasure(erasure_id: str, profile: str, as_json: bool, data: str | None) -> None:
    """Look for an erased customer in every column of every table, and in SQLite files byte for byte.

    ID is that of the receipt. Exit code 1 when anything is found, when the erasure is not done, or when the receipt is
    that of somebody else. What lies in RabbitMQ cannot be looked at; the embedded broker's file is.
    """
    settings = settings_from(environment(data))
    try:
        found, whom, returned = _look(settings, erasure_id, profile)
    except STORE_FAULTS as error:
        raise Unreachable(f"A database cannot be read: {error}") from error
    if as_json:
        document = {
            "erasure": erasure_id,
            "state": whom.state,
            "signalsSince": returned,
            "traces": [dataclasses.asdict(trace) for trace in found],
        }
        click.echo(json.dumps(document))
    else:
        _tell(found, whom, returned)
    if found or whom.state != DONE:
        failed = f", and failed {whom.failures} times ({whom.failure})" if whom.failures else ""
        unfinished = f"The erasure is not done: it is {whom.state}{failed}. Look again when its receipt says {DONE}."
        raise Failed(unfinished if whom.state != DONE else "Traces were found.")


def _tell(found: list[Trace], whom: Erasure, returned: int) -> None:
    for trace in found:
        click.echo(f"{trace.where}: {trace.count}")
    if found and whom.id_type == ANONYMOUS:
        click.echo("What joined a customer is that customer's, and names the anonymous id: erase the customer, too.")
    if returned:
        click.echo(f"The customer has come back: {returned} signals since {to_rfc3339(whom.at)} are kept.")
    if not found:
        click.echo("Nothing of this customer is left in any table or file.")


def _look(settings: Settings, erasure_id: str, profile: str) -> tuple[list[Trace], Erasure, int]:
    with _opened(settings.trigger_database_url, "trigger") as database:
        rows = Rows(database)
        whom = find_erasure(rows, erasure_id)
        if whom is None:
            raise Failed("There is no receipt of this id.")
        identity = _identity(settings, whom, profile)
        key = profile_key(identity)
        returned = sum(each.received_at > whom.at for each in signals_of(rows, key, identity))
    wanted = Wanted.of(identity.profile, key)
    found = [trace for name in _SCHEMAS for trace in _in_service(settings, name, wanted)]
    found += [trace for path in _files(settings) for trace in traces_in_files(path, wanted)]
    return found, whom, returned


def _identity(settings: Settings, whom: Erasure, profile: str) -> ProfileId:
    """The customer, if the receipt is theirs."""
    try:
        value = normalise_profile(whom.id_type, profile)
    except InvalidProfile as error:
        raise click.UsageError(f"--profile {error}") from error
    identity = ProfileId(whom.configuration, whom.id_type, value)
    if subject_of(settings.secret_pepper, *identity) != whom.subject:
        raise Failed("This receipt is of another customer.")
    return identity


def _in_service(settings: Settings, name: str, wanted: Wanted) -> Iterator[Trace]:
    url = getattr(settings, f"{name}_database_url")
    path = _path_of(url)
    if path is not None and not path.exists():
        return
    with _opened(url, name) as database:
        yield from traces_in(database, name, wanted)
        fold(database)
    if path is not None:
        yield from traces_in_files(path, wanted)


def _files(settings: Settings) -> list[Path]:
    """SQLite files beside the services' databases: the embedded broker's, whose log is folded, and the spool."""
    broker, spool = Path(unquote(settings.broker_url.removeprefix("embedded://"))), settings.data / SPOOL_FILE
    if not settings.broker_url.startswith("embedded:") or not broker.exists():
        return [spool]
    with suppress(BrokerError):
        connect_broker(settings.broker_url, SystemClock()).fold()
    return [broker, spool]


def _path_of(url: str) -> Path | None:
    """The file of a SQLite database."""
    return Path("/" + unquote(url.removeprefix("sqlite://")).lstrip("/")) if url.startswith("sqlite:") else None


@contextmanager
def _opened(url: str, name: str) -> Iterator[Any]:
    path = _path_of(url)
    if path is not None and not path.exists():
        raise Failed(f"There is no database {path}.")
    database = open_database(url, schema=_SCHEMAS[name])
    try:
        with connected(database):
            yield database
    finally:
        close_database(database)
