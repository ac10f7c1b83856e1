"""The routing keys that a journey can listen to, as choices with words; patterns as people type them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from contracts.templates import Template, templates
from services.config.ui.texts import t

MANY = ("moment.*", "moment.*.recovered", "signal.#", "audience.profile")
"""Patterns that take everything of a sort."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A pattern, and what it takes in words."""

    pattern: str
    label: str


def raised_key(type: str) -> str:
    """The routing key of a raise."""
    return f"moment.{type}"


def recovered_key(type: str) -> str:
    """The routing key of a recovery."""
    return f"moment.{type}.recovered"


def choices() -> tuple[list[Choice], list[Choice]]:
    """Patterns that take everything of a sort, and those of each type of moment."""
    sorts = ("every_raise", "every_recovery", "every_signal", "every_profile")
    everything = [Choice(pattern, t(f"journeys.patterns.{sort}")) for pattern, sort in zip(MANY, sorts, strict=True)]
    return everything, [choice for template in _in_order() for choice in _of_type(template)]


def split(patterns: Iterable[str]) -> tuple[set[str], list[str]]:
    """The patterns that are among the choices, and the others."""
    offered = {choice.pattern for group in choices() for choice in group}
    found = list(patterns)
    return {each for each in found if each in offered}, [each for each in found if each not in offered]


def typed(chosen: Sequence[str], more: str) -> list[str]:
    """The patterns of a form: what was ticked, then what was typed between spaces or commas; each once."""
    return list(dict.fromkeys([*chosen, *more.replace(",", " ").split()]))


def _of_type(template: Template) -> list[Choice]:
    raised = Choice(raised_key(template.type), t("journeys.patterns.raised", type=template.title))
    if not template.completes:
        return [raised]
    return [raised, Choice(recovered_key(template.type), t("journeys.patterns.recovered", type=template.title))]


def _in_order() -> list[Template]:
    return sorted(templates().values(), key=lambda template: template.title)
