"""Why a moment cannot become what was wanted, in words of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.moments import STATUSES, TRANSITIONS, Status
from contracts.templates import templates
from services.config.errors import CannotRun, StatusRefused
from services.config.resources import Moment
from services.config.ui.actors import actor_name
from services.config.ui.texts import t
from shared.conditions import VersionConflict
from shared.problems import Fault, ServiceError

BECAME: dict[Status, str] = {
    "draft": "moment_draft",
    "running": "moment_running",
    "stopped": "moment_stopped",
    "archived": "moment_archived",
}
"""Status → what is told once it is reached."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was refused. `moment`: as it is now; `reasons`: sentences; `wanted`: may be asked for again as it is."""

    title: str
    moment: Moment
    reasons: tuple[str, ...]
    wanted: Status | None = None
    settings: bool = False


def refusal_of(error: ServiceError, moment: Moment, wanted: Status) -> Refusal:
    """A refused change of a status, told."""
    title = t(f"overview.refused.{wanted}", name=moment.name)
    if isinstance(error, CannotRun):
        return Refusal(title, moment, _cannot_run(error, moment), settings=True)
    if isinstance(error, VersionConflict):
        again = wanted if wanted in TRANSITIONS[moment.status] else None
        return Refusal(title, moment, (changed_by_another(moment),), again)
    if isinstance(error, StatusRefused):
        return Refusal(title, moment, (not_from(moment),))
    return Refusal(title, moment, (error.detail,))


def not_from(moment: Moment) -> str:
    """Which statuses a moment can have next."""
    allowed = [t(f"frame.status.{status}") for status in TRANSITIONS[moment.status]]
    return t("overview.refused.not_from", status=t(f"frame.status.{moment.status}"), allowed=_or(allowed))


def changed_by_another(moment: Moment) -> str:
    """Who was quicker, and what the moment is now."""
    status = t(f"frame.status.{moment.status}")
    return t("overview.refused.changed", who=actor_name(moment.updated_by), status=status)


def known_status(text: str) -> Status | None:
    """A status of this name."""
    return next((status for status in STATUSES if status == text), None)


def _cannot_run(error: CannotRun, moment: Moment) -> tuple[str, ...]:
    if not error.faults:
        return (t("overview.refused.no_configuration"),)
    return tuple(_fault_words(fault, moment) for fault in error.faults)


def _fault_words(fault: Fault, moment: Moment) -> str:
    """`Sites: shop.example.com is no domain of the audience configuration.`"""
    template = templates().get(moment.type)
    if template is None:
        return t("overview.refused.no_template", type=moment.type)
    name = fault.pointer.removeprefix("/settings/").partition("/")[0]
    setting = template.setting(name)
    return f"{setting.label if setting is not None else name}: {fault.reason}"


def _or(words: list[str]) -> str:
    return t("overview.refused.or").join(words)
