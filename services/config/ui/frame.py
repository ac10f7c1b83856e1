"""What every template has: texts, icons, words for numbers and times, the viewer and the navigation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from flask import Flask, current_app, g, render_template, request, url_for

from services.config.access import signed_in
from services.config.access.csrf import csrf_field, csrf_token
from services.config.program import program
from services.config.ui import words
from services.config.ui.actors import actor_name
from services.config.ui.assets import asset, scripts
from services.config.ui.charts import sparkline
from services.config.ui.icons import icon, icon_again, icon_symbols, known_icon
from services.config.ui.texts import known, t
from shared.pages import wants_fragment

ZONE_COOKIE = "moments_zone"
SCHEME_COOKIE = "moments_scheme"
SCHEMES = ("light", "dark")


@dataclass(frozen=True, slots=True)
class Place:
    """An entry of the navigation: endpoint, icon, and the prefix of the paths that belong to it."""

    name: str
    endpoint: str
    icon: str
    prefix: str


PLACES = (
    Place("moments", "moment_pages.overview", "moment", "/moments"),
    Place("configurations", "configuration_pages.overview", "audience", "/configurations"),
    Place("customers", "profile_pages.profiles", "customer", "/profiles"),
    Place("signals", "signal_pages.live", "signal", "/signals"),
    Place("journeys", "journey_pages.overview", "journey", "/journeys"),
    Place("settings", "settings_pages.overview", "settings", "/settings"),
)


def zone() -> ZoneInfo:
    """The viewer's time zone: what they chose, else what the browser told by a cookie, else UTC."""
    if "zone" not in g:
        person = signed_in()
        g.zone = words.zone_named((person and person.zone) or request.cookies.get(ZONE_COOKIE, "UTC"))
    found: ZoneInfo = g.zone
    return found


def now() -> int:
    """The service's clock, in microseconds."""
    return program().clock.now()


def set_up_frame(app: Flask) -> None:
    """Hand the templates their functions and filters."""
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals.update(
        t=t,
        icon=icon,
        icon_again=icon_again,
        icon_symbols=icon_symbols,
        known_icon=known_icon,
        sparkline=sparkline,
        asset=asset,
        csrf_field=csrf_field,
        csrf=csrf_token,
        span_parts=words.span_parts,
        share=words.share,
    )
    app.jinja_env.filters.update(
        actor=actor_name,
        number=words.number,
        money=words.money,
        duration=words.duration,
        span=words.span,
        instant=lambda value: words.instant(value, now(), zone()),
        with_instants=lambda text: words.with_instants(text, now(), zone()),
        ago=lambda value: words.ago(value, now(), zone()),
        exact=lambda value: words.exact(value, zone()),
    )
    app.context_processor(_context)


def _context() -> dict[str, Any]:
    return {
        "viewer": signed_in(),
        "places": [place for place in PLACES if place.endpoint in _endpoints()],
        "here": request.path,
        "scheme": _scheme(),
        "modules": scripts(),
        "is_fragment": wants_fragment(),
        "done": done_words(),
        "environment": program().environment,
        "sample_shop": program().sample_shop,
    }


def done_words() -> str:
    """What was done, as the address tells it once; empty when nothing was."""
    done = request.args.get("done", "")
    return t(f"done.{done}") if known(f"done.{done}") else ""


def _endpoints() -> set[str]:
    return set(current_app.view_functions)


def _scheme() -> str:
    chosen = request.cookies.get(SCHEME_COOKIE, "")
    return chosen if chosen in SCHEMES else "auto"


def page(template: str, /, status: int = 200, **values: Any) -> tuple[str, int]:
    """A rendered page and its status."""
    return render_template(template, **values), status


def done_at(endpoint: str, what: str, **values: Any) -> str:
    """The URL of a page that tells, once, what has been done: a key of the texts `done`."""
    return url_for(endpoint, done=what, **values)
