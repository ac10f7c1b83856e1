"""From one call of Segment's API to one signal as this API takes it, or to the reason why it is none. Pure."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from contracts.configurations import SegmentEvent
from contracts.signals import CATALOGUE, SignalKind

Ignored = Literal["unknown_event", "no_signal", "no_profile", "no_product"]
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?")
"""What is read as a number: no `NaN` and no infinity, which JSON does not have, and which no check expects."""
OF_LINES = "items."
"""What stands before the name of a field of a line."""
_LONGEST_TO_HOST = 512
"""Of an address, what is read to find its host."""
CALLS = ("track", "page", "screen", "identify", "group", "alias")


@dataclass(frozen=True, slots=True)
class Rule:
    """What an event becomes: a kind of signal, and the property that holds its products (`.`: it is one itself).

    `fields` and `item`: field → the path that is looked at before those of the table.
    """

    kind: SignalKind
    items: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    item: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Table:
    """The declared table. `fields` and `item`: field → the paths that are looked at, in their order."""

    calls: Mapping[str, Rule]
    track: Mapping[str, Rule]
    fields: Mapping[str, tuple[str, ...]]
    item: Mapping[str, tuple[str, ...]]

    def paths(self, name: str, rule: Rule) -> tuple[str, ...]:
        """Where a field of the signal is looked for."""
        return _first(rule.fields.get(name), self.fields.get(name, ()))

    def item_paths(self, rule: Rule) -> dict[str, tuple[str, ...]]:
        """Where the fields of a line are looked for."""
        return {name: _first(rule.item.get(name), paths) for name, paths in self.item.items()}

    def rule(self, call: str, event: Any) -> Rule | None:
        """The rule of a call; of a track, of its event, without regard to case."""
        if call != "track":
            return self.calls.get(call)
        return self.track.get(event.strip().casefold()) if isinstance(event, str) else None


@cache
def declared_table() -> Table:
    """The table of `events.toml`."""
    text = (Path(__file__).parent / "events.toml").read_text(encoding="utf-8")
    document = tomllib.loads(text)
    return Table(
        calls={call: _rule(each) for call, each in document["calls"].items()},
        track={event.casefold(): _rule(each) for event, each in document["track"].items()},
        fields={name: tuple(paths) for name, paths in document["fields"].items()},
        item={name: tuple(paths) for name, paths in document["item"].items()},
    )


def extended(table: Table, events: Iterable[SegmentEvent]) -> Table:
    """The table with the events of a configuration, which stand before its own.

    A kind that the catalogue here does not have yet is passed over: its event is one that nobody knows.
    """
    track = dict(table.track)
    for each in events:
        name, kind = each.event.strip().casefold(), CATALOGUE.get(each.signal or "")
        track.pop(name, None)
        if kind is not None:
            track[name] = Rule(kind, each.items, *_halves(each.fields))
    return replace(table, track=track)


def _halves(fields: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The fields of the signal, and those of its lines."""
    return (
        {name: path for name, path in fields.items() if not name.startswith(OF_LINES)},
        {name.removeprefix(OF_LINES): path for name, path in fields.items() if name.startswith(OF_LINES)},
    )


def _first(path: str | None, paths: tuple[str, ...]) -> tuple[str, ...]:
    return paths if path is None else (path, *paths)


def _rule(document: Mapping[str, str]) -> Rule:
    return Rule(CATALOGUE[document["signal"]], document.get("items", ""))


def to_signal(
    message: Mapping[str, Any],
    call: str,
    id_types: frozenset[str],
    sent_at: Any,
    table: Table,
    anonymous: Mapping[str, Any] | None = None,
) -> dict[str, Any] | Ignored:
    """The signal of a message, to be read as any other; what is wrong in it is found there.

    `sent_at`: the clock of the sender at sending, which stands beside the batch. `anonymous`: the customer where the
    message names nobody.
    """
    rule = table.rule(call, message.get("event"))
    if rule is None:
        return "unknown_event" if call == "track" else "no_signal"
    properties, context = _object(message.get("properties")), _object(message.get("context"))
    profile = profile_of(message, id_types) or anonymous
    if profile is None:
        return "no_profile"
    data: dict[str, Any] = {**_attributes(properties, rule, table), **profile, "signal": rule.kind.name}
    data |= dict(_declared(rule, properties, context, message, table))
    if rule.items:
        item_paths = table.item_paths(rule)
        data["items"] = [_item(line, properties, item_paths) for line in _lines(properties, rule)]
        if rule.kind.needs_item and not data["items"]:
            return "no_product"
    return clock_of(message, sent_at) | consent_of(message) | {"id": message.get("messageId"), "data": data}


