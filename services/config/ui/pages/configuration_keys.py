"""The keys of an audience configuration, its deletion, and the test that sends a signal."""

from __future__ import annotations

import time
import uuid
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, request, url_for
from werkzeug.wrappers import Response

from contracts.profiles import InvalidProfile, normalise_profile
from contracts.signals import PROFILE_FIELDS
from contracts.times import to_rfc3339
from services.config.access import needs
from services.config.errors import MomentsRefer
from services.config.program import program
from services.config.resources import AudienceConfiguration
from services.config.triggering import TriggerAway
from services.config.ui.frame import done_at, page
from services.config.ui.pages.configurations import keep_secret, keep_signing_secret, panel_page
from services.config.ui.snippets import current_key, site_of
from shared.http import NotFound

blueprint = Blueprint("configuration_key_pages", __name__, template_folder="../templates")

OVERLAPS = {"none": 0, "hour": 3_600, "day": 86_400, "week": 7 * 86_400, "month": 30 * 86_400}
TEST_KIND = "cart/clear"
"""It empties a cart that nobody has: no moment of any template is opened or ended by it."""
TEST_PROFILES = {
    "email": "signal-test@example.com",
    "external": "signal-test",
    "phone": "+15005550006",
    "deviceId": "signal-test",
    "appId": "signal-test",
}
_KEY = "/configurations/<uuid:configuration_id>/keys/<any(web, app, server):type>"


@blueprint.post(f"{_KEY}/switch")
@needs("editor")
def switch(configuration_id: UUID, type: str) -> Response:
    """Switch a key on or off."""
    enabled = request.form.get("wanted", request.form.get("enabled")) == "on"
    program().configurations.change_key(str(configuration_id), type, {"enabled": enabled})
    return _back(configuration_id, "key_on" if enabled else "key_off")


@blueprint.get(f"{_KEY}/regeneration")
@needs("editor")
def ask_regeneration(configuration_id: UUID, type: str) -> tuple[str, int]:
    """What making a key anew means."""
    configuration = program().configurations.get(str(configuration_id))
    key = current_key(configuration, type)  # type: ignore[arg-type]
    if key is None:
        raise NotFound
    return page("pages/regeneration.html", configuration=configuration, key=key, overlaps=list(OVERLAPS))


@blueprint.post(f"{_KEY}/regeneration")
@needs("editor")
def regenerate(configuration_id: UUID, type: str) -> Response:
    """Make a key anew; a server key's secret is shown on the next page, this once.

    `key`: the one that the person saw. Where somebody else, or a first click, has replaced it already, nothing is done:
    the new one may be in use by now.
    """
    overlap = OVERLAPS.get(request.form.get("overlap", ""), 0)
    key = request.form.get("key", type)
    try:
        made = program().configurations.regenerate_key(str(configuration_id), key, overlap_seconds=overlap)
    except NotFound:
        return _back(configuration_id, "key_replaced")
    keep_secret(made)
    keep_signing_secret(made)
    return _back(configuration_id, "key_made")


@blueprint.get("/configurations/<uuid:configuration_id>/deletion")
@needs("editor")
def ask_deletion(configuration_id: UUID) -> tuple[str, int]:
    """What deleting it means."""
    return _deletion(program().configurations.get(str(configuration_id)))


@blueprint.post("/configurations/<uuid:configuration_id>/deletion")
@needs("editor")
def delete(configuration_id: UUID) -> Response | tuple[str, int]:
    """Delete it, unless moments need it."""
    configuration = program().configurations.get(str(configuration_id))
    try:
        program().configurations.delete(configuration.id)
    except MomentsRefer as error:
        return _deletion(configuration, error.detail, 409)
    return redirect(done_at("configuration_pages.overview", "configuration_deleted"), code=303)


@blueprint.post("/configurations/<uuid:configuration_id>/test")
@needs("editor")
def test(configuration_id: UUID) -> Response | tuple[str, int]:
    """Send a harmless signal as a page of the first domain would."""
    configuration = program().configurations.get(str(configuration_id))
    key, site = current_key(configuration, "web"), site_of(configuration)
    if key is None or not key.enabled or not site:
        return panel_page(configuration, test_fault=("disabled_key" if site else "no_domain", ""))
    signal_id = f"test-{uuid.uuid4()}"
    answer = program().ingestion.send_test(
        TEST_KIND, key.id, f"https://{site}", _test_signal(configuration, signal_id, site), time.sleep
    )
    if not answer.taken:
        return panel_page(configuration, test_fault=(answer.code, answer.reason))
    where = url_for("configuration_pages.show", configuration_id=configuration.id, tested=signal_id)
    return redirect(f"{where}#test", code=303)


@blueprint.get("/configurations/<uuid:configuration_id>/tests/<signal_id>")
@needs("viewer")
def tested(configuration_id: UUID, signal_id: str) -> tuple[str, int]:
    """Whether a test signal has arrived."""
    configuration = program().configurations.get(str(configuration_id))
    found, away = _arrived(configuration, signal_id)
    return page("parts/tested.html", found=found, away=away, configuration=configuration, signal_id=signal_id)


def _arrived(configuration: AudienceConfiguration, signal_id: str) -> tuple[dict[str, Any] | None, bool]:
    id_type, profile = _test_profile(configuration)
    query: dict[str, str | int | None] = {
        "configurationId": configuration.id,
        "profile": profile,
        "idType": id_type,
        "limit": 50,
    }
    try:
        items = program().trigger.get("/api/v1/signals/recent", query)["items"]
    except TriggerAway:
        return None, True
    return next((item for item in items if item["signalId"] == signal_id), None), False


def _test_signal(configuration: AudienceConfiguration, signal_id: str, site: str) -> dict[str, Any]:
    id_type, profile = _test_profile(configuration)
    return {
        "id": signal_id,
        "time": to_rfc3339(program().clock.now()),
        "source": "moments-test",
        "consent": True,
        "data": {"site": site, "idType": id_type, PROFILE_FIELDS[id_type]: profile, "cartId": "moments-test"},
    }


def _test_profile(configuration: AudienceConfiguration) -> tuple[str, str]:
    id_type = configuration.audience.id_types[0]
    try:
        return id_type, normalise_profile(id_type, TEST_PROFILES[id_type])
    except InvalidProfile as error:
        raise NotFound from error


def _deletion(configuration: AudienceConfiguration, refusal: str = "", status: int = 200) -> tuple[str, int]:
    return page("pages/configuration_deletion.html", status, configuration=configuration, refusal=refusal)


def _back(configuration_id: UUID, what: str) -> Response:
    return redirect(done_at("configuration_pages.show", what, configuration_id=configuration_id), code=303)
