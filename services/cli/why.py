"""`moments why`: why a moment was raised for a profile, and why it was not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click
import msgspec

from contracts.moments import MomentState, SettingsVersion
from contracts.profiles import InvalidProfile, normalise_profile
from contracts.signals import PROFILE_FIELDS
from services.cli.administering import admin_token, config_service, is_id, moment_named
from services.cli.backtest import CONFIGURATION, Assignment, Reading, settings_of, template_of
from services.cli.failures import Failed
from services.cli.formats import FORMATS, UnreadableLog
from services.cli.options import Url, data_option, environment, settings_from
from services.cli.recorded import opened
from services.cli.rest import Administration, administration
from services.cli.serve import port_of, url_of
from services.trigger.engine.application import ProfileId
from services.trigger.explaining import Course

_PATH = "/api/v1/explanations"
_PAGE = 1_000


@click.command()
@click.argument("names", nargs=-1, metavar="[MOMENT] PROFILE")
@click.option("--id-type", type=click.Choice(list(PROFILE_FIELDS)), help="What PROFILE is. [default: email]")
@click.option("--process", metavar="ID", help="Only this cart, session, booking, …")
@click.option("--json", "as_json", is_flag=True, help="Print the whole explanation as one JSON object.")
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
    help="A recorded log instead.",
)
@click.option("--format", "format_", type=click.Choice(list(FORMATS)), help="How the file is written.")
@click.option("--template", "template_", metavar="TYPE", help="The kind of moment, as cart_abandon, over the file.")
@click.option(
    "--set", "assignments", type=Assignment(), multiple=True, help="A setting, as duration=PT10M; repeatable."
)
@click.option("--url", type=Url(), help="trigger. [default: of $MOMENTS_PORT_BASE, else http://127.0.0.1:8083]")
@click.option(
    "--token",
    envvar="MOMENTS_ADMIN_TOKEN",
    metavar="TOKEN",
    help="The admin token. [default: that of the data folder]",
)
@data_option
def why(  # noqa: PLR0913, PLR0917 - one argument for each option
    names: tuple[str, ...],
    id_type: str | None,
    process: str | None,
    as_json: bool,
    file: Path | None,
    format_: str | None,
    template_: str | None,
    assignments: tuple[tuple[str, Any], ...],
    url: str | None,
    token: str | None,
    data: str | None,
) -> None:
    """Tell why a moment was raised for a profile, and why it was not.

    MOMENT is the id or the name of a moment. With --file, a moment is run over a recorded log as by `backtest`, and
    only PROFILE is named; it is an external id unless --id-type says otherwise.
    """
    if file is not None:
        (profile,) = _checked(names, 1)
        document = _over_file(file, format_, template_, dict(assignments), (id_type or "external", profile), process)
    else:
        moment, profile = _checked(names, 2)
        document = _of_service(moment, {"profile": profile, "idType": id_type or "email"}, process, url, token, data)
    if as_json:
        click.echo(json.dumps(document, ensure_ascii=False, separators=(",", ":")))
        return
    for line in lines_of(document):
        click.echo(line)


def _checked(names: tuple[str, ...], count: int) -> tuple[str, ...]:
    if len(names) != count:
        wanted = "MOMENT and PROFILE" if count == 2 else "PROFILE alone with --file"
        raise click.UsageError(f"Name {wanted}.")
    return names


def _of_service(
    moment: str, profile: Mapping[str, str], process: str | None, url: str | None, token: str | None, data: str | None
) -> dict[str, Any]:
    settings = settings_from(environment(data))
    port = port_of("trigger", settings.port_base)
    assert port is not None
    api = administration(url or url_of(settings.host, port), admin_token(token, settings), name="trigger")
    query = {**profile, **({"process": process} if process is not None else {})}
    try:
        return _whole(api, {"moment": moment, **query})
    except Failed:
        if url is not None or is_id(moment):
            raise
        return _whole(api, {"moment": moment_named(moment, config_service(None, token, data)), **query})


def _whole(api: Administration, query: Mapping[str, Any]) -> dict[str, Any]:
    """The explanation with all its pages."""
    document: dict[str, Any] = api.get(f"{_PATH}?{urlencode({**query, 'limit': _PAGE})}")
    earlier = document["earlier"]
    while earlier is not None:
        page = api.get(f"{_PATH}?{urlencode({**query, 'limit': _PAGE, 'before': earlier})}")
        document["entries"] = page["entries"] + document["entries"]
        earlier = page["earlier"]
    document["earlier"] = None
    return document


def _over_file(
    file: Path,
    format_: str | None,
    template_: str | None,
    given: Mapping[str, Any],
    profile: tuple[str, str],
    process: str | None,
) -> dict[str, Any]:
    if format_ is None or template_ is None:
        raise click.UsageError("With --file, name --format and --template.")
    template = template_of(template_)
    version = SettingsVersion(version=1, since=0, settings=settings_of(template, given))
    state = MomentState(
        id=CONFIGURATION,
        version=1,
        type=template.type,
        name=template.title,
        configuration_id=CONFIGURATION,
        status="running",
        running_since=0,
        history=(version,),
    )
    course, reading = Course.of(state, template), Reading()
    try:
        normal = normalise_profile(*profile)
        with opened(file) as lines:
            course.follow(reading.signals_of(FORMATS[format_](lines, name=file.name, on_fault=reading.note)))
    except InvalidProfile as error:
        raise click.BadParameter(f"the {profile[0]} {error}.", param_hint="PROFILE") from error
    except UnreadableLog as error:
        raise Failed(f"{file}: {error}") from error
    account = course.explain(ProfileId(CONFIGURATION, profile[0], normal), process=process)
    document: dict[str, Any] = msgspec.to_builtins(account)
    return {**document, "earlier": None}


def lines_of(document: Mapping[str, Any]) -> Iterator[str]:
    """The explanation for people."""
    moment, profile = document["moment"], document["profile"]
    yield f"{moment['name']} ({moment['type']}, {moment['status']}) and {profile['idType']} {profile['id']}"
    yield document["answer"]["text"]
    yield f"The rule: {document['rule']}"
    yield ""
    for entry in document["entries"]:
        yield f"{entry['at']}  {_subject(entry)}{entry['text']}"
        if entry["event"] != "decision":
            yield from (f"{'':26}{change['text']}" for change in entry["changes"])
    yield ""
    yield _sums(document["counts"])
    if document["missing"]:
        yield document["missing"]
    if not document["consistent"]:
        yield "The stored signals give something else than was recorded:"
        yield from (f"  {difference}" for difference in document["differences"])


def _subject(entry: Mapping[str, Any]) -> str:
    words = []
    if entry["signal"] is not None:
        words.append(f"{entry['signal']['kind'] or 'a signal'} {entry['signal']['id']}")
        if entry["signal"]["time"] not in (None, entry["at"]):
            words.append(f"of {entry['signal']['time']}")
    if entry["process"] is not None:
        name = f"{entry['process']['kind']} {entry['process']['id']}"
        words.append(f"({name})" if words else name)
    return f"{' '.join(words)}: " if words else ""


def _sums(counts: Mapping[str, Any]) -> str:
    parts = [f"signals: {counts['signals']} of this moment, {counts['other']} others, {counts['refused']} refused"]
    parts.append(f"waits: {counts['opened']} opened, {counts['raised']} raised, {counts['pending']} pending")
    for group in ("ended", "suppressed"):
        parts += [f"{count} {group} ({reason})" for reason, count in counts[group].items()]
    return "; ".join(parts)
