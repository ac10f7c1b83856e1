"""A running moment as the engine reads it: its template, and its settings through time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contracts.configurations import domain_allows
from contracts.moments import MomentState
from contracts.signals import Signal
from contracts.templates import Template
from contracts.times import parse_duration
from services.trigger.engine.reasons import OTHER_KIND, OTHER_SITE, SignalCode
from services.trigger.engine.timing import QuietHours, Timing


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """The settings in force from `since` (µs). `kinds`: the groups of signals that may open; None: all."""

    number: int
    since: int
    timing: Timing
    sites: tuple[str, ...]
    kinds: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A moment in its present run. `versions` oldest first; the last one is in force now."""

    id: str
    name: str
    template: Template
    configuration: str
    running: bool
    run: int
    versions: tuple[Version, ...]
    settings: Mapping[str, Any]

    @property
    def timing(self) -> Timing:
        """The timing in force now."""
        return self.versions[-1].timing

    @property
    def depends_on_past(self) -> bool:
        """Whether a raise may forbid a later one: by the cool-down, `once`, or one for each order."""
        once = self.settings.get("repeat") == "once" or self.template.once_per is not None
        return once or bool(self.settings.get("coolDown"))

    def version_at(self, received: int) -> Version:
        """The settings in force at a signal's `receivedAt` (DOMAIN §5)."""
        versions = self.versions
        index = len(versions) - 1
        while index > 0 and versions[index].since > received:
            index -= 1
        return versions[index]

    def objection(self, signal: Signal) -> SignalCode | None:
        """Why the signal may not open: its site or its kind (DOMAIN §4; judged at opening)."""
        version = self.version_at(signal.received_at)
        if version.kinds is not None and signal.kind.group not in version.kinds:
            return OTHER_KIND
        sites, site = version.sites, signal.site
        return None if not sites or (site is not None and domain_allows(sites, site)) else OTHER_SITE


def timing_of(template: Template, settings: Mapping[str, Any]) -> Timing:
    """The timing settings, from their form in the API."""
    quiet = settings.get("quietHours")
    maximum = settings.get("maximumWait")
    return Timing(
        instant=template.rule == "instant",
        length=parse_duration(settings["delay" if template.rule == "instant" else "duration"]),
        maximum=parse_duration(maximum) if maximum else None,
        quiet=QuietHours.parse(quiet) if quiet else None,
    )


def compile_moment(state: MomentState, template: Template) -> Moment:
    """The engine's moment of a published state; the state must have a history and a configuration."""
    versions = tuple(
        Version(
            number=version.version,
            since=version.since,
            timing=timing_of(template, version.settings),
            sites=tuple(version.settings.get("sites") or ()),
            kinds=frozenset(version.settings["kinds"]) if version.settings.get("kinds") else None,
        )
        for version in state.history
    )
    return Moment(
        id=state.id,
        name=state.name,
        template=template,
        configuration=state.configuration_id or "",
        running=state.status == "running" and not state.deleted,
        run=state.running_since or 0,
        versions=versions,
        settings=state.settings,
    )
