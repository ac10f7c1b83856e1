"""The reporting page of a moment: its numbers, live; and the lists behind them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, Response, request

from contracts.templates import templates
from contracts.times import to_rfc3339
from services.config.access import needs, viewer
from services.config.access.parts import access
from services.config.program import program
from services.config.resources import Moment
from services.config.triggering import TriggerAway
from services.config.ui.charts import Series, bar, time_chart
from services.config.ui.frame import now, page, zone
from services.config.ui.lists import LISTS, List, asked_for
from services.config.ui.reports import PERIODS, Period, Report, Step, period_named, report_of
from services.config.ui.scales import time_words
from services.config.ui.texts import known, t
from services.config.ui.words import exact, span
from shared.http import NotFound

blueprint = Blueprint("reporting", __name__, template_folder="../templates")

_EVENTS = "text/event-stream"
_NEWEST = 8
_LISTENED = {"period": "PT1M", "granularity": "minute"}
_MILLISECOND = 1000
_COLUMNS = {
    "events": ("profile", "process", "due", "decided", "outcome"),
    "waits": ("profile", "process", "opened", "activity", "due"),
    "recoveries": ("profile", "process", "happened", "recovered", "value"),
    "contradictions": ("profile", "process", "happened", "received", "signal"),
}


@blueprint.app_template_global("reason_words")
def reason_words(group: str, code: str) -> str:
    """Why a wait ended or was suppressed, in plain words; a reason without words is told as it is."""
    key = f"reasons.{group}.{code}"
    return t(key) if known(key) else code


@blueprint.app_template_global("process_kind")
def process_kind(kind: str) -> str:
    """What a customer may leave unfinished."""
    key = f"outcomes.kind.{kind}"
    return t(key) if known(key) else kind


@blueprint.app_template_filter("told")
def told(instant: str) -> str:
    """The day and hour of an instant of a query; what is none is told as it is."""
    try:
        return exact(instant, zone())
    except (ValueError, OverflowError):
        return instant


@blueprint.app_template_filter("lateness")
def lateness(milliseconds: float | None) -> str:
    """`12 ms`, `1.4 s`, `3 minutes 5 seconds`."""
    if milliseconds is None:
        return t("frame.unknown")
    if 1000 <= milliseconds < 60_000:
        return t("reporting.seconds", n=f"{milliseconds / 1000:.1f}")
    return span(round(milliseconds) * _MILLISECOND)


@blueprint.get("/moments/<uuid:moment_id>/reporting")
@needs("viewer")
def reporting(moment_id: UUID) -> tuple[str, int]:
    """What a moment does."""
    moment = program().moments.get(str(moment_id))
    return page("pages/reporting.html", moment=moment, kind=templates().get(moment.type), **_figures(moment))


@blueprint.get("/moments/<uuid:moment_id>/reporting/figures")
@needs("viewer")
def figures(moment_id: UUID) -> tuple[str, int]:
    """The numbers alone, for a page that is open; TriggerAway leaves it what it shows."""
    moment = program().moments.get(str(moment_id))
    found = _figures(moment)
    if found["away"] is not None:
        raise found["away"]
    return page("parts/reporting.html", moment=moment, **found)


@blueprint.get("/moments/<uuid:moment_id>/stream")
@needs("viewer")
def stream(moment_id: UUID) -> Response:
    """Tell an open page of a moment when its numbers have changed."""
    moment, person = program().moments.get(str(moment_id)), viewer()
    sessions = access().sessions

    def goes_on() -> bool:
        return any(session.id == person.session_id for session in sessions.of(person.id))

    path, connection = f"/api/v1/moments/{moment.id}/stream", request.environ.get("gunicorn.socket")
    events, close = program().live.open(path, _LISTENED, goes_on, connection)
    response = Response(events, content_type=_EVENTS, headers={"X-Accel-Buffering": "no"})
    response.call_on_close(close)
    return response


@blueprint.get("/moments/<uuid:moment_id>/<any(events, waits, recoveries, contradictions):kind>")
@needs("viewer")
def listed(moment_id: UUID, kind: str) -> tuple[str, int]:
    """A page of the list behind a number."""
    moment, asked = program().moments.get(str(moment_id)), asked_for(LISTS[kind], request.args)
    found, away = _list(moment, LISTS[kind], asked)
    return page(
        "pages/outcomes.html", moment=moment, kind=kind, columns=_COLUMNS[kind], asked=asked, found=found, away=away
    )


def _list(moment: Moment, wanted: List, asked: dict[str, str]) -> tuple[dict[str, Any], bool]:
    """A page of a list, and whether it is missing because trigger is away. What never ran has empty lists."""
    nothing: dict[str, Any] = {"items": [], "next": None}
    try:
        return program().trigger.get(f"/api/v1/moments/{moment.id}/{wanted.name}", asked), False
    except NotFound:
        return nothing, False
    except TriggerAway:
        return nothing, True


def _figures(moment: Moment) -> dict[str, Any]:
    """What the templates show: the report with its chart and the newest raises; without trigger, that it is away."""
    period = period_named(request.args.get("period", ""))
    shown: dict[str, Any] = {"period": period, "periods": PERIODS, "report": None, "newest": [], "away": None}
    try:
        report, shown["newest"] = _read(moment, period)
    except NotFound:
        return shown  # it has not run yet, or trigger has not heard of it
    except TriggerAway as error:
        return shown | {"away": error}
    return shown | {
        "report": report,
        "chart": _chart(report, period),
        "rows": _rows(report, period),
        "since": to_rfc3339(report.start),
        "bar": bar,
    }


def _read(moment: Moment, period: Period) -> tuple[Report, list[dict[str, Any]]]:
    path, trigger = f"/api/v1/moments/{moment.id}", program().trigger
    document = trigger.get(f"{path}/analytics", period.query(now(), zone()))
    newest = trigger.get(f"{path}/events", {"limit": _NEWEST})
    return report_of(document, period, zone()), newest["items"]


def _chart(report: Report, period: Period) -> str:
    steps = report.steps
    bars = [Series(name, name, [getattr(step, name) for step in steps]) for name in ("raised", "ended", "suppressed")]
    words = {"period": t(f"reporting.periods.{period.name}"), "raised": report.raised, "ended": report.ended}
    return time_chart(
        "course",
        [step.at for step in steps],
        period.span,
        zone(),
        bars,
        Series("waiting", t("reporting.waiting"), [step.waiting for step in steps]),
        title=t("reporting.chart.title"),
        quiet=t("reporting.chart.none"),
        description=t("reporting.chart.about", suppressed=report.suppressed, pending=report.pending, **words),
    )


def _rows(report: Report, period: Period) -> list[tuple[int, str, Step]]:
    """The table of the steps in which anything happened, with their places and names."""
    words = time_words([step.at for step in report.steps], period.span, zone())
    return [(index, words[index], step) for index, step in enumerate(report.steps) if not step.is_empty]
