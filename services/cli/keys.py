"""`moments keys`: list and switch the keys of audience configurations through config's REST API."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote
from uuid import UUID

import click

from services.cli.failures import Failed
from services.cli.options import Url, data_option, environment, settings_from
from services.cli.rest import Administration, administration
from services.cli.serve import port_of, url_of
from shared.settings import Settings

CONFIGURATIONS = "/api/v1/audience-configurations"
_PAGE = 100


def connection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: where config is, and by which token it is asked."""
    for option in (
        data_option,
        click.option(
            "--token",
            envvar="MOMENTS_ADMIN_TOKEN",
            metavar="TOKEN",
            help="The admin token. [default: that of the data folder]",
        ),
        click.option("--url", type=Url(), help="config. [default: of $MOMENTS_PORT_BASE, else http://127.0.0.1:8081]"),
    ):
        command = option(command)
    return command


def config_service(url: str | None, token: str | None, data: str | None) -> Administration:
    """config's API as the options and settings say."""
    settings = settings_from(environment(data))
    port = port_of("config", settings.port_base)
    assert port is not None
    return administration(url or url_of(settings.host, port), admin_token(token, settings))


def admin_token(given: str | None, settings: Settings) -> str:
    """The token of the installation, empty where there is none: a command that only asks makes no token in a folder."""
    if given or settings.given_admin_token or (settings.data / "admin-token").exists():
        return given or settings.admin_token
    return ""


def pages_of(api: Administration, path: str) -> Iterator[dict[str, Any]]:
    """Every entry of a paged list."""
    page = 1
    while True:
        document = api.get(f"{path}?page={page}&pageSize={_PAGE}&sort=createdAt")
        yield from document["items"]
        if page * _PAGE >= document["total"]:
            return
        page += 1


def is_id(text: str) -> bool:
    """Whether it is written as the id of a moment."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def moment_named(name: str, config: Administration) -> str:
    """The id of the one moment of that name."""
    found: list[str] = [each["id"] for each in pages_of(config, "/api/v1/moments") if each["name"] == name]
    if len(found) > 1:
        raise Failed(f"{len(found)} moments are called {name!r}; name one by its id: {', '.join(found)}.")
    if not found:
        raise Failed(f"No moment has the id or the name {name!r}.")
    return found[0]


def switch_key(api: Administration, configuration: str, key: str, *, enabled: bool) -> None:
    """Enable or disable a key."""
    api.call("PATCH", f"{CONFIGURATIONS}/{configuration}/keys/{quote(key, safe='')}", {"enabled": enabled})


@click.group()
def keys() -> None:
    """List, enable and disable the keys of audience configurations."""


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@connection_options
def list_keys(as_json: bool, url: str | None, token: str | None, data: str | None) -> None:
    """List every key with its configuration."""
    api = config_service(url, token, data)
    rows = [
        {"configuration": {"id": each["id"], "name": each["name"]}, **key}
        for each in pages_of(api, CONFIGURATIONS)
        for key in each["keys"]
    ]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    for row in rows:
        state = "enabled" if row["enabled"] else "disabled"
        click.echo(f"{row['type']:<7} {row['id']:<40} {state:<9} {row['configuration']['name']}")
    if not rows:
        click.echo("There is no audience configuration yet.")


def _switching(name: str, doing: str) -> click.Command:
    @keys.command(name, help=f"{doing} a key: pk_…, ak_… or sk_… (without its secret).")
    @click.argument("key")
    @connection_options
    def switch(key: str, url: str | None, token: str | None, data: str | None) -> None:
        api = config_service(url, token, data)
        wanted = key.partition(":")[0]
        for configuration in pages_of(api, CONFIGURATIONS):
            if any(each["id"] == wanted for each in configuration["keys"]):
                switch_key(api, configuration["id"], wanted, enabled=name == "enable")
                click.echo(f"{wanted} of {configuration['name']} is {name}d.")
                return
        raise Failed(f"No audience configuration has the key {wanted}. `moments keys list` shows them.")

    return switch


enable = _switching("enable", "Enable")
disable = _switching("disable", "Disable")
