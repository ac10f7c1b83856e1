"""`moments keys kinds` and `moments keys signing`: what a key may send, and whether its requests are signed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import click

from contracts.configurations import IDENTIFY
from contracts.signals import CATALOGUE, KINDS
from contracts.signatures import SIGNATURE_HEADER, TIMESTAMP_HEADER
from services.cli.administering import Found, config_service, connection_options, find_key
from services.cli.options import environment, settings_from

_json_option = click.option("--json", "as_json", is_flag=True, help="Print the key as one JSON object.")
_HOW = f"""\
Each request is signed by it, with its time, path and body as they are sent:

  path=/v1/signals/cart/add
  timestamp=$(date +%s)
  signature=$(printf %s "$timestamp.$path.$body" |
    openssl dgst -sha256 -hmac "$MOMENTS_SIGNING_SECRET" -r | cut -d ' ' -f 1)
  curl "{{url}}$path" -H 'Content-Type: application/json' -H {{key}} --data-binary "$body" \\
    -H "{TIMESTAMP_HEADER}: $timestamp" -H "{SIGNATURE_HEADER}: v1=$signature"

`moments send --key {{id}}` signs by MOMENTS_SIGNING_SECRET as well. More in docs/keys.md."""


class Kind(click.ParamType[str]):
    """A kind of signal of the catalogue, or the word for telling who somebody is."""

    name = "kind"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The kind; one that there is not is refused with those that are spelt alike."""
        text = str(value)
        known = [*CATALOGUE, IDENTIFY]
        if text not in known:
            alike = get_close_matches(text, known, 3)
            hint = f"did you mean {' or '.join(alike)}?" if alike else "`moments signals` lists them all."
            self.fail(f"there is no kind {text!r}; {hint}", param, ctx)
        return text


@click.command()
@click.argument("key")
@click.argument("kinds", nargs=-1, type=Kind(), metavar="[KIND]...")
@click.option("--all", "every", is_flag=True, help="Every kind that such a key can send: no limit any more.")
@_json_option
@connection_options
def kinds(
    key: str, kinds: tuple[str, ...], every: bool, as_json: bool, url: str | None, token: str | None, data: str | None
) -> None:
    """Show the kinds of signals that a key may send, or limit it to those named.

    KIND is as cart/add; `moments signals` lists them. Signals of other kinds are refused. With `identify` among them
    the key may tell who an anonymous visitor is, as clients of Segment do. In force within two seconds.
    """
    if kinds and every:
        raise click.UsageError("Name kinds, or --all; not both.")
    api = config_service(url, token, data)
    found = find_key(api, key)
    if kinds or every:
        _refuse_foreign(found.key["type"], kinds)
        found = found.changed(api, {"kinds": None if every else list(dict.fromkeys(kinds))})
    if as_json:
        _print_key(found)
        return
    limited = found.key["kinds"]
    if limited is None:
        click.echo(f"{found.words} may send every kind that a {found.key['type']} key can:")
    else:
        click.echo(f"{found.words} may send these kinds alone:")
    for name in _sent_by(found.key["type"]) if limited is None else limited:
        click.echo(f"  {name}")


@click.command()
@click.argument("key")
@click.argument("wanted", required=False, type=click.Choice(["required", "off"]), metavar="[required|off]")
@_json_option
@connection_options
def signing(key: str, wanted: str | None, as_json: bool, url: str | None, token: str | None, data: str | None) -> None:
    """Show whether a server key takes signed requests alone, or have it so, or no longer.

    `required` tells the secret that signs and how; it is kept nowhere: say it again to be told it again. In force
    within two seconds: requests of that key that are not signed are refused from then on.
    """
    api = config_service(url, token, data)
    found = find_key(api, key)
    if found.key["type"] != "server":
        raise click.UsageError(f"{found.key['id']} is public: it stands in pages or apps. Only server keys sign.")
    if wanted is not None:
        found = found.changed(api, {"signed": wanted == "required"})
    if as_json:
        _print_key(found)
        return
    if not found.key["signed"]:
        click.echo(f"{found.words} takes requests by its secret; none has to be signed.")
        return
    click.echo(f"{found.words} takes signed requests alone.")
    secret = found.key.get("signingSecret")
    if secret is None:
        click.echo(f"`moments keys signing {found.key['id']} required` tells the secret that signs.")
        return
    header = shlex.quote(f"X-Api-Key: {found.key['id']}")
    click.echo(f"\n  export MOMENTS_SIGNING_SECRET={secret}\n")
    click.echo(_HOW.format(url=settings_from(environment(data)).public_signals_url, key=header, id=found.key["id"]))


def _refuse_foreign(type: str, kinds: tuple[str, ...]) -> None:
    own = _sent_by(type)
    foreign = [name for name in kinds if name not in own]
    if foreign:
        raise click.UsageError(f"A {type} key never sends {', '.join(foreign)}. It can send: {', '.join(own)}.")


def _sent_by(type: str) -> list[str]:
    """The kinds that keys of a type can send."""
    return [*(kind.name for kind in KINDS if type == "server" or type in kind.touchpoints), IDENTIFY]


def _print_key(found: Found) -> None:
    configuration: Mapping[str, Any] = {name: found.configuration[name] for name in ("id", "name")}
    click.echo(json.dumps({"configuration": configuration, **found.key}, ensure_ascii=False, indent=2))
