"""Reading template declarations, with an exact complaint about a wrong one."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any, get_args

from contracts.signals import CATALOGUE
from contracts.templates.declaration import OncePer, Purpose, Rule, Setting, SettingType, Template
from contracts.templates.validation import Fault, check_value
from contracts.times import parse_duration

FOLDER = Path(__file__).parent
_SHARED = "settings.toml"
_TEXTS = {"type", "title", "icon", "purpose", "goal", "description", "sentence", "rule", "process"}
_LISTS = ("opens", "slides", "ends", "completes", "reopens")
_KEYS = {*_TEXTS, *_LISTS, "needs_content", "revisit", "once_per", "settings"}
_SELECTORS = ("rules", "processes")
_TYPE = re.compile(r"[a-z][a-z0-9_]{0,59}")
_own: list[Path] = []


class InvalidTemplate(ValueError):
    """A template declaration is wrong."""


def use_templates(folder: Path | None) -> None:
    """Have `templates()` give those of the product and of an operator's folder, if there is one.

    For the start of a program. Raises InvalidTemplate for a wrong declaration and for a type of the product.
    """
    _own[:] = [] if folder is None else [folder]
    _known.cache_clear()
    try:
        _known()
    except InvalidTemplate:
        _own.clear()
        raise


def templates() -> dict[str, Template]:
    """The templates of this process by type, read once."""
    return _known()


def product_templates() -> dict[str, Template]:
    """Those that the product ships, by type."""
    return load_templates(FOLDER)


@cache
def _known() -> dict[str, Template]:
    known = product_templates()
    for folder in _own:
        for type_, template in load_templates(folder).items():
            if type_ in known:
                raise InvalidTemplate(f"{folder / type_}.toml: {type_} is a template of the product")
            known[type_] = template
    return known


def load_templates(folder: Path) -> dict[str, Template]:
    """Every template declared in a folder (`*.toml` but `settings.toml`), by type."""
    found = (load_template(path) for path in sorted(folder.glob("*.toml")) if path.name != _SHARED)
    return {template.type: template for template in found}


def load_template(path: Path) -> Template:
    """The template declared in a file, which is named by its type."""
    try:
        template = template_from(tomllib.loads(path.read_text(encoding="utf-8")))
    except (ValueError, OSError) as error:
        raise InvalidTemplate(f"{path}: {error}") from error
    if path.stem != template.type:
        raise InvalidTemplate(f"{path}: it declares the type {template.type!r}; file and type must agree")
    return template


def template_from(document: dict[str, Any]) -> Template:
    """The template of a parsed declaration; raises InvalidTemplate."""
    _check_keys(document)
    given = dict(document)
    settings = _settings(given.pop("settings", {}), given["rule"], given["process"])
    for name in _LISTS:
        given[name] = tuple(given.get(name, ()))
    if "revisit" in given:
        given["revisit"] = parse_duration(given["revisit"])
    template = Template(settings=settings, **given)
    _check(template)
    return template


def _check_keys(document: dict[str, Any]) -> None:
    unknown = document.keys() - _KEYS
    if unknown:
        raise InvalidTemplate(f"unknown keys {sorted(unknown)}")
    missing = (_TEXTS | {"opens"}) - document.keys()
    if missing:
        raise InvalidTemplate(f"these keys are missing: {sorted(missing)}")
    for name in _TEXTS:
        if not isinstance(document[name], str) or not document[name].strip():
            raise InvalidTemplate(f"{name} must be a text")
    for name in _LISTS:
        listed = document.get(name, [])
        if not isinstance(listed, list) or not all(isinstance(entry, str) for entry in listed):
            raise InvalidTemplate(f"{name} must be a list of signals")
    if document["rule"] not in get_args(Rule):
        raise InvalidTemplate(f"unknown rule {document['rule']!r}; there are {', '.join(get_args(Rule))}")


def _check(template: Template) -> None:
    if not _TYPE.fullmatch(template.type):
        raise InvalidTemplate(f"{template.type!r} is no type: it has small letters, digits and _, as cart_abandon")
    if template.purpose not in get_args(Purpose):
        raise InvalidTemplate(f"{template.type}: unknown purpose {template.purpose!r}")
    _check_sentence(template)
    _check_signals(template)
    if template.once_per not in (None, *get_args(OncePer)):
        raise InvalidTemplate(f"{template.type}: unknown once_per {template.once_per!r}")
    if template.rule != "instant" and template.once_per is not None:
        raise InvalidTemplate(f"{template.type}: once_per is for instant moments")


def _check_sentence(template: Template) -> None:
    try:
        named = {name for _, name, _, _ in Formatter().parse(template.sentence) if name is not None}
    except ValueError as error:
        raise InvalidTemplate(f"{template.type}: the sentence cannot be read: {error}") from error
    unknown = named - {setting.name for setting in template.settings}
    if unknown:
        raise InvalidTemplate(f"{template.type}: the sentence names settings that it has not: {sorted(unknown)}")


def _check_signals(template: Template) -> None:
    if not template.opens:
        raise InvalidTemplate(f"{template.type}: no signal opens it")
    for name in template.signals + template.reopens:
        if name not in CATALOGUE:
            raise InvalidTemplate(f"{template.type}: unknown signal {name!r}")
        if template.process not in CATALOGUE[name].processes:
            raise InvalidTemplate(f"{template.type}: {name} is no signal of the process {template.process!r}")
    if len(set(template.signals)) != len(template.signals):
        raise InvalidTemplate(f"{template.type}: a signal has two effects")


@cache
def shared_settings() -> dict[str, dict[str, Any]]:
    """The fields of the settings that templates share, by name."""
    return tomllib.loads((FOLDER / _SHARED).read_text(encoding="utf-8"))


def _settings(own: dict[str, dict[str, Any]], rule: str, process: str) -> tuple[Setting, ...]:
    declared = {name: dict(fields) for name, fields in shared_settings().items() if _applies_to(fields, rule, process)}
    for name, fields in own.items():
        declared[name] = {"applies": "raise", "required": True, **declared.get(name, {}), **fields}
    return tuple(_setting(name, fields) for name, fields in declared.items())


def _applies_to(fields: dict[str, Any], rule: str, process: str) -> bool:
    return rule in fields.get("rules", [rule]) and process in fields.get("processes", [process])


def _setting(name: str, fields: dict[str, Any]) -> Setting:
    plain = {key: value for key, value in fields.items() if key not in _SELECTORS}
    plain["choices"] = tuple(plain.get("choices", ()))
    try:
        setting = Setting(name=name, **plain)
    except TypeError as error:
        raise InvalidTemplate(f"setting {name}: {error}") from error
    if setting.type not in get_args(SettingType):
        raise InvalidTemplate(f"setting {name}: unknown type {setting.type!r}")
    if setting.default is not None:
        faults: list[Fault] = []
        check_value(setting, setting.default, faults)
        if faults:
            raise InvalidTemplate(f"setting {name}: its default is wrong: {faults[0].reason}")
    elif setting.required:
        raise InvalidTemplate(f"setting {name}: it is required and has no default")
    return setting
