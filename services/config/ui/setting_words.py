"""Settings in words: their values, their choices, and the sentence of a template with its settings in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Any

from contracts.templates import Setting, Template
from contracts.times import parse_duration
from services.config.ui.texts import known, t
from services.config.ui.words import duration, money, number

_IN_SENTENCES = frozenset(("duration", "integer", "choice", "choices", "money"))
_OFTEN = ("repeat", "coolDown")


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a sentence: text, or a setting."""

    text: str = ""
    setting: Setting | None = None


def pieces_of(template: Template) -> tuple[Piece, ...]:
    """The sentence of a template, cut at the settings that it names. One that is named again is a word there."""
    found: list[Piece] = []
    seen: set[str] = set()
    for text, name, _, _ in Formatter().parse(template.sentence):
        if text:
            found.append(Piece(text))
        setting = template.setting(name) if name else None
        if setting is None:
            continue
        if setting.type in _IN_SENTENCES and setting.name not in seen:
            found.append(Piece(setting=setting))
        else:
            found.append(Piece(setting.label.lower()))
        seen.add(setting.name)
    return tuple(found)


def sections_of(template: Template) -> dict[str, tuple[Setting, ...]]:
    """Section of the panel → the settings in it, without those in the sentence."""
    spoken = {piece.setting.name for piece in pieces_of(template) if piece.setting is not None}
    found: dict[str, list[Setting]] = {"when": [], "only": [], "often": [], "quiet": []}
    for setting in template.settings:
        if setting.name not in spoken:
            found[_section_of(setting)].append(setting)
    return {name: tuple(settings) for name, settings in found.items()}


def _section_of(setting: Setting) -> str:
    if setting.type == "quiet_hours":
        return "quiet"
    if setting.name in _OFTEN:
        return "often"
    return "when" if setting.applies == "timing" else "only"


def sentence(template: Template, settings: Mapping[str, Any]) -> str:
    """The sentence with the values of settings in it."""
    return "".join(
        piece.text if piece.setting is None else spoken(piece.setting, settings.get(piece.setting.name))
        for piece in pieces_of(template)
    )


def spoken(setting: Setting, value: Any) -> str:
    """A value in words; what is no value of the setting's type is shown as it is."""
    if value is None:
        return t("properties.none")
    try:
        return _spoken(setting, value)
    except (ValueError, TypeError, KeyError):
        return str(value)


def _spoken(setting: Setting, value: Any) -> str:
    match setting.type:
        case "duration":
            return duration(value) if parse_duration(value) else t("frame.span.m", n=0)
        case "integer":
            return number(value)
        case "choice":
            return choice_label(setting, value)
        case "choices":
            return ", ".join(choice_label(setting, each) for each in value)
        case "money":
            return money(value["amount"], value["currency"])
        case "quiet_hours":
            return t("properties.quiet.words", start=value["from"], end=value["to"], zone=value["zone"])
    return ", ".join(map(str, value))


def choice_label(setting: Setting, value: str) -> str:
    """What a choice is called: by the catalogue, else made of its name."""
    key = f"properties.choice.{setting.name}.{value}"
    return t(key) if known(key) else value.replace("_", " ").capitalize()


def help_of(setting: Setting) -> str:
    """What a setting is about: by the catalogue where it says it better than the declaration."""
    key = f"properties.about.{setting.name}"
    return t(key) if known(key) else setting.help
