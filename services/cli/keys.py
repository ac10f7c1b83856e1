"""`moments keys`: list, switch and limit the keys of audience configurations through config's REST API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from services.cli import key_limits
from services.cli.administering import CONFIGURATIONS, config_service, connection_options, find_key, pages_of


@click.group()
def keys() -> None:
    """List, switch and limit the keys of audience configurations.

    A key is named by its id: pk_…, ak_… or sk_… (without its secret).
    """


keys.add_command(key_limits.kinds)
keys.add_command(key_limits.signing)


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
        limits = _limits(row)
        click.echo(f"{row['type']:<7} {row['id']:<40} {state:<9} {limits:<18} {row['configuration']['name']}")
    if not rows:
        click.echo("There is no audience configuration yet.")


def _limits(key: Mapping[str, Any]) -> str:
    kinds = key["kinds"]
    count = "all kinds" if kinds is None else "1 kind" if len(kinds) == 1 else f"{len(kinds)} kinds"
    return f"{count}, signed" if key["signed"] else count


def _switching(name: str, doing: str) -> click.Command:
    @keys.command(name, help=f"{doing} a key: pk_…, ak_… or sk_… (without its secret).")
    @click.argument("key")
    @connection_options
    def switch(key: str, url: str | None, token: str | None, data: str | None) -> None:
        api = config_service(url, token, data)
        found = find_key(api, key).changed(api, {"enabled": name == "enable"})
        click.echo(f"{found.words} is {name}d.")

    return switch


enable = _switching("enable", "Enable")
disable = _switching("disable", "Disable")
