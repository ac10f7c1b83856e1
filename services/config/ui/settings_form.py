"""The settings of a template as fields of a form, and a filled-in form as settings of the API.

Each setting has parts, and each part is texts as typed: what is typed wrong is kept as it was typed. What is right is
judged by the rules of the API; here only what cannot be written as a value of the API is a fault. A form that is sent
back as it was rendered gives the very settings that it was rendered from.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from contracts.templates import Setting, Template
from contracts.times import SECOND, format_duration, parse_duration
from services.config.ui.words import UNITS

Parts = Mapping[str, Sequence[str]]
"""Part of a setting → its texts; most parts have one."""

PREFIX = "settings."
_SIZES = dict(UNITS)
_NUMBER = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,400})?")
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_LINE_ENDS = re.compile(r"\r\n|\n|\r")
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")
_MULTIPLE = frozenset(("choices", "sites"))
_PARTS = {
    "duration": ("number", "unit"),
    "money": ("amount", "currency"),
    "quiet_hours": ("from", "to", "zone"),
}


class Sent(Protocol):
    """A form as it came: every text of a name, in order."""

    def getlist(self, key: str) -> Sequence[str]:
        """The texts of a name."""
        ...


class Unreadable(ValueError):
    """What was typed is no value. `part`: where; the message is a key of the texts."""

    def __init__(self, part: str, key: str) -> None:
        super().__init__(key)
        self.part = part
        self.key = key


@dataclass(frozen=True, slots=True)
class Missed:
    """A setting that could not be read: its name, the part, and the key of the text that says why."""

    setting: str
    part: str
    key: str


@dataclass(frozen=True, slots=True)
class Read:
    """What a form says: settings by name (None: cleared) and what could not be read of it."""

    settings: dict[str, Any]
    missed: tuple[Missed, ...]


def parts_of(setting: Setting) -> tuple[str, ...]:
    """The parts that a setting has."""
    return _PARTS.get(setting.type, ("value",))


def form_name(setting: Setting, part: str) -> str:
    """The name of a part's control. The part stands last, so that no two settings can meet."""
    return f"{PREFIX}{setting.name}.{part}"


def field_ids(template: Template) -> dict[str, str]:
    """Setting → the id of its field, which is safe in HTML and the setting's own."""
    found: dict[str, str] = {}
    for index, setting in enumerate(template.settings):
        safe = _UNSAFE.sub("-", setting.name)
        found[setting.name] = f"setting-{safe}" if safe == setting.name else f"setting-{safe}-{index}"
    return found


def shown_parts(setting: Setting, value: Any) -> dict[str, list[str]]:
    """The texts of a value; of a value that is not there, those of an empty field."""
    return _SHOW[setting.type](setting, value)


