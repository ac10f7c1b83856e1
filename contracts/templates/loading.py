"""Reading template declarations, with an exact complaint about a wrong one."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any, get_args

from contracts.signals import CATALOGUE
from contracts.templates.declaration import OncePer, Rule, Setting, SettingType, Template
from contracts.templates.validation import Fault, check_value
from contracts.times import parse_duration

FOLDER = Path(__file__).parent
_SHARED = "settings.toml"
_KEYS = {
    *("type", "title", "icon", "purpose", "goal", "description", "sentence", "rule", "process", "opens", "slides"),
    *("ends", "completes", "reopens", "needs_content", "revisit", "once_per", "settings"),
}
_SELECTORS = ("rules", "processes")


class InvalidTemplate(ValueError):
    """A template declaration is wrong."""


@cache
def templates() -> dict[str, Template]:
    """The templates of the product by type, read once."""
    return load_templates(FOLDER)


def load_templates(folder: Path) -> dict[str, Template]:
    """Every template declared in a folder (`*.toml` but `settings.toml`), by type."""
    found = (load_template(path) for path in sorted(folder.glob("*.toml")) if path.name != _SHARED)
    return {template.type: template for template in found}


def load_template(path: Path) -> Template:
    """The template declared in a file, which is named by its type."""
    template = template_from(tomllib.loads(path.read_text(encoding="utf-8")))
    if path.stem != template.type:
        raise InvalidTemplate(f"{path.name} declares the type {template.type!r}; file and type must agree")
    return template


def template_from(document: dict[str, Any]) -> Template:
    """The template of a parsed declaration; raises InvalidTemplate."""
    unknown = set(document) - _KEYS
    if unknown:
        raise InvalidTemplate(f"unknown keys {sorted(unknown)}")
    given = dict(document)
    settings = _settings(given.pop("settings", {}), given.get("rule", ""), given.get("process", ""))
    for name in ("opens", "slides", "ends", "completes", "reopens"):
        given[name] = tuple(given.get(name, ()))
    if "revisit" in given:
        given["revisit"] = parse_duration(given["revisit"])
    try:
        template = Template(settings=settings, **given)
    except TypeError as error:
        raise InvalidTemplate(str(error)) from error
    _check(template)
    return template


def _check(template: Template) -> None:
    if template.rule not in get_args(Rule):
        raise InvalidTemplate(f"{template.type}: unknown rule {template.rule!r}")
    if not template.opens:
        raise InvalidTemplate(f"{template.type}: no signal opens it")
    for name in template.signals + template.reopens:
        if name not in CATALOGUE:
            raise InvalidTemplate(f"{template.type}: unknown signal {name!r}")
        if template.process not in CATALOGUE[name].processes:
            raise InvalidTemplate(f"{template.type}: {name} is no signal of the process {template.process!r}")
    if len(set(template.signals)) != len(template.signals):
        raise InvalidTemplate(f"{template.type}: a signal has two effects")
    if template.once_per not in (None, *get_args(OncePer)):
        raise InvalidTemplate(f"{template.type}: unknown once_per {template.once_per!r}")
    if template.rule != "instant" and template.once_per is not None:
        raise InvalidTemplate(f"{template.type}: once_per is for instant moments")


@cache
def _shared() -> dict[str, dict[str, Any]]:
    return tomllib.loads((FOLDER / _SHARED).read_text(encoding="utf-8"))


def _settings(own: dict[str, dict[str, Any]], rule: str, process: str) -> tuple[Setting, ...]:
    declared = {name: dict(fields) for name, fields in _shared().items() if _applies_to(fields, rule, process)}
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
