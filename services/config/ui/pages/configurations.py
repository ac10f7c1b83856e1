"""Audience configurations: the list, and the panel with the form of one beside it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from flask import Blueprint, redirect, request, url_for
from werkzeug.wrappers import Response

from contracts.configurations import domain_allows
from contracts.signals import PROFILE_FIELDS
from services.config.access import needs, viewer
from services.config.access.guard import local_path
from services.config.errors import SitesInUse
from services.config.program import program
from services.config.resources import AudienceConfiguration, Listing
from services.config.triggering import TriggerAway, TriggerRefused
from services.config.ui.asked import page_number, searched
from services.config.ui.configuration_form import Typed, checked, merged, read
from services.config.ui.frame import done_at, page
from services.config.ui.snippets import current_key, offered, site_of, snippets
from shared.conditions import Expected, VersionConflict
from shared.http import NotFound
from shared.pages import wants_fragment

blueprint = Blueprint("configuration_pages", __name__, template_folder="../templates")

KINDS = "/api/v1/signals/kinds"
_PAGE_SIZE = 25
_NAMED = 5


@blueprint.get("/configurations")
@needs("viewer")
def overview() -> tuple[str, int]:
    """The list."""
    return page("pages/configurations.html", **list_context())


@blueprint.get("/configurations/new")
@needs("editor")
def new() -> tuple[str, int]:
    """An empty form."""
    return _new_form(Typed(), {})


@blueprint.post("/configurations/new")
@needs("editor")
def create() -> Response | tuple[str, int]:
    """Make one, and go on to it or back to where the person came from."""
    typed = Typed.of_form(request.form)
    fields, faults = read(typed)
    if faults:
        return _new_form(typed, faults, 422)
    made = program().configurations.create(**fields)
    came_from = local_path(request.args.get("next"))
    if came_from != "/":
        return redirect(_with_query(came_from, configuration=made.id), code=303)
    keep_secret(made)
    return redirect(done_at("configuration_pages.show", "configuration_made", configuration_id=made.id), code=303)


@blueprint.post("/configurations/domains")
@needs("editor")
def domains() -> tuple[str, int]:
    """What the server's rule makes of the domains that are typed."""
    return page("parts/domains.html", lines=checked(Typed.of_form(request.form).lines))


@blueprint.get("/configurations/<uuid:configuration_id>")
@needs("viewer")
def show(configuration_id: UUID) -> tuple[str, int]:
    """One with its keys and snippets; a secret that was just made, this once."""
    return panel_page(program().configurations.get(str(configuration_id)))


@blueprint.post("/configurations/<uuid:configuration_id>")
@needs("editor")
def save(configuration_id: UUID) -> Response | tuple[str, int]:
    """Save the form; what others changed meanwhile is shown, and nothing that was typed is lost."""
    typed = Typed.of_form(request.form)
    configurations = program().configurations
    present = configurations.get(str(configuration_id))
    if typed.version != present.version:
        entries = program().audit.page(Listing(page_size=100), {"resource_id": present.id}).items
        typed, changes = merged(typed, present, entries)
        if changes:
            return panel_page(present, typed, status=409, changes=changes)
    fields, faults = read(typed)
    if faults:
        return panel_page(present, typed, faults, 422)
    try:
        saved = configurations.change(present.id, fields, Expected(frozenset((str(present.version),))))
    except SitesInUse as error:
        return panel_page(present, typed, {"domains": error.detail}, 409)
    except VersionConflict:
        return save(configuration_id)
    what = "configuration_saved" if saved.version != present.version else "configuration_unchanged"
    return redirect(done_at("configuration_pages.show", what, configuration_id=present.id), code=303)


def keep_secret(made: AudienceConfiguration) -> None:
    """Show the secret of a key that was just made when its page is shown next."""
    secret = next((f"{key.id}:{key.secret}" for key in made.keys if key.secret), None)
    if secret is not None:
        program().secrets.put(viewer().session_id, made.id, secret)


