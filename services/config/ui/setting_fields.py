"""The fields of a template's settings as the panel draws them: what stands in them, what is offered, what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contracts.templates import Setting, Template
from services.config.ui.setting_words import choice_label, help_of, pieces_of, sections_of, spoken
from services.config.ui.settings_form import (
    Parts,
    Unreadable,
    field_ids,
    form_name,
    options_of,
    parts_of,
    read_parts,
    shown_parts,
    units_of,
)


@dataclass(frozen=True, slots=True)
class Option:
    """Something that can be chosen. `offered`: False when it is chosen and the declaration has it no more."""

    value: str
    label: str
    chosen: bool
    offered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingField:
    """A setting with what stands in its controls. `faults`: part → reason; `default`: in words, or empty."""

    setting: Setting
    id: str
    help: str
    parts: Mapping[str, Sequence[str]]
    options: tuple[Option, ...]
    units: tuple[str, ...]
    default: str
    is_default: bool
    faults: Mapping[str, str]

    @property
    def fault(self) -> str:
        """Why it is wrong, in one sentence."""
        return next(iter(self.faults.values()), "")

    @property
    def can_be_empty(self) -> bool:
        """Whether no value is a value."""
        return not self.setting.required and self.setting.default is None

    def name(self, part: str) -> str:
        """The form name of a part."""
        return form_name(self.setting, part)

    def text(self, part: str) -> str:
        """What stands in a part of one text."""
        return next(iter(self.parts.get(part, ())), "")


@dataclass(frozen=True, slots=True)
class SentencePiece:
    """A piece of the sentence: text or a field."""

    text: str
    field: SettingField | None


@dataclass(frozen=True, slots=True)
class SettingFields:
    """All fields of a template: the sentence, and the rest by section."""

    sentence: tuple[SentencePiece, ...]
    sections: Mapping[str, tuple[SettingField, ...]]

    @property
    def spoken(self) -> tuple[SettingField, ...]:
        """The fields within the sentence."""
        return tuple(piece.field for piece in self.sentence if piece.field is not None)


def fields_of(
    template: Template,
    typed: Mapping[str, Parts],
    faults: Mapping[str, Mapping[str, str]],
    domains: Sequence[str],
    zone: str,
) -> SettingFields:
    """The fields of what is typed. `faults`: setting → part → reason; `zone`: offered for quiet hours."""
    ids = field_ids(template)
    made = {
        setting.name: _field(setting, ids[setting.name], typed, faults.get(setting.name, {}), domains, zone)
        for setting in template.settings
    }
    sentence = tuple(
        SentencePiece(piece.text, None if piece.setting is None else made[piece.setting.name])
        for piece in pieces_of(template)
    )
    sections = {name: tuple(made[each.name] for each in found) for name, found in sections_of(template).items()}
    return SettingFields(sentence, sections)


def _field(
    setting: Setting,
    id: str,
    typed: Mapping[str, Parts],
    faults: Mapping[str, str],
    domains: Sequence[str],
    zone: str,
) -> SettingField:
    parts = dict(typed.get(setting.name) or shown_parts(setting, None))
    if setting.type == "quiet_hours" and not any(map(any, parts.values())):
        parts["zone"] = [zone]
    return SettingField(
        setting=setting,
        id=id,
        help=help_of(setting),
        parts=parts,
        options=_options(setting, parts, domains),
        units=units_of(setting) if setting.type == "duration" else (),
        default=spoken(setting, setting.default) if setting.default is not None else "",
        is_default=_reads(setting, parts) == setting.default,
        faults={part: reason for part, reason in faults.items() if part in parts_of(setting)},
    )


def _reads(setting: Setting, parts: Parts) -> Any:
    try:
        return read_parts(setting, parts)
    except Unreadable:
        return ...


def _options(setting: Setting, parts: Parts, domains: Sequence[str]) -> tuple[Option, ...]:
    if setting.type not in ("choice", "choices", "sites"):
        return ()
    chosen = parts.get("value", ())
    return tuple(
        Option(value, value if setting.type == "sites" else choice_label(setting, value), value in chosen, offered)
        for value, offered in options_of(setting, chosen, domains)
    )
