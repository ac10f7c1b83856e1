"""`moments users`: who may sign in to the app, through config's REST API."""

from __future__ import annotations

import json
from typing import Any

import click

from services.cli.administering import config_service, connection_options
from services.cli.failures import Failed
from services.cli.rest import Administration

USERS = "/api/v1/users"
_ROLES = ("viewer", "editor", "admin")


@click.group()
def users() -> None:
    """List, invite, disable and enable users of the app; make a link for a new password."""


@users.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@connection_options
def list_users(as_json: bool, url: str | None, token: str | None, data: str | None) -> None:
    """List every user with role, status and latest sign-in."""
    found = config_service(url, token, data).get(USERS)["items"]
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    for user in found:
        seen = user["signedInAt"] or "never signed in"
        click.echo(f"{user['role']:<7} {user['status']:<9} {user['email']:<32} {seen:<28} {user['name']}")
    if not found:
        click.echo("There is no user yet. `moments users first` makes the link for the first administrator.")


@users.command()
@click.argument("email")
@click.option("--name", metavar="NAME", help="What they are called. [default: the e-mail address]")
@click.option("--role", type=click.Choice(_ROLES), default="viewer", show_default=True)
@connection_options
def invite(email: str, name: str | None, role: str, url: str | None, token: str | None, data: str | None) -> None:
    """Invite somebody: prints a link by which they set name and password, once, within a week."""
    api = config_service(url, token, data)
    made = api.post(USERS, {"email": email, "name": name or email, "role": role})
    click.echo(f"Give this link to {email}. It works once, for a week:")
    click.echo(made["url"])


@users.command()
@connection_options
def first(url: str | None, token: str | None, data: str | None) -> None:
    """Print a link that makes the first administrator, while nobody can sign in as one."""
    click.echo(config_service(url, token, data).post(f"{USERS}/first-link")["url"])


@users.command()
@click.argument("email")
@connection_options
def reset(email: str, url: str | None, token: str | None, data: str | None) -> None:
    """Print a link by which somebody sets a new password, once, within a day; also a lost invitation's."""
    api = config_service(url, token, data)
    made = api.post(f"{USERS}/{_user_of(api, email)['id']}/link")
    click.echo(f"Give this link to {email}. It works once; former links do not work any more:")
    click.echo(made["url"])


def _switching(name: str, doing: str) -> click.Command:
    @users.command(name, help=doing)
    @click.argument("email")
    @connection_options
    def switch(email: str, url: str | None, token: str | None, data: str | None) -> None:
        api = config_service(url, token, data)
        user = _user_of(api, email)
        api.call("PATCH", f"{USERS}/{user['id']}", {"disabled": name == "disable"}, {"If-Match": "*"})
        click.echo(f"{user['email']} is {name}d.")

    return switch


disable = _switching("disable", "Keep somebody out; ends every session of theirs at once.")
enable = _switching("enable", "Let somebody in again.")


def _user_of(api: Administration, email: str) -> dict[str, Any]:
    wanted = email.strip().casefold()
    for user in api.get(USERS)["items"]:
        if user["email"].casefold() == wanted:
            found: dict[str, Any] = user
            return found
    raise Failed(f"There is no user {email}. `moments users list` shows them.")
