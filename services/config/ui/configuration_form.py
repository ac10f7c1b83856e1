"""The form of an audience configuration: what is typed, what that means, what others changed meanwhile. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import marshmallow as ma
from werkzeug.datastructures import MultiDict

from contracts.configurations import InvalidDomain, normalise_domain
from services.config.audit import document_of
from services.config.resources import AudienceConfiguration, AuditEntry
from services.config.schemas import NewConfigurationSchema
from services.config.ui.texts import t
from shared.problems import faults_of

FIELDS = (
    *("name", "description", "audience_id", "audience_name", "id_types", "domains"),
    *("consent", "declared", "attributes"),
)
MOST_LINES = 500
_POINTERS = {
    "/name": "name",
    "/description": "description",
    "/audience/id": "audience_id",
    "/audience/name": "audience_name",
    "/audience/idTypes": "id_types",
    "/domains": "domains",
    "/attributes": "attributes",
}


@dataclass(frozen=True, slots=True)
class Typed:
    """What stands in the form. `version`: from which it was made, 0 for a new one.

    `domains`, `attributes`: one on a line; the attributes count where `declared` is ticked.
    """

    name: str = ""
    description: str = ""
    audience_id: str = ""
    audience_name: str = ""
    id_types: tuple[str, ...] = ("email",)
    domains: str = ""
    consent: bool = False
    declared: bool = False
    attributes: str = ""
    version: int = 0

    @classmethod
    def of_form(cls, form: MultiDict[str, str]) -> Typed:
        """What was sent."""
        version = form.get("version", "")
        return cls(
            name=form.get("name", ""),
            description=form.get("description", ""),
            audience_id=form.get("audience_id", ""),
            audience_name=form.get("audience_name", ""),
            id_types=tuple(form.getlist("id_types")),
            domains=form.get("domains", "").replace("\r\n", "\n"),
            consent=form.get("consent") == "on",
            declared=form.get("declared") == "on",
            attributes=form.get("attributes", "").replace("\r\n", "\n"),
            version=int(version) if version.isascii() and version.isdigit() and len(version) < 18 else 0,
        )

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Typed:
        """The form of a configuration as REST and the audit log show it."""
        audience, attributes = document["audience"], document.get("attributes")
        return cls(
            document["name"],
            document["description"],
            audience["id"],
            audience["name"],
            id_types=tuple(audience["idTypes"]),
            domains="\n".join(document["domains"]),
            consent=document.get("consentRequired", False),
            declared=attributes is not None,
            attributes="\n".join(attributes or ()),
            version=document["version"],
        )

    @classmethod
    def of(cls, configuration: AudienceConfiguration) -> Typed:
        """The form of a configuration."""
        return cls.of_document(document_of(configuration))

    @property
    def lines(self) -> list[str]:
        """The domains that are named, as they are typed."""
        return _lines(self.domains)

    @property
    def names(self) -> list[str]:
        """The attributes that are named, as they are typed."""
        return _lines(self.attributes)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.replace(",", "\n").split("\n") if line.strip()]


@dataclass(frozen=True, slots=True)
class Line:
    """A domain as it is typed. `domain`: in normal form, None when it is none; `fault`: why."""

    text: str
    domain: str | None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """A field that others changed. `mine`: what is typed, where that differs; `actor`, `at`: who and when."""

    field: str
    theirs: str
    mine: str | None
    actor: str
    at: int


def read(typed: Typed) -> tuple[dict[str, Any], dict[str, str]]:
    """The fields as REST takes them, or what is wrong: field → why, in words."""
    document = {
        "name": typed.name,
        "description": typed.description.replace("\r\n", "\n"),
        "audience": {"id": typed.audience_id, "name": typed.audience_name, "idTypes": list(typed.id_types)},
        "domains": typed.lines,
        "consentRequired": typed.consent,
        "attributes": typed.names if typed.declared else None,
    }
    try:
        return NewConfigurationSchema().load(document), {}
    except ma.ValidationError as error:
        return {}, _faults(typed, error)


def _faults(typed: Typed, error: ma.ValidationError) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for fault in faults_of({"json": error.messages_dict}):
        pointer, line = fault.pointer, ""
        if pointer.startswith(("/domains/", "/attributes/")):
            pointer, place = pointer.rsplit("/", 1)
            named = typed.lines if pointer == "/domains" else typed.names
            line = t("configurations.fault.line", line=named[int(place)])
        field = _POINTERS.get(pointer, "name")
        empty = field not in ("domains", "attributes") and not str(getattr(typed, field) or "").strip()
        words = t(f"configurations.fault.{field}") if empty else fault.reason
        found.setdefault(field, []).append(f"{line} {words}".strip())
    return {field: " ".join(dict.fromkeys(reasons)) for field, reasons in found.items()}


def checked(lines: Sequence[str]) -> list[Line]:
    """Each domain as the server's own rule reads it."""
    return [_checked(line) for line in lines[:MOST_LINES]]


def _checked(line: str) -> Line:
    try:
        return Line(line, normalise_domain(line))
    except InvalidDomain as error:
        return Line(line, None, f"{error}.")


def merged(
    typed: Typed, present: AudienceConfiguration, entries: Sequence[AuditEntry]
) -> tuple[Typed, tuple[Change, ...]]:
    """What was typed on top of the present version, and what others changed since. `entries`: its audit, newest first.

    A field that only they changed is as they saved it; of one that both changed what was typed stays.
    """
    since = [entry for entry in entries if _version(entry.after) > typed.version and entry.after is not None]
    now = Typed.of(present)
    base = Typed.of_document(since[-1].before) if since and since[-1].before is not None else now
    result, changes = replace(typed, version=present.version), []
    for field in FIELDS:
        was, theirs, mine = (_plain(each, field) for each in (base, now, typed))
        if was == theirs:
            continue
        untouched = mine == was
        if untouched:
            result = _with(result, field, now)
        by = next((each for each in since if _differs(each, field)), since[0])
        changes.append(Change(field, theirs, None if untouched or mine == theirs else mine, by.actor, by.at))
    return result, tuple(changes)


def _with(typed: Typed, field: str, other: Typed) -> Typed:
    values: dict[str, Any] = {field: getattr(other, field)}
    return replace(typed, **values)


def _plain(typed: Typed, field: str) -> str:
    """A field as it is compared and shown."""
    if field == "id_types":
        return ", ".join(typed.id_types)
    if field in ("consent", "declared"):
        return t("configurations.yes") if getattr(typed, field) else t("configurations.no")
    if field == "attributes":
        return ", ".join(typed.names)
    if field == "domains":
        return ", ".join(line.domain or line.text for line in checked(typed.lines))
    return str(getattr(typed, field)).strip()


def _differs(entry: AuditEntry, field: str) -> bool:
    if entry.before is None or entry.after is None:
        return False
    return _plain(Typed.of_document(entry.before), field) != _plain(Typed.of_document(entry.after), field)


def _version(document: Mapping[str, Any] | None) -> int:
    return int((document or {}).get("version", 0))