def keep_signing_secret(made: AudienceConfiguration) -> None:
    """Show the secret that signs for a key when its page is shown next."""
    secret = next((key.signing_secret for key in made.keys if key.signing_secret), None)
    if secret is not None:
        program().secrets.put(viewer().session_id, f"{made.id} signing", secret)


def panel_page(
    configuration: AudienceConfiguration,
    typed: Typed | None = None,
    faults: dict[str, str] | None = None,
    status: int = 200,
    **more: Any,
) -> tuple[str, int]:
    """The list with the panel of one beside it."""
    form = typed or Typed.of(configuration)
    pair = None if wants_fragment() else program().secrets.take(viewer().session_id, configuration.id)
    signing = None if wants_fragment() else program().secrets.take(viewer().session_id, f"{configuration.id} signing")
    secret = "" if pair is None else pair.partition(":")[2]
    ingestion = program().ingestion
    values: dict[str, Any] = {
        "configuration": configuration,
        "form": form,
        "faults": faults or {},
        "changes": (),
        "changed": typed is not None,
        "lines": checked(form.lines),
        "id_types": list(PROFILE_FIELDS),
        "keys": [(type, current_key(configuration, type)) for type in ("web", "app", "server")],
        "old_keys": [key for key in configuration.keys if key.expires_at is not None],
        "pair": pair,
        "signing_secret": signing,
        "snippets": snippets(configuration, ingestion.public_url, offered(ingestion.serves), secret, signing or ""),
        "site": site_of(configuration),
        "sells_here": domain_allows(configuration.domains, urlsplit(program().sample_shop).hostname or ""),
        "tested": request.args.get("tested", "")[:100],
        "test_fault": None,
        "ingestion_url": ingestion.url,
        "path": url_for("configuration_pages.show", configuration_id=configuration.id),
    }
    return page("pages/configuration.html", status, **{**values, **list_context(), **more})


def list_context() -> dict[str, Any]:
    """What the list shows; the numbers of trigger are missing while it is away."""
    listing = Listing(page=page_number(request.args), page_size=_PAGE_SIZE, search=searched(request.args))
    found = program().configurations.page(listing)
    heard, away = _last_signals()
    return {"listing": listing, "found": found, "heard": heard, "away": away, "used_by": _used_by(found.items)}


def _used_by(configurations: tuple[AudienceConfiguration, ...]) -> dict[str, tuple[int, list[str]]]:
    """Configuration → how many moments refer to it, and the names of the latest."""
    found = {}
    for each in configurations:
        moments = program().moments.page(Listing(page_size=_NAMED), {"configuration_id": each.id})
        found[each.id] = (moments.total, [moment.name for moment in moments.items])
    return found


def _last_signals() -> tuple[dict[str, str], bool]:
    """Configuration → when its last signal came; and whether that is missing because trigger does not tell."""
    try:
        items = program().trigger.get(KINDS)["items"]
    except (TriggerAway, NotFound, TriggerRefused):
        return {}, True
    last: dict[str, str] = {}
    for item in items:
        last.setdefault(item["configurationId"], item["lastReceivedAt"])
    return last, False


def _new_form(typed: Typed, faults: dict[str, str], status: int = 200) -> tuple[str, int]:
    came_from = local_path(request.args.get("next"))
    values = {
        "configuration": None,
        "form": typed,
        "faults": faults,
        "changes": (),
        "changed": bool(faults),
        "lines": checked(typed.lines),
        "id_types": list(PROFILE_FIELDS),
        "path": request.full_path.rstrip("?"),
        "leads_back": came_from != "/",
        "back": came_from if came_from != "/" else url_for("configuration_pages.overview"),
    }
    return page("pages/configuration.html", status, **values, **list_context())


def _with_query(path: str, **values: str) -> str:
    return f"{path}{'&' if urlsplit(path).query else '?'}{urlencode(values)}"