def consent_of(message: Mapping[str, Any]) -> dict[str, Any]:
    """The consent as a signal has it: from `context.consent`, or from every category of Segment's own.

    Where categories stand, all must be true; what else is given is left to the signal's own check, which wants true.
    """
    given = _object(message.get("context")).get("consent")
    if isinstance(given, dict):
        preferences = list(_object(given.get("categoryPreferences")).values())
        return {"consent": all(each is True for each in preferences)} if preferences else {}
    return {} if given is None or isinstance(given, list) else {"consent": given}


def profile_of(message: Mapping[str, Any], id_types: frozenset[str]) -> dict[str, Any] | None:
    """The customer as a signal names them: `userId` where the audience takes external ids, else what is known of them.

    Every call of a customer must find the same profile; the calls of a server carry the id alone.
    """
    user = message.get("userId")
    named = isinstance(user, str | int) and not isinstance(user, bool) and user != ""
    if named and "external" in id_types:
        return {"idType": "external", "customerId": user}
    context = _object(message.get("context"))
    known = [_object(message.get("traits")), _object(context.get("traits")), _object(message.get("properties"))]
    if "email" in id_types:
        email = next((each["email"] for each in known if isinstance(each.get("email"), str)), None)
        if email is None and isinstance(user, str) and "@" in user:
            email = user
        if email:
            return {"idType": "email", "email": email}
    if "phone" in id_types:
        phone = next((each["phone"] for each in known if isinstance(each.get("phone"), str)), None)
        if phone:
            return {"idType": "phone", "phone": phone}
    return None


def _declared(
    rule: Rule, properties: dict[str, Any], context: dict[str, Any], message: Mapping[str, Any], table: Table
) -> Iterator[tuple[str, Any]]:
    kind = rule.kind
    names = dict.fromkeys((*((kind.id_field,) if kind.id_field else ()), "sessionId", *kind.fields))
    for name in names:
        value = _found(table.paths(name, rule), properties, context)
        if value is None and name == "title":
            value = message.get("name")
        if value is not None:
            yield name, _number(value) if name == "price" else value
    site = _site(properties, context)
    if site is not None:
        yield "site", site


def _found(paths: tuple[str, ...], properties: dict[str, Any], context: dict[str, Any]) -> Any:
    for path in paths:
        place: Any = properties
        steps = path.split(".")
        if steps[0] == "context":
            place, steps = context, steps[1:]
        for step in steps:
            place = _object(place).get(step)
        if place is not None and place != "":
            return place
    return None


def _site(properties: dict[str, Any], context: dict[str, Any]) -> str | None:
    for url in (_object(context.get("page")).get("url"), properties.get("url")):
        if isinstance(url, str):
            try:
                host = urlsplit(url[:_LONGEST_TO_HOST]).hostname  # it composes the host, however long that is
            except ValueError:
                continue
            if host:
                return host
    return None


def _lines(properties: dict[str, Any], rule: Rule) -> list[dict[str, Any]]:
    lines = [properties] if rule.items == "." else _found((rule.items,), properties, {})
    found = [line for line in lines if isinstance(line, dict)] if isinstance(lines, list) else []
    if not found and rule.items == "." and isinstance(properties.get("products"), list):
        found = [line for line in properties["products"] if isinstance(line, dict)]
    return found


def _item(
    line: dict[str, Any], properties: dict[str, Any], item_paths: Mapping[str, tuple[str, ...]]
) -> dict[str, Any]:
    item = {name: value for name, paths in item_paths.items() if (value := _found(paths, line, {})) is not None}
    if "price" in item:
        item["price"] = _number(item["price"])
    if "quantity" in item:
        item["quantity"] = _number(item["quantity"])
    if "price" in item and "currency" not in item and isinstance(properties.get("currency"), str):
        item["currency"] = properties["currency"]
    return item


def _attributes(properties: dict[str, Any], rule: Rule, table: Table) -> dict[str, Any]:
    """The properties that are no declared field and no product."""
    read = {
        path for name in (*rule.kind.fields, rule.kind.id_field or "", "sessionId") for path in table.paths(name, rule)
    }
    if rule.items == ".":
        read |= {path for paths in table.item_paths(rule).values() for path in paths}
    if rule.items:
        read |= {rule.items, "products"}
    taken = {"items", "signal", "site", "idType", "email", "customerId", "phone", "deviceId", "appId", "anonymousId"}
    return {name: value for name, value in properties.items() if name not in read | taken}


def clock_of(message: Mapping[str, Any], sent_at: Any) -> dict[str, Any]:
    """`originalTimestamp` is what the client wrote; where it is, `timestamp` was corrected by someone else before."""
    time = message.get("originalTimestamp") or message.get("timestamp") or message.get("sentAt") or sent_at
    sent = message.get("sentAt") or sent_at
    return {"time": time, **({} if sent is None else {"sentAt": sent})}


def _number(value: Any) -> Any:
    """A number that was sent as text; anything else is left to the signal's own checks."""
    if not isinstance(value, str) or not _NUMBER.fullmatch(value.strip()):
        return value
    number = float(value)
    return int(number) if number.is_integer() else number


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
