"""The form of a moment: what stands in it, the change that it asks for, and what is wrong with that, by control."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import marshmallow as ma

from contracts.templates import Template
from services.config.resources import Moment
from services.config.schemas import MomentChangeSchema
from services.config.ui.settings_form import (
    Missed,
    Parts,
    parts_of,
    read_form,
    shown_form,
    shown_parts,
    typed_form,
)
from services.config.ui.texts import t
from shared.problems import Fault, faults_of

_TEXTS = ("name", "description")
_LINK = "audience_configuration_id"
PLAIN = (*_TEXTS, _LINK)
"""The fields beside the settings."""


class Form(Protocol):
    """A form as it came."""

    def getlist(self, key: str) -> Sequence[str]:
        """Every text of a name, in order."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What stands in the form. `settings`: setting → parts; `configuration_id`: empty when none is chosen."""

    name: str
    description: str
    configuration_id: str
    settings: Mapping[str, Parts]


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What is wrong: field → reason, setting → part → reason, and what belongs to no control."""

    plain: Mapping[str, str]
    settings: Mapping[str, Mapping[str, str]]
    others: tuple[str, ...]

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.plain or self.settings or self.others)


NO_FAULTS = Faults(plain={}, settings={}, others=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a form asks for: `changes` as `Moments.change` takes them, and what could not be read."""

    changes: dict[str, Any]
    faults: Faults


def filled_from(moment: Moment, template: Template | None) -> Filled:
    """The form of a moment as it is saved."""
    return Filled(
        name=moment.name,
        description=moment.description,
        configuration_id=moment.configuration_id or "",
        settings={} if template is None else shown_form(template, moment.settings),
    )


def filled_by(form: Form, moment: Moment, template: Template | None) -> Filled:
    """The form as somebody filled it in; what it did not have stands as it is saved."""
    saved = filled_from(moment, template)
    typed = {} if template is None else typed_form(template, form)
    return Filled(
        name=_text(form, "name", saved.name),
        description=_text(form, "description", saved.description),
        configuration_id=saved.configuration_id if moment.has_run else _text(form, _LINK, saved.configuration_id),
        settings={**saved.settings, **typed},
    )


def _text(form: Form, name: str, saved: str) -> str:
    given = form.getlist(name)
    return one_end(given[0]) if given else saved


def one_end(text: str) -> str:
    """A text with one kind of line ends: browsers send others than were saved."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def wanted_by(filled: Filled, moment: Moment, template: Template | None) -> Wanted:
    """The change from a moment to what is filled in; nothing stands in it that is as it was."""
    document: dict[str, Any] = {}
    for name, text in (("name", filled.name), ("description", filled.description)):
        if text != one_end(getattr(moment, name)):
            document[name] = text
    if filled.configuration_id and filled.configuration_id != (moment.configuration_id or ""):
        document["audienceConfigurationId"] = filled.configuration_id
    changes, plain = _loaded(document)
    missed: tuple[Missed, ...] = ()
    if template is not None:
        read = read_form(template, filled.settings)
        missed = read.missed
        settings = {name: value for name, value in read.settings.items() if value != moment.settings.get(name)}
        if settings:
            changes["settings"] = settings
    return Wanted(changes=changes, faults=Faults(plain=plain, settings=_missed(missed), others=()))


def _loaded(document: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The fields by the API's own schema, and its faults in words."""
    try:
        loaded: dict[str, Any] = MomentChangeSchema().load(document)
    except ma.ValidationError as error:
        messages: dict[str, Any] = {"json": error.normalized_messages()}  # type: ignore[no-untyped-call]
        faults = {_field_of(fault.pointer): fault for fault in faults_of(messages)}
        right = error.valid_data if isinstance(error.valid_data, dict) else {}
        return right, {name: _in_words(name, fault, document) for name, fault in faults.items()}
    return loaded, {}


def _in_words(field: str, fault: Fault, document: Mapping[str, Any]) -> str:
    if field == "name" and not document.get("name", "").strip():
        return t("properties.fault.no_name")
    if field == _LINK:
        return t("properties.fault.no_configuration")
    return t(f"properties.fault.too_long.{field}") if "Length" in fault.reason else fault.reason


def _missed(missed: Iterable[Missed]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for each in missed:
        found.setdefault(each.setting, {})[each.part] = t(each.key)
    return found


def with_faults(found: Faults, template: Template | None, faults: Iterable[Fault]) -> Faults:
    """The faults of a form with those that the API found in it."""
    plain, settings = dict(found.plain), {name: dict(parts) for name, parts in found.settings.items()}
    others = list(found.others)
    for fault in faults:
        setting = _setting_of(template, fault.pointer)
        if setting is not None:
            name, part, label = setting
            settings.setdefault(name, {}).setdefault(part, _without_label(fault.reason, label))
        elif _field_of(fault.pointer) in PLAIN:
            plain.setdefault(_field_of(fault.pointer), fault.reason)
        else:
            others.append(fault.reason)
    return Faults(plain=plain, settings=settings, others=tuple(others))


def _field_of(pointer: str) -> str:
    """The field of a pointer such as `/audienceConfigurationId`."""
    return re.sub(r"(?<=[a-z])([A-Z])", lambda match: f"_{match[1].lower()}", pointer.removeprefix("/"))


def _setting_of(template: Template | None, pointer: str) -> tuple[str, str, str] | None:
    """The setting, part and label of a pointer such as `/settings/minimumValue/currency`."""
    for setting in template.settings if template is not None else ():
        whole = f"/settings/{setting.name}"
        if pointer == whole or pointer.startswith(f"{whole}/"):
            part, parts = pointer[len(whole) + 1 :], parts_of(setting)
            return setting.name, part if part in parts else parts[0], setting.label
    return None


def _without_label(reason: str, label: str) -> str:
    """A reason as it reads beside its field: a sentence of its own."""
    text = reason.removeprefix(f"{label}: ")
    return text[:1].upper() + text[1:]


def with_setting(filled: Filled, template: Template, name: str, value: Any) -> Filled:
    """The form with another value in a setting."""
    setting = template.setting(name)
    if setting is None:
        return filled
    return replace(filled, settings={**filled.settings, name: shown_parts(setting, value)})
