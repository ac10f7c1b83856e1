"""`moments watch`: a journey at the terminal, with a durable queue of its own."""

from __future__ import annotations

import json
import sys
import time
import uuid
from contextlib import suppress
from typing import Any

import click

from contracts.journeys import Seen, UnreadableEvent, decode_event, journey_queue, moment_key
from contracts.templates import templates
from contracts.times import SECOND
from contracts.topology import JOURNEYS, Binding, moments_topology
from services.cli.failures import Failed, Unreachable
from services.cli.options import data_option, ending_on_sigterm, environment, settings_from
from shared.broker import BrokerError, BrokerUnavailable, Delivery, connect_broker
from shared.broker.subscription import Subscription
from shared.clock import SystemClock


def describe(event: dict[str, Any], number: int) -> str:
    """One line for a person: time, type, profile, content, count."""
    data = event.get("data") or {}
    time = str(data.get("raisedAt") or event.get("time") or "")[11:19]
    profile = data.get("profile") or {}
    kind = str(event.get("type", "")).removeprefix("moment.")
    return f"{time}  {kind:<15} {profile.get('id', '')!s:<32} {summary_of(data):<60} #{number}".rstrip()


def summary_of(data: dict[str, Any]) -> str:
    """What the process holds, in a few words: `2 items, 64.90 EUR: Blue mug, Green tea ×2`."""
    content = data.get("content") or {}
    items = content.get("items") or []
    counted, word = content.get("views"), "view"
    if counted is None and items:
        counted, word = sum(int(item.get("quantity") or 1) for item in items), "item"
    parts = [f"{counted} {word}{'' if counted == 1 else 's'}"] if counted else []
    total = content.get("total")
    if total:
        parts.append(f"{float(total):.2f} {content.get('currency') or ''}".strip())
    names = [
        f"{item.get('name') or item.get('productId')}"
        + (f" ×{item['quantity']}" if item.get("quantity", 1) > 1 else "")
        for item in items
        if isinstance(item, dict)
    ]
    listed = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return ", ".join(parts) + (f": {listed}" if listed else "")


@click.command()
@click.option("--type", "type_", metavar="TYPE", help="Only moments of this type, as cart_abandon. [default: all]")
@click.option("--key", metavar="PATTERN", help="A routing key pattern instead, as 'signal.#' or 'audience.profile'.")
@click.option("--queue", metavar="NAME", help="Name of the queue; it stays, and takes moments while nobody watches.")
@click.option("--quiet", is_flag=True, help="Print events and nothing else.")
@click.option("--json", "as_json", is_flag=True, help="Print each event whole, one JSON object per line.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N events.")
@click.option(
    "--for", "seconds", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="End after so long."
)
@data_option
def watch(
    type_: str | None,
    key: str | None,
    queue: str | None,
    quiet: bool,
    as_json: bool,
    count: int | None,
    seconds: float | None,
    data: str | None,
) -> None:
    """Print moments as they fire.

    Binds a durable queue of its own; each event is printed once and acknowledged after that. Without --queue the
    queue is deleted at the end.
    """
    if type_ is not None and key is not None:
        raise click.UsageError("--type and --key exclude each other.")
    _check_type(type_)
    settings = settings_from(environment(data))
    clock = SystemClock()
    try:
        broker = connect_broker(settings.broker_url, clock)
    except ValueError as error:
        raise click.UsageError(f"MOMENTS_BROKER_URL: {error}") from error
    name = queue or f"moments.watch.{uuid.uuid4().hex[:12]}"
    bound = key or (moment_key(type_) if type_ else "moment.#")
    journey = Subscription(
        broker=broker,
        topology=moments_topology(settings.partitions),
        queues=(journey_queue(name),),
        bindings=(Binding(JOURNEYS, name, bound),),
        clock=clock,
        pause=time.sleep,
        warn=lambda text: click.echo(f"moments watch: {text}", err=True),
    )
    try:
        journey.bind()
    except BrokerError as error:
        broker.close()
        raise _unusable(error) from error
    if not quiet:
        click.echo(f"Watching {bound} on the queue {name}. Ctrl-C ends.", err=True)
    until = None if seconds is None else clock.now() + int(seconds * SECOND)
    try:
        with ending_on_sigterm():
            _print_events(journey, until, count, as_json)
    finally:
        if queue is None:
            with suppress(BrokerError):
                broker.delete_queue(name)
        broker.close()


def _print_events(journey: Subscription, until: int | None, count: int | None, as_json: bool) -> None:
    seen, printed = Seen(), 0
    for consumer, batch in journey.deliveries(until):
        for delivery in batch:
            if not seen.is_new(_identity(delivery)):
                continue
            printed += 1
            click.echo(_line(delivery, printed, as_json))
            sys.stdout.flush()
            if printed == count:
                consumer.ack(delivery)
                return
        if batch:
            consumer.ack(batch[-1])


def _identity(delivery: Delivery) -> str:
    try:
        return decode_event(delivery.body).identity
    except UnreadableEvent:
        return delivery.message_id


def _line(delivery: Delivery, number: int, as_json: bool) -> str:
    try:
        event = json.loads(delivery.body)
    except ValueError:
        return f"unreadable event {delivery.message_id} ({len(delivery.body)} bytes)"
    if as_json or not isinstance(event, dict):
        return json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    return describe(event, number)


def _check_type(type_: str | None) -> None:
    known = sorted(templates())
    if type_ is not None and type_.removesuffix(".recovered") not in known:
        raise click.BadParameter(f"unknown type {type_!r}; there are {', '.join(known)}.", param_hint="--type")


def _unusable(error: BrokerError) -> click.ClickException:
    if isinstance(error, BrokerUnavailable):
        return Unreachable(f"{error} (MOMENTS_BROKER_URL says which broker is meant)")
    return Failed(str(error))
