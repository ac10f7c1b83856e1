"""What others changed while somebody was editing: whose change it was, and both edits brought together.

The base is the version from which the form was made. Of a field that only one of the two has changed, that change
holds. Of one that both have changed, what was typed stays in the form, and theirs stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from contracts.templates import Template
from services.config.audit import document_of
from services.config.resources import AuditEntry, Moment
from services.config.ui.moment_form import Filled, filled_from, one_end
from services.config.ui.settings_form import Parts, Unreadable, read_parts, shown_parts

_FIELDS = ("name", "description", "audienceConfigurationId", "status")
STATUS = "status"
_ATTRIBUTES = {"name": "name", "description": "description", "audienceConfigurationId": "configuration_id"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A field that somebody else changed. `setting`: whether it is one; `before` is ABSENT when it is not known.

    `contested`: what is typed differs from both; `actor` and `at`: whoever changed it last, as in the audit log.
    """

    field: str
    setting: bool
    before: Any
    theirs: Any
    contested: bool
    actor: str
    at: int


@dataclass(frozen=True, slots=True)
class Merged:
    """Both edits in one form, and what the others changed."""

    filled: Filled
    differences: tuple[Difference, ...]


class _Absent:
    """Not known."""


ABSENT = _Absent()


def merged(
    filled: Filled, base_version: int, moment: Moment, template: Template | None, entries: Sequence[AuditEntry]
) -> Merged:
    """The form that was made of `base_version`, on top of the present moment. `entries`: its audit, newest first."""
    since = [entry for entry in entries if _version(entry.after) > base_version]
    base = since[-1].before if since and _version(since[-1].before) == base_version else None
    present = document_of(moment)
    found: list[Difference] = []
    for field in _FIELDS:
        before = base.get(field) if base is not None else ABSENT
        if _same(before, present[field]):
            continue
        mine = getattr(filled, _ATTRIBUTES[field]) if field in _ATTRIBUTES else before
        untouched = field == STATUS or _same(mine, "" if before is None else before)
        contested = not untouched and not _same(mine, present[field] or "")
        if untouched and field in _ATTRIBUTES:
            filled = _with_text(filled, field, present[field] or "")
        found.append(_difference(field, False, before, present[field], contested, since))
    settings = dict(filled.settings)
    for setting in template.settings if template is not None else ():
        theirs = moment.settings.get(setting.name)
        before = base.get("settings", {}).get(setting.name) if base is not None else ABSENT
        if _same(before, theirs):
            continue
        mine = _read(template, setting.name, settings)
        untouched = _same(mine, before)
        if untouched:
            settings[setting.name] = shown_parts(setting, theirs)
        found.append(_difference(setting.name, True, before, theirs, not untouched and not _same(mine, theirs), since))
    if base is None:
        found = [each for each in found if each.contested]
    return Merged(replace(filled, settings=settings), tuple(found))


def with_theirs(filled: Filled, moment: Moment, template: Template | None, field: str) -> Filled:
    """The form with one field as it is saved."""
    saved = filled_from(moment, template)
    if field in _ATTRIBUTES:
        return _with_text(filled, field, getattr(saved, _ATTRIBUTES[field]))
    if field in saved.settings:
        return replace(filled, settings={**filled.settings, field: saved.settings[field]})
    return filled


def _with_text(filled: Filled, field: str, text: str) -> Filled:
    texts: dict[str, Any] = {_ATTRIBUTES[field]: text}
    return replace(filled, **texts)


def _read(template: Template | None, name: str, settings: Mapping[str, Parts]) -> Any:
    setting = template.setting(name) if template is not None else None
    if setting is None or name not in settings:
        return ABSENT
    try:
        return read_parts(setting, settings[name])
    except Unreadable:
        return ABSENT


def _difference(
    field: str, setting: bool, before: Any, theirs: Any, contested: bool, since: Sequence[AuditEntry]
) -> Difference:
    by = next(
        (entry for entry in since if _field(entry.before, field, setting) != _field(entry.after, field, setting)), None
    )
    by = by or (since[0] if since else None)
    return Difference(
        field=field,
        setting=setting,
        before=before,
        theirs=theirs,
        contested=contested,
        actor=by.actor if by is not None else "",
        at=by.at if by is not None else 0,
    )


def _field(document: Mapping[str, Any] | None, field: str, setting: bool) -> Any:
    found: Mapping[str, Any] = document or {}
    return (found.get("settings", {}) if setting else found).get(field)


def _version(document: Mapping[str, Any] | None) -> int:
    return int((document or {}).get("version", 0))


def _same(one: Any, other: Any) -> bool:
    """Whether both are known and equal; line ends of texts are as forms send them, and say nothing."""
    if isinstance(one, str) and isinstance(other, str):
        return one_end(one) == one_end(other)
    return one is not ABSENT and other is not ABSENT and bool(one == other)