def shown_form(template: Template, settings: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    """Setting → the parts of its present value."""
    return {setting.name: shown_parts(setting, settings.get(setting.name)) for setting in template.settings}


def typed_form(template: Template, sent: Sent) -> dict[str, dict[str, list[str]]]:
    """Setting → the parts as they were typed; a setting that the form did not have is left out."""
    found: dict[str, dict[str, list[str]]] = {}
    for setting in template.settings:
        texts = {part: list(sent.getlist(form_name(setting, part))) for part in parts_of(setting)}
        if any(texts.values()):
            found[setting.name] = texts
    return found


def read_form(template: Template, typed: Mapping[str, Parts]) -> Read:
    """The settings that a form says. A setting of which nothing is filled in is cleared."""
    settings: dict[str, Any] = {}
    missed: list[Missed] = []
    for setting in template.settings:
        if setting.name not in typed:
            continue
        try:
            settings[setting.name] = read_parts(setting, typed[setting.name])
        except Unreadable as error:
            missed.append(Missed(setting.name, error.part, error.key))
    return Read(settings, tuple(missed))


def read_parts(setting: Setting, parts: Parts) -> Any:
    """The value of what was typed, None when nothing was; raises Unreadable."""
    return _READ[setting.type](setting, parts)


def units_of(setting: Setting) -> tuple[str, ...]:
    """The units in which a duration can be written, the smallest first; none is greater than its maximum."""
    most = parse_duration(setting.maximum) // SECOND if setting.maximum is not None else None
    return tuple(unit for unit, size in reversed(UNITS) if most is None or size <= most or unit == "s")


def options_of(setting: Setting, chosen: Iterable[str], domains: Iterable[str] = ()) -> tuple[tuple[str, bool], ...]:
    """What can be chosen, and whether it is offered; what is chosen and no longer offered stands last."""
    offered = tuple(dict.fromkeys(domains if setting.type == "sites" else setting.choices))
    strange = tuple(each for each in dict.fromkeys(chosen) if each and each not in offered)
    return tuple((each, True) for each in offered) + tuple((each, False) for each in strange)


def _first(parts: Parts, part: str) -> str:
    return next(iter(parts.get(part, ())), "").strip()


# Durations: a number and a unit.


def _show_duration(setting: Setting, value: Any) -> dict[str, list[str]]:
    units = units_of(setting)
    if not isinstance(value, str):
        likely = _show_duration(setting, setting.default)["unit"] if setting.default is not None else [units[-1]]
        return {"number": [""], "unit": likely}
    try:
        seconds = parse_duration(value) // SECOND
    except ValueError:
        return {"number": [value], "unit": [units[0]]}
    if not seconds:
        return {"number": ["0"], "unit": ["m" if "m" in units else "s"]}
    unit = next(unit for unit in reversed(units) if seconds % _SIZES[unit] == 0)
    return {"number": [str(seconds // _SIZES[unit])], "unit": [unit]}


def _read_duration(_setting: Setting, parts: Parts) -> str | None:
    number, unit = _first(parts, "number"), _first(parts, "unit")
    if not number:
        return None
    if unit not in _SIZES:
        raise Unreadable("unit", "properties.unreadable.unit")
    size = _SIZES[unit]
    seconds = size * _decimal(number, "number", "properties.unreadable.number", "properties.unreadable.number_comma")
    if seconds != int(seconds):
        raise Unreadable("number", "properties.unreadable.second")
    return format_duration(int(seconds) * SECOND)


def _decimal(text: str, part: str, key: str, comma: str) -> Decimal:
    """A number as it is typed; a comma is refused, as it means thousands to some and decimals to others."""
    if "," in text and _NUMBER.fullmatch(text.replace(",", "")):
        raise Unreadable(part, comma)
    if not _NUMBER.fullmatch(text):
        raise Unreadable(part, key)
    return Decimal(text)


# Whole numbers and choices.


def _show_plain(_setting: Setting, value: Any) -> dict[str, list[str]]:
    return {"value": ["" if value is None else str(value)]}


def _read_integer(_setting: Setting, parts: Parts) -> int | None:
    text = _first(parts, "value")
    if not text:
        return None
    if not _WHOLE.fullmatch(text):
        raise Unreadable("value", "properties.unreadable.whole")
    return int(text)


def _read_choice(_setting: Setting, parts: Parts) -> str | None:
    return next(iter(parts.get("value", ())), "") or None


def _show_several(_setting: Setting, value: Any) -> dict[str, list[str]]:
    """An empty text stands first, as a form that has the field but nothing chosen sends it."""
    return {"value": ["", *(value if isinstance(value, list) else ())]}


def _read_several(_setting: Setting, parts: Parts) -> list[str] | None:
    return list(dict.fromkeys(text for text in parts.get("value", ()) if text)) or None


# Money: an amount and a currency.


def _show_money(_setting: Setting, value: Any) -> dict[str, list[str]]:
    if not isinstance(value, dict):
        return {"amount": [""], "currency": [""]}
    amount = value.get("amount")
    text = format(Decimal(repr(amount)), "f") if isinstance(amount, int | float) else str(amount)
    return {"amount": [text], "currency": [str(value.get("currency", ""))]}


def _read_money(_setting: Setting, parts: Parts) -> dict[str, Any] | None:
    text = _first(parts, "amount")
    if not text:
        return None
    amount = _decimal(text, "amount", "properties.unreadable.amount", "properties.unreadable.amount_comma")
    return {"amount": float(amount) if "." in text else int(amount), "currency": _first(parts, "currency")}


# Texts: one on a line.


def _show_texts(_setting: Setting, value: Any) -> dict[str, list[str]]:
    return {"value": ["\n".join(_line_of(str(entry)) for entry in (value if isinstance(value, list) else ()))]}


def _line_of(entry: str) -> str:
    """An entry as a line: as it is, or as JSON when it would not come back as it is."""
    strange = entry.startswith('"') or any(unicodedata.category(character) == "Cc" for character in entry)
    return msgspec.json.encode(entry).decode() if strange else entry


def _read_texts(_setting: Setting, parts: Parts) -> list[str] | None:
    lines = [line.strip() for line in _LINE_ENDS.split(next(iter(parts.get("value", ())), ""))]
    return list(dict.fromkeys(_entry_of(line) for line in lines if line)) or None


def _entry_of(line: str) -> str:
    if not line.startswith('"'):
        return line
    try:
        return msgspec.json.decode(line, type=str)
    except (msgspec.MsgspecError, UnicodeEncodeError):
        return line


# Quiet hours: from, to, zone. A zone alone is none, so that a likely one can be offered.


def _show_quiet(_setting: Setting, value: Any) -> dict[str, list[str]]:
    found = value if isinstance(value, dict) else {}
    return {part: [str(found.get(part, ""))] for part in _PARTS["quiet_hours"]}


def _read_quiet(_setting: Setting, parts: Parts) -> dict[str, str] | None:
    found = {part: _first(parts, part) for part in _PARTS["quiet_hours"]}
    return found if found["from"] or found["to"] else None


_SHOW: Mapping[str, Callable[[Setting, Any], dict[str, list[str]]]] = {
    "duration": _show_duration,
    "integer": _show_plain,
    "choice": _show_plain,
    "choices": _show_several,
    "money": _show_money,
    "texts": _show_texts,
    "sites": _show_several,
    "quiet_hours": _show_quiet,
}
_READ: Mapping[str, Callable[[Setting, Parts], Any]] = {
    "duration": _read_duration,
    "integer": _read_integer,
    "choice": _read_choice,
    "choices": _read_several,
    "money": _read_money,
    "texts": _read_texts,
    "sites": _read_several,
    "quiet_hours": _read_quiet,
}
