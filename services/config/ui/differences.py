"""What a change changed: the fields of a document before and after, in words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from contracts.templates import templates
from contracts.times import from_rfc3339
from services.config.ui import words
from services.config.ui.texts import known, t

_UNTOLD = frozenset(("id", "version", "updatedAt", "updatedBy", "createdAt", "createdBy", "signedInAt", "lastUsedAt"))
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_DURATION = re.compile(r"P(?=.)(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+S)?)?")
_CAPITAL = re.compile(r"(?<=[a-z0-9])([A-Z])")


@dataclass(frozen=True, slots=True)
class Difference:
    """One field. What was or is not there is None."""

    label: str
    before: str | None
    after: str | None


def differences(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> list[Difference]:
    """The fields that differ, in the order of the document; of a new or deleted one all that it says."""
    old, new = dict(_leaves(before or {})), dict(_leaves(after or {}))
    of_type = str((after or before or {}).get("type", ""))
    return [
        Difference(_label(path, of_type), _worded(old.get(path)), _worded(new.get(path)))
        for path in [*new, *(each for each in old if each not in new)]
        if old.get(path) != new.get(path)
    ]


def _leaves(document: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Path → value; the entries of a list that have an id are told apart by it, any other list is one value."""
    for name, value in document.items():
        if not path and name in _UNTOLD:
            continue
        here = (*path, name)
        if isinstance(value, Mapping):
            yield from _leaves(value, here)
        elif isinstance(value, list) and value and all(isinstance(each, Mapping) and "id" in each for each in value):
            for each in value:
                kept = {key: part for key, part in each.items() if key not in _UNTOLD and key != "type"}
                yield from _leaves(kept, (*here, f"{each.get('type', '')} {each['id']}".strip()))
        else:
            yield here, value


def _label(path: tuple[str, ...], of_type: str) -> str:
    """`settings`, `coolDown` → the template's own label; others by the texts, else by their name."""
    template = templates().get(of_type)
    if path[0] == "settings" and template is not None:
        label = next((each.label for each in template.settings if each.name == path[1]), "")
        if label:
            return " · ".join([label, *map(_spaced, path[2:])])
    return " · ".join(t(f"audit.field.{name}") if known(f"audit.field.{name}") else _spaced(name) for name in path)


def _spaced(name: str) -> str:
    """`runningSince` → `Running since`; an id stays as it is."""
    if not name.isalpha():
        return name
    spaced = _CAPITAL.sub(lambda found: f" {found[1].lower()}", name)
    return spaced[:1].upper() + spaced[1:]


def _worded(value: Any) -> str | None:
    if value is None or value in ("", []):
        return None
    if isinstance(value, bool):
        return t("audit.yes") if value else t("audit.no")
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {told}" for name, each in value.items() if (told := _worded(each)))
    if isinstance(value, list):
        between = "; " if any(isinstance(each, Mapping) for each in value) else ", "
        return between.join(_worded(each) or t("frame.unknown") for each in value)
    if isinstance(value, str) and _DURATION.fullmatch(value):
        return words.duration(value)
    return str(value)


def is_instant(text: str | None) -> bool:
    """Whether a value is a time, to be shown on the viewer's clock."""
    if text is None or _INSTANT.fullmatch(text) is None:
        return False
    try:
        # A name may look like one: the first and the last day of all are not on every clock.
        return from_rfc3339(text) >= 0 and not text.startswith("9999")
    except (ValueError, OverflowError):
        return False
