"""Asking config's REST API from the command line: where it is, by which token, and finding what a person named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Found:
    """A key as config has it, and the audience configuration that it is of."""

    configuration: Mapping[str, Any]
    key: Mapping[str, Any]

    def changed(self, api: Administration, changes: Mapping[str, Any]) -> Found:
        """The same after a change."""
        path = f"{CONFIGURATIONS}/{self.configuration['id']}/keys/{quote(self.key['id'], safe='')}"
        configuration = api.call("PATCH", path, changes).document
        return Found(configuration, next(each for each in configuration["keys"] if each["id"] == self.key["id"]))

    @property
    def words(self) -> str:
        """It, for people."""
        return f"{self.key['id']} of {self.configuration['name']}"


def find_key(api: Administration, named: str) -> Found:
    """The key of an id; a secret behind it is passed over."""
    wanted = named.partition(":")[0]
    for configuration in pages_of(api, CONFIGURATIONS):
        for key in configuration["keys"]:
            if key["id"] == wanted:
                return Found(configuration, key)
    raise Failed(f"No audience configuration has the key {wanted}. `moments keys list` shows them.")
