"""`moments templates` and `moments signals`: what the running code knows."""

from __future__ import annotations

import json
from typing import Any

import click

from contracts.signals import KINDS, SignalKind
from contracts.templates import Setting, Template
from contracts.templates import templates as known_templates
from contracts.times import format_duration


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array with every declared detail.")
def templates(as_json: bool) -> None:
    """List the kinds of moment and their settings."""
    known = known_templates().values()
    if as_json:
        click.echo(json.dumps([_template(template) for template in known], ensure_ascii=False, indent=2))
        return
    for template in known:
        click.echo(f"{template.type}  {template.title}: {template.description}")
        for setting in template.settings:
            default = "" if setting.default is None else f" [{setting.default}]"
            click.echo(f"    {setting.name:<14} {setting.help}{default}")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array with every declared detail.")
def signals(as_json: bool) -> None:
    """List the kinds of signal."""
    if as_json:
        click.echo(json.dumps([_kind(kind) for kind in KINDS], ensure_ascii=False, indent=2))
        return
    for kind in KINDS:
        click.echo(f"{kind.name:<22} {kind.summary}")


def _template(template: Template) -> dict[str, Any]:
    return {
        "type": template.type,
        "title": template.title,
        "icon": template.icon,
        "purpose": template.purpose,
        "goal": template.goal,
        "description": template.description,
        "sentence": template.sentence,
        "rule": template.rule,
        "process": template.process,
        "opens": template.opens,
        "slides": template.slides,
        "ends": template.ends,
        "completes": template.completes,
        "needsContent": template.needs_content,
        "revisit": format_duration(template.revisit),
        "oncePer": template.once_per,
        "settings": [_setting(setting) for setting in template.settings],
    }


def _setting(setting: Setting) -> dict[str, Any]:
    return {
        "name": setting.name,
        "type": setting.type,
        "label": setting.label,
        "help": setting.help,
        "applies": setting.applies,
        "required": setting.required,
        "default": setting.default,
        "minimum": setting.minimum,
        "maximum": setting.maximum,
        "choices": setting.choices,
    }


def _kind(kind: SignalKind) -> dict[str, Any]:
    return {
        "name": kind.name,
        "title": kind.title,
        "summary": kind.summary,
        "path": f"/v1/signals/{kind.name}",
        "routingKey": kind.routing_key,
        "process": kind.process,
        "idField": kind.id_field,
        "idRequired": kind.id_required,
        "touchpoints": kind.touchpoints,
        "fields": kind.fields,
        "required": kind.required,
        "items": kind.items,
        "needsItem": kind.needs_item,
        "rank": kind.rank,
    }
