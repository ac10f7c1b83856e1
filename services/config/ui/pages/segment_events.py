"""What events of Segment clients become for an audience configuration: one form with a row for each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import marshmallow as ma
from flask import Blueprint, redirect, request
from werkzeug.wrappers import Response

from contracts.configurations import SegmentEvent
from contracts.signals import KINDS
from services.config.access import needs
from services.config.program import program
from services.config.resources import AudienceConfiguration
from services.config.schemas import ConfigurationChangeSchema
from services.config.ui.frame import done_at, page
from services.config.ui.texts import t
from shared.conditions import Expected, VersionConflict
from shared.problems import faults_of

blueprint = Blueprint("segment_event_pages", __name__, template_folder="../templates")

_PATH = "/configurations/<uuid:configuration_id>/segment"
_SPARE = 3
"""Empty rows for new events; all but the first are folded away."""


@dataclass(frozen=True, slots=True)
class Row:
    """What is typed for one event. `signal`: empty for none; `fields`: `cartId = basket.id`, one on a line."""

    event: str = ""
    signal: str = ""
    items: str = ""
    fields: str = ""

    @classmethod
    def of(cls, event: SegmentEvent) -> Row:
        """The row of an event."""
        lines = "\n".join(f"{name} = {path}" for name, path in event.fields.items())
        return cls(event.event, event.signal or "", event.items, lines)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is typed in it; a signal may be chosen."""
        return not (self.event.strip() or self.items.strip() or self.fields.strip())

    def as_document(self) -> dict[str, Any]:
        """The event as REST takes it."""
        pairs = (line.partition("=") for line in self.fields.splitlines() if line.strip())
        fields = {name.strip(): path.strip() for name, _, path in pairs}
        return {"event": self.event, "signal": self.signal or None, "items": self.items, "fields": fields}


@blueprint.get(_PATH)
@needs("editor")
def show(configuration_id: UUID) -> tuple[str, int]:
    """The events of a configuration."""
    configuration = program().configurations.get(str(configuration_id))
    return _page(configuration, [Row.of(event) for event in configuration.segment_events])


@blueprint.post(_PATH)
@needs("editor")
def save(configuration_id: UUID) -> Response | tuple[str, int]:
    """Save the rows; what others changed meanwhile is not overwritten before it was said."""
    configuration = program().configurations.get(str(configuration_id))
    rows = _typed()
    try:
        fields = ConfigurationChangeSchema().load({"segmentEvents": [row.as_document() for row in rows]})
    except ma.ValidationError as error:
        return _page(configuration, rows, _faults(error), 422)
    expected = Expected(frozenset((request.form.get("version", ""),)))
    try:
        program().configurations.change(configuration.id, fields, expected)
    except VersionConflict:
        return _page(configuration, rows, {-1: [t("segment.conflict")]}, 409)
    where = done_at("configuration_pages.show", "configuration_saved", configuration_id=configuration.id)
    return redirect(where, code=303)


def _typed() -> list[Row]:
    columns = [request.form.getlist(name) for name in ("event", "signal", "items", "fields")]
    removed = set(request.form.getlist("remove"))
    rows = [Row(*values) for values in zip(*columns, strict=False)]
    return [row for place, row in enumerate(rows) if not row.is_empty and str(place) not in removed]


def _faults(error: ma.ValidationError) -> dict[int, list[str]]:
    """Row → what is wrong in it; -1: with all of them."""
    found: dict[int, list[str]] = defaultdict(list)
    for fault in faults_of({"json": error.messages_dict}):
        place, *steps = (*fault.pointer.split("/")[2:], "")
        if not place.isdigit():
            found[-1].append(fault.reason)
            continue
        column = t(f"segment.column.{steps[0]}") if steps[0] in ("event", "signal", "items", "fields") else ""
        named = f"{column} {steps[1]}" if steps[0] == "fields" and len(steps) > 2 else column
        found[int(place)].append(f"{named}: {fault.reason}")
    return found


def _page(
    configuration: AudienceConfiguration,
    rows: Sequence[Row],
    faults: dict[int, list[str]] | None = None,
    status: int = 200,
) -> tuple[str, int]:
    return page(
        "pages/segment_events.html",
        status,
        configuration=configuration,
        rows=[*rows, *(Row() for _ in range(_SPARE))],
        spare=_SPARE,
        faults=faults or {},
        kinds=KINDS,
    )
