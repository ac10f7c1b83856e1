"""What the properties panel shows: fields or facts, what is missing, what others changed, the effect, the back-test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import current_app, request, url_for
from markupsafe import Markup

from contracts.moments import EDITABLE, TRANSITIONS
from contracts.templates import Template, templates
from services.config.access.viewer import viewer
from services.config.program import program
from services.config.resources import AudienceConfiguration, Listing, Moment
from services.config.ui.asked import asked_of
from services.config.ui.charts import bar
from services.config.ui.editing import Edit
from services.config.ui.effects import Effect
from services.config.ui.frame import done_words, now, zone
from services.config.ui.meanwhile import ABSENT, Difference
from services.config.ui.moment_form import NO_FAULTS, Faults, Filled, filled_from, wanted_by
from services.config.ui.quiet_strip import is_quiet, minute_of, quiet_strip
from services.config.ui.setting_fields import SettingField, SettingFields, fields_of
from services.config.ui.setting_words import sections_of, sentence, spoken
from services.config.ui.texts import known, t
from services.config.ui.trials import Trial
from services.config.ui.words import instant, local, number, zone_named
from shared.conditions import ANY_VERSION
from shared.http import NotFound
from shared.problems import ServiceError

_MOST_CONFIGURATIONS = 200


@dataclass(frozen=True, slots=True)
class Fact:
    """A setting in words, for those who only read."""

    label: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A difference in words. `mine`: what is typed now, where it differs; `by`: the actor of the audit log."""

    field: str
    label: str
    before: str
    theirs: str
    mine: str
    contested: bool
    by: str
    at: int


def panel_context(
    moment: Moment,
    edit: Edit | None = None,
    faults: Faults = NO_FAULTS,
    *,
    effect: Effect | None = None,
    trial: Trial | None = None,
    refusal: str = "",
    is_refused: bool = False,
    is_conflict: bool = False,
) -> dict[str, Any]:
    """What `properties/panel.html` shows of a moment, as it is saved or as an edit has it."""
    template = templates().get(moment.type)
    filled = edit.filled if edit is not None else filled_from(moment, template)
    may_edit = viewer().can("editor")
    configuration = _configuration(filled.configuration_id)
    fields = _fields(template, filled, faults, configuration)
    return {
        "moment": moment,
        "template": template,
        "filled": filled,
        "faults": faults,
        "plain_faults": faults.plain,
        "summary": _summary(faults, fields),
        "refused_because": refusal,
        "is_refused": is_refused,
        "is_conflict": is_conflict,
        "version": edit.version if edit is not None else moment.version,
        "base": edit.base if edit is not None else moment.version,
        "is_changed": edit is not None and _is_changed(filled, faults, moment, template),
        "may_edit": may_edit,
        "is_form": may_edit and (moment.status in EDITABLE or edit is not None),
        "fields": fields,
        "sentence": sentence(template, moment.settings) if template is not None else "",
        "facts_by": _facts(moment, template),
        "configuration": configuration,
        "choices": _configurations(configuration) if may_edit and not moment.has_run else (),
        "missing": _missing(moment, configuration) if may_edit else (),
        "allowed": TRANSITIONS[moment.status],
        "said": _said(edit) if edit is not None and edit.base < moment.version else (),
        "effect": effect,
        "strip": strip_of,
        **trial_context(trial),
        "effect_words": spoken_effect,
        "asked": asked_of(request.args),
        "audit_url": _url("audit_pages.audit", resource=moment.id),
        "journeys_url": _url("journey_pages.overview"),
        "done": "",
        "panel_done": done_words(),
    }


def _url(endpoint: str, **values: Any) -> str:
    """The address of a page, empty where this version has none."""
    return url_for(endpoint, **values) if endpoint in current_app.view_functions else ""


def trial_context(trial: Trial | None) -> dict[str, Any]:
    """What the templates of a back-test need."""
    return {"trial": trial, "bar": bar}


def _is_changed(filled: Filled, faults: Faults, moment: Moment, template: Template | None) -> bool:
    return bool(faults) or bool(wanted_by(filled, moment, template).changes)


def _fields(
    template: Template | None, filled: Filled, faults: Faults, configuration: AudienceConfiguration | None
) -> SettingFields | None:
    if template is None:
        return None
    domains = configuration.domains if configuration is not None else ()
    return fields_of(template, filled.settings, faults.settings, domains, zone().key)


def _summary(faults: Faults, fields: SettingFields | None) -> list[tuple[str, str]]:
    """What is wrong, each with the id of its control (empty: of none), in the order of the form."""
    found = [(name, reason) for name, reason in faults.plain.items()]
    if fields is not None:
        all_fields = [*fields.spoken, *(each for section in fields.sections.values() for each in section)]
        found += [
            (f"{field.id}-{part}", f"{field.setting.label}: {reason}")
            for field in all_fields
            for part, reason in field.faults.items()
        ]
    return [*found, *(("", reason) for reason in faults.others)]


