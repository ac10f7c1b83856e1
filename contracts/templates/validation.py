"""Checking settings against their declaration, every fault with a pointer and a plain reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from contracts.configurations import InvalidDomain, normalise_domain
from contracts.currencies import CURRENCIES
from contracts.templates.declaration import Setting, Template
from contracts.times import format_duration, parse_duration

_CLOCK_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_MOST_MONEY = 1_000_000_000_000
_MOST_ENTRIES = 100
_LONGEST_TEXT = 200


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong: a JSON pointer into the settings, and why in words."""

    pointer: str
    reason: str


def validate_settings(
    template: Template, given: Mapping[str, Any], domains: Iterable[str] | None = None
) -> tuple[dict[str, Any], list[Fault]]:
    """The settings with defaults filled in and values in normal form, and every fault.

    `domains`: those of the audience configuration, when `sites` is to be held against them. None clears an
    optional setting.
    """
    faults: list[Fault] = []
    settings: dict[str, Any] = {}
    known = {setting.name for setting in template.settings}
    for name in given:
        if name not in known:
            faults.append(Fault(f"/{name}", f"{template.title} has no setting of this name."))
    for setting in template.settings:
        value = given.get(setting.name)
        if value is None:
            if setting.name in given and setting.required:
                faults.append(Fault(f"/{setting.name}", f"{setting.label} is needed."))
            value = setting.default
        if value is not None:
            settings[setting.name] = check_value(setting, value, faults)
    if domains is not None:
        _check_sites(settings.get("sites"), set(domains), faults)
    return settings, faults


def check_value(setting: Setting, value: Any, faults: list[Fault]) -> Any:
    """The value in normal form; what is wrong with it is added to `faults`."""
    found: list[Fault] = []
    normal = _CHECKS[setting.type](setting, value, found)
    faults += [Fault(f"/{setting.name}{fault.pointer}", f"{setting.label}: {fault.reason}") for fault in found]
    return normal


def _check_sites(sites: Any, domains: set[str], faults: list[Fault]) -> None:
    if not isinstance(sites, list):
        return
    for index, site in enumerate(sites):
        if site not in domains:
            faults.append(Fault(f"/sites/{index}", f"Sites: {site} is no domain of the audience configuration."))


def _duration(setting: Setting, value: Any, faults: list[Fault]) -> Any:
    try:
        length = parse_duration(value) if isinstance(value, str) else None
    except ValueError:
        length = None
    if length is None:
        faults.append(Fault("", "write a duration as in PT10M, PT2H or P2D."))
        return value
    if setting.minimum is not None and length < parse_duration(setting.minimum):
        faults.append(Fault("", f"at least {_spoken(setting.minimum)}."))
    if setting.maximum is not None and length > parse_duration(setting.maximum):
        faults.append(Fault("", f"at most {_spoken(setting.maximum)}."))
    return format_duration(length)


def _spoken(duration: str) -> str:
    seconds = parse_duration(duration) // 1_000_000
    for size, word in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds and seconds % size == 0:
            count = seconds // size
            return f"{count} {word}" + ("" if count == 1 else "s")
    return "0 seconds"


def _integer(setting: Setting, value: Any, faults: list[Fault]) -> Any:
    if not isinstance(value, int) or isinstance(value, bool):
        faults.append(Fault("", "a whole number is needed."))
    elif setting.minimum is not None and value < setting.minimum:
        faults.append(Fault("", f"at least {setting.minimum}."))
    elif setting.maximum is not None and value > setting.maximum:
        faults.append(Fault("", f"at most {setting.maximum}."))
    return value


def _choice(setting: Setting, value: Any, faults: list[Fault]) -> Any:
    if value not in setting.choices:
        faults.append(Fault("", f"choose one of {', '.join(setting.choices)}."))
    return value


