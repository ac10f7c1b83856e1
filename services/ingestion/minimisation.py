"""What a configuration does not want to have: signals without consent, and attributes that it did not declare. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from contracts.signals import PROFILE_FIELDS
from contracts.stitching import ANONYMOUS, ANONYMOUS_FIELD
from services.ingestion.refusals import Refusal
from services.ingestion.shapes import ITEM_FIELDS, SHAPES, Shape

_NO_CONSENT = Refusal(403, "no_consent", "the signal does not say that its customer consents, as consent: true")
_UNCLEAR_CONSENT = Refusal(
    403, "no_consent", "consent is neither true nor false: it must be the JSON value true, not a text or a number"
)
_REFUSED_CONSENT = Refusal(403, "no_consent", "the signal says that its customer does not consent")
LINES = "items"
"""The attribute that holds, line by line, what of the items is not declared; its names are `items.<name>`."""

_WHOSE = {**PROFILE_FIELDS, ANONYMOUS: ANONYMOUS_FIELD}


def without_consent(item: Any) -> Refusal | None:
    """Why a sent item does not consent: its `consent`, or where it has none that of its data, must be true.

    Neither may be false; null is as if it were not there. A text is no consent: whoever writes "true" also writes
    "false", and a text that is not empty is true to many programs.
    """
    data = item.get("data") if type(item) is dict else None
    given = [each.get("consent") for each in (item, data) if type(each) is dict]
    if any(each is False for each in given):
        return _REFUSED_CONSENT
    said = next((each for each in given if each is not None), None)
    if said is None:
        return _NO_CONSENT
    return None if said is True else _UNCLEAR_CONSENT


def consents(item: Any) -> bool:
    """Whether a sent item says that its customer consents."""
    return without_consent(item) is None


def minimised(attributes: dict[str, Any], declared: frozenset[str]) -> dict[str, Any]:
    """The attributes that are declared, those of lines by their own names; lines keep their places."""
    return dict(_kept(attributes, declared))


def _kept(attributes: Mapping[str, Any], declared: frozenset[str]) -> Iterator[tuple[str, Any]]:
    for name, value in attributes.items():
        if name in declared:
            yield name, value
        elif name == LINES and type(value) is list:
            lines = [_line(line, declared) for line in value]
            if any(lines):
                yield name, lines


def _line(line: Any, declared: frozenset[str]) -> dict[str, Any]:
    members = line.items() if type(line) is dict else ()
    return {name: value for name, value in members if f"{LINES}.{name}" in declared}


def tellable(item: Any, kind: str, *, consent_required: bool, declared: frozenset[str] | None) -> Any:
    """A refused item as far as it may be told of and kept: no more than its kind without the consent that it needs, no
    field that would not have been kept of an accepted one. `kind`: of the path, where it names one."""
    data = item.get("data") if type(item) is dict else None
    if consent_required and not consents(item):
        named = data.get("signal") if type(data) is dict else None
        return {"data": {"signal": named}} if type(named) is str and named in SHAPES else {}
    if declared is None or type(data) is not dict:
        return item
    return {**item, "data": dict(_told(data, SHAPES.get(kind or str(data.get("signal"))), declared))}


def _told(data: dict[str, Any], shape: Shape | None, declared: frozenset[str]) -> Iterator[tuple[str, Any]]:
    """Of a kind that nobody knows, what names it and whom it is about is told."""
    id_type = data.get("idType")
    id_type = id_type if type(id_type) is str and id_type in _WHOSE else "email"
    fields = shape.declared[id_type] if shape else {"signal", "site", "idType", _WHOSE[id_type]}
    for name, value in data.items():
        if name == LINES and name in fields and type(value) is list:
            yield name, [{**_line(line, declared), **_declared_of_line(line)} for line in value]
        elif name == "attributes" and type(value) is dict:
            yield name, minimised(value, declared)
        elif name in fields or name in declared or name == "consent":
            yield name, value


def _declared_of_line(line: Any) -> dict[str, Any]:
    members = line.items() if type(line) is dict else ()
    return {name: value for name, value in members if name in ITEM_FIELDS}