def _facts(moment: Moment, template: Template | None) -> dict[str, list[Fact]]:
    """Section → its settings in words; without a template all of them as they are kept."""
    if template is None:
        return {"when": [Fact(name, str(value)) for name, value in moment.settings.items()]}
    return {
        section: [Fact(each.label, spoken(each, moment.settings.get(each.name))) for each in settings]
        for section, settings in sections_of(template).items()
    }


def _configuration(configuration_id: str) -> AudienceConfiguration | None:
    if not configuration_id:
        return None
    try:
        return program().configurations.get(configuration_id)
    except NotFound:
        return None


def _configurations(chosen: AudienceConfiguration | None) -> list[tuple[str, str]]:
    """Id and name of those that can be chosen, by name."""
    listing = Listing(page_size=_MOST_CONFIGURATIONS, sort="name")
    found = [(each.id, each.name) for each in program().configurations.page(listing).items]
    if chosen is not None and all(id != chosen.id for id, _ in found):
        found.append((chosen.id, chosen.name))
    return found


def _missing(moment: Moment, configuration: AudienceConfiguration | None) -> list[str]:
    """What has to be done before the moment can start, or before anything can happen once it runs."""
    if "running" not in TRANSITIONS[moment.status]:
        return []
    found: list[str] = []
    try:
        program().moments.foreseen(moment.id, {}, "running", ANY_VERSION)
    except ServiceError as error:
        found += [fault.reason for fault in error.faults] or [error.detail]
    if configuration is not None and not any(key.enabled for key in configuration.keys):
        found.append(t("properties.missing.no_key", name=configuration.name))
    return found


def _said(edit: Edit) -> list[Said]:
    template = edit.template
    both = edit.merged()
    return [_in_words(each, edit.filled, template) for each in both.differences]


def _in_words(difference: Difference, filled: Filled, template: Template | None) -> Said:
    field = difference.field
    setting = template.setting(field) if template is not None and difference.setting else None
    mine = _mine(field, filled) if setting is None else _typed(filled, field)

    def words(value: Any) -> str:
        if value is ABSENT:
            return t("frame.unknown")
        if setting is not None:
            return spoken(setting, value)
        if field == "status":
            return t(f"frame.status.{value}")
        if field == "audienceConfigurationId":
            found = _configuration(value or "")
            return found.name if found is not None else t("properties.none")
        return str(value) or t("properties.none")

    return Said(
        field=field,
        label=setting.label if setting is not None else t(f"properties.field.{field}"),
        before=words(difference.before),
        theirs=words(difference.theirs),
        mine=mine if difference.contested else "",
        contested=difference.contested,
        by=difference.actor,
        at=difference.at,
    )


def _mine(field: str, filled: Filled) -> str:
    if field == "audienceConfigurationId":
        found = _configuration(filled.configuration_id)
        return found.name if found is not None else t("properties.none")
    return {"name": filled.name, "description": filled.description}.get(field, "")


def _typed(filled: Filled, name: str) -> str:
    """A setting as it is typed, in one line."""
    texts = [text for part in filled.settings.get(name, {}).values() for text in part if text]
    words = [t(f"frame.unit.{text}") if known(f"frame.unit.{text}") else text for text in texts]
    return " ".join(words).replace("\n", ", ") or t("properties.none")


def strip_of(field: SettingField) -> tuple[Markup, str]:
    """The day of quiet hours as they are typed, and what is so there now."""
    typed_zone = field.text("zone")
    there = zone_named(typed_zone)
    clock = local(now(), there)
    minute = clock.hour * 60 + clock.minute
    start, end = minute_of(field.text("from")), minute_of(field.text("to"))
    told = t("properties.quiet.now", time=f"{clock:%H:%M}", zone=there.key)
    if start is not None and end is not None and start != end:
        told = (
            f"{told} {t('properties.quiet.now_quiet' if is_quiet(start, end, minute) else 'properties.quiet.now_loud')}"
        )
    return quiet_strip(start, end, minute), told


def spoken_effect(effect: Effect) -> list[str]:
    """An effect in sentences, the most important first."""
    if not effect.is_known:
        return []
    about = "" if effect.exact else t("properties.effect.about")
    waiting = t("properties.effect.waiting", n=effect.pending, count=about + number(effect.pending))
    if not effect.moved and not effect.at_once:
        return [waiting, t("properties.effect.nothing")] if effect.pending else [waiting]
    parts = [
        t(f"properties.effect.{name}", count=about + number(count))
        for name, count in (
            ("at_once", effect.at_once),
            ("earlier", effect.others_earlier),
            ("later", effect.later),
            ("same", max(0, effect.pending - effect.moved)),
        )
        if count or name in ("at_once", "later")
    ]
    found = [waiting, f"{', '.join(parts)}."]
    if effect.spread_until:
        until = instant(effect.spread_until, now(), zone()).striptags()
        found.append(t("properties.effect.spread", until=until))
    return found