def _several(setting: Setting, value: Any, faults: list[Fault]) -> Any:
    """Some of the choices, in their declared order and each once."""
    if not isinstance(value, list) or not value:
        faults.append(Fault("", f"choose at least one of {', '.join(setting.choices)}."))
        return value
    for index, entry in enumerate(value):
        if entry not in setting.choices:
            faults.append(Fault(f"/{index}", f"choose among {', '.join(setting.choices)}."))
    return value if faults else [choice for choice in setting.choices if choice in value]


def _money(_setting: Setting, value: Any, faults: list[Fault]) -> Any:
    if not isinstance(value, dict) or set(value) != {"amount", "currency"}:
        faults.append(Fault("", 'write an amount and a currency, as in {"amount": 50, "currency": "EUR"}.'))
        return value
    amount, currency = value["amount"], value["currency"]
    if not isinstance(amount, int | float) or isinstance(amount, bool) or not 0 <= amount <= _MOST_MONEY:
        faults.append(Fault("/amount", f"the amount is a number from 0 to {_MOST_MONEY:,}."))
    code = currency.strip().upper() if isinstance(currency, str) else ""
    if code not in CURRENCIES:
        told = f"{currency} is no currency" if code else "a currency is needed"
        faults.append(Fault("/currency", f"{told[:60]}; write its code of three letters, as EUR or USD."))
    return {"amount": amount, "currency": code}


def _texts(_setting: Setting, value: Any, faults: list[Fault]) -> Any:
    if not isinstance(value, list) or not value or len(value) > _MOST_ENTRIES:
        faults.append(Fault("", f"a list of 1 to {_MOST_ENTRIES} entries is needed."))
        return value
    wrong = [not isinstance(entry, str) or not entry.strip() or len(entry) > _LONGEST_TEXT for entry in value]
    for index in (index for index, found in enumerate(wrong) if found):
        faults.append(Fault(f"/{index}", f"a text of 1 to {_LONGEST_TEXT} characters is needed."))
    return value if any(wrong) else list(dict.fromkeys(entry.strip() for entry in value))


def _sites(setting: Setting, value: Any, faults: list[Fault]) -> Any:
    checked: list[Fault] = []
    _texts(setting, value, checked)
    faults += checked
    if checked:
        return value
    normal: dict[str, None] = {}
    for index, entry in enumerate(value):
        try:
            normal[normalise_domain(entry.strip())] = None
        except InvalidDomain as error:
            faults.append(Fault(f"/{index}", f"{error}."))
    return list(normal)


@cache
def _zones() -> frozenset[str]:
    """The zones of the IANA database; `Factory` and `localtime` stand there on some machines and mean nothing."""
    return frozenset(available_timezones()) - {"Factory", "localtime"}


def _quiet_hours(_setting: Setting, value: Any, faults: list[Fault]) -> Any:
    if not isinstance(value, dict) or set(value) != {"zone", "from", "to"}:
        faults.append(
            Fault("", 'write a zone and two times, as {"zone": "Europe/Paris", "from": "22:00", "to": "08:00"}.')
        )
        return value
    zone = value["zone"]
    if not isinstance(zone, str) or zone not in _zones():
        told = f"there is no time zone {zone}; " if isinstance(zone, str) and zone else ""
        faults.append(Fault("/zone", f"{told[:80]}choose one such as Europe/Paris or America/New_York."))
    for name in ("from", "to"):
        if not isinstance(value[name], str) or not _CLOCK_TIME.fullmatch(value[name]):
            faults.append(Fault(f"/{name}", "write a time of the day as 22:00."))
    if not faults and value["from"] == value["to"]:
        faults.append(Fault("", "the two times must differ."))
    return value


_CHECKS: dict[str, Callable[[Setting, Any, list[Fault]], Any]] = {
    "duration": _duration,
    "integer": _integer,
    "choice": _choice,
    "choices": _several,
    "money": _money,
    "texts": _texts,
    "sites": _sites,
    "quiet_hours": _quiet_hours,
}
