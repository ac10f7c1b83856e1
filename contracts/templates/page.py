"""The page about all templates, written from their declarations: what each signal does, and every setting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from contracts.signals import CATALOGUE
from contracts.templates.declaration import Setting, Template
from contracts.templates.loading import shared_settings
from contracts.times import format_duration, parse_duration

_APPLIES = {
    "timing": "moves the due time, also of waits that are pending",
    "opening": "judged when a wait opens",
    "raise": "judged at the raise",
}
_ONCE = {
    None: "",
    "process": ", once for each {process}",
    "order": ", once for each orderId; without one, once until {reopens} opens the {process} again",
}


def templates_page(templates: Sequence[Template]) -> str:
    """Markdown: all templates in one table, the settings that they share, and a section for each."""
    common = _common(templates)
    own = [_template(template, common) for template in templates]
    return "\n".join(
        [
            "# Templates",
            "",
            "<!-- Written by `./moments contracts --write` from contracts/templates/*.toml. -->",
            "",
            "A template is a kind of moment. Its type is the routing key of the moments, `moment.<type>`.",
            "",
            *_table(
                ("type", "opens · slides", "ends (✓ completes)", "settings beside the common ones"), _rows(templates)
            ),
            "",
            "An inactivity template raises when its duration has passed since the last signal that opened or slid;",
            "an instant one when its delay has passed since the signal. A completing signal ends a wait and, after a",
            "raise, publishes `moment.<type>.recovered`. `./moments templates --json` has all of this for machines.",
            "",
            "## Common settings",
            "",
            *_table(
                ("setting", "type", "default", "bounds", "for", "about"), (_common_row(s, templates) for s in common)
            ),
            "",
            *(line for section in own for line in section),
        ]
    )


def _rows(templates: Iterable[Template]) -> Iterable[tuple[str, ...]]:
    for template in templates:
        yield f"`{template.type}`", _begins(template), _ends(template) or "–", _own_settings(template)


def _begins(template: Template) -> str:
    opens = _names(template.opens)
    if template.rule == "instant":
        once = _ONCE[template.once_per].format(process=template.process, reopens=" or ".join(_each(template.reopens)))
        return f"instant on {opens}{once}"
    slides = f" · {_names(template.slides)}" if template.slides else ""
    return f"{opens}{slides}" + ("; while items remain" if template.needs_content else "")


def _ends(template: Template) -> str:
    ends = [*(f"{name} ✓" for name in _each(template.completes)), *_each(template.ends)]
    if template.needs_content:
        ends.append("a change that empties it")
    again = _spoken(template.revisit)
    visit = f"; then for {again} after each signal the next only changes content" if template.revisit else ""
    return ", ".join(ends) + visit


def _own_settings(template: Template) -> str:
    """Those that the template declares itself, and its duration or delay."""
    shared = shared_settings()
    special = [s for s in template.settings if s.name in ("duration", "delay") or s.name not in shared]
    return "; ".join(f"{s.label.lower()} {_value(s, s.default)}" for s in special)


def _template(template: Template, common: Sequence[Setting]) -> list[str]:
    shared = {setting.name: setting for setting in common}
    changed = [setting for setting in template.settings if setting != shared.get(setting.name)]
    return [
        f"## {template.title}: `{template.type}`",
        "",
        f"{template.goal} {template.description}",
        "",
        template.sentence.replace("{", "*").replace("}", "*"),
        "",
        *_table(("signal", "effect"), ((f"`{name}`", _effect(template, name)) for name in _all_signals(template))),
        "",
        *_table(("setting", "type", "default", "bounds", "about"), (_setting_row(setting) for setting in changed)),
        "",
        "Also: " + ", ".join(f"`{s.name}`" for s in template.settings if s not in changed) + ".",
        "",
    ]


def _all_signals(template: Template) -> list[str]:
    return [name for name in CATALOGUE if name in {*template.signals, *template.reopens}]


def _effect(template: Template, name: str) -> str:
    effect = template.effect(name)
    if template.rule == "instant":
        opens = "opens a wait that raises when the delay is over; while it is pending, changes its content"
    else:
        opens = "opens a wait; slides a pending one"
    words = {
        "opens": opens,
        "slides": "slides a pending wait; opens one when it is seen first",
        "ends": "ends the wait",
        "completes": "ends the wait as completed; after a raise it is recovered",
        None: "lets a next one raise",
    }[effect]
    if template.needs_content and effect in ("opens", "slides") and not CATALOGUE[name].needs_item:
        words += "; ends it when nothing is left"
    return words


def _setting_row(setting: Setting) -> tuple[str, ...]:
    about = f"{setting.help} ({_APPLIES[setting.applies]})"
    return f"`{setting.name}`", setting.type, _value(setting, setting.default), _bounds(setting), about


def _common_row(setting: Setting, templates: Sequence[Template]) -> tuple[str, ...]:
    name, type_, default, bounds, about = _setting_row(setting)
    having = [template.type for template in templates if template.setting(setting.name) is not None]
    whose = "all" if len(having) == len(templates) else ", ".join(f"`{type_}`" for type_ in having)
    return name, type_, default, bounds, whose, about


def _common(templates: Sequence[Template]) -> list[Setting]:
    """The settings that more than one template has and that are the same wherever they stand."""
    found: dict[str, list[Setting]] = {}
    for template in templates:
        for setting in template.settings:
            found.setdefault(setting.name, []).append(setting)
    return [each[0] for each in found.values() if len(each) > 1 and all(setting == each[0] for setting in each)]


def _value(setting: Setting, value: Any) -> str:
    if value is None:
        return "none"
    if setting.type == "duration":
        return _spoken(parse_duration(value))
    return ", ".join(value) if isinstance(value, list | tuple) else str(value)


def _bounds(setting: Setting) -> str:
    if setting.choices:
        return "of " + ", ".join(setting.choices)
    given = [(word, bound) for word, bound in (("from", setting.minimum), ("to", setting.maximum)) if bound is not None]
    return " ".join(f"{word} {_value(setting, bound)}" for word, bound in given) or "–"


def _spoken(length: int) -> str:
    """`2 h`, `30 min`, `2 d`, `0`; else as in ISO 8601."""
    seconds = length // 1_000_000
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        if seconds and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return "0" if seconds == 0 else format_duration(length)


def _names(signals: Iterable[str]) -> str:
    return " ".join(_each(signals))


def _each(signals: Iterable[str]) -> list[str]:
    return [f"`{name}`" for name in signals]


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *rows)]
