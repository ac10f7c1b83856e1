"""A customer's data: to take along, and to erase. For administrators; who it was stands in no log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from services.config.access import needs
from services.config.program import program
from services.config.triggering import TriggerRefused
from services.config.ui.frame import done_at, page
from services.config.ui.texts import known, t
from shared.http import NotFound, Unprocessable

_LONGEST = 255
_PAGE = 25
_PATIENCE = 30.0

blueprint = Blueprint("erasure_pages", __name__, url_prefix="/profiles")


@dataclass(frozen=True, slots=True)
class Whom:
    """A customer as a form names them."""

    configuration: str
    id_type: str
    profile: str

    @property
    def document(self) -> dict[str, str]:
        """As trigger's API names them."""
        return {"configuration": self.configuration, "idType": self.id_type, "profile": self.profile}

    @property
    def query(self) -> str:
        """As the addresses of these pages name them."""
        return urlencode({"configuration": self.configuration, "idType": self.id_type, "id": self.profile})


@blueprint.get("/erasure")
@needs("admin")
def confirm() -> tuple[str, int]:
    """What erasing means; opened as a dialog, a page without a script."""
    whom = _whom(request.args)
    return page("pages/erasure_confirmation.html", whom=whom, name=configuration_name(whom.configuration))


@blueprint.post("/erasure")
@needs("admin")
def erase() -> AnyResponse:
    """Have trigger erase, and lead to the receipt."""
    whom = _whom(request.form)
    wanted = {**whom.document, "suppress": "suppress" in request.form}
    receipt = program().trigger.post("/api/v1/erasures", wanted)
    program().audit.note("customer", "erase", str(receipt["id"]), program().clock.now())
    return redirect(done_at("erasure_pages.receipt", "customer_erased", erasure_id=receipt["id"]), 303)


@blueprint.get("/erasures")
@needs("admin")
def receipts() -> tuple[str, int]:
    """The receipts, the latest first."""
    query = {"limit": _PAGE, "cursor": request.args.get("cursor", "")[:_LONGEST] or None}
    try:
        found = program().trigger.get("/api/v1/erasures", query)
    except TriggerRefused:  # the cursor of another list
        found = {"items": [], "next": None}
    names = {each["configuration"]: configuration_name(each["configuration"]) for each in found["items"]}
    return page("pages/erasures.html", erasures=found["items"], next=found["next"], names=names, begun=not request.args)


@blueprint.get("/erasures/<uuid:erasure_id>")
@needs("admin")
def receipt(erasure_id: UUID) -> tuple[str, int]:
    """How far an erasure is, and what went; `part` is what is loaded again."""
    found = program().trigger.get(f"/api/v1/erasures/{erasure_id}")
    counts = [
        (_store_words(service, store), count)
        for service, stores in sorted(found["erased"].items())
        for store, count in sorted(stores.items())
        if count
    ]
    template = "parts/erasure.html" if request.args.get("part") == "state" else "pages/erasure.html"
    return page(template, erasure=found, counts=counts, name=configuration_name(found["configuration"]))


@blueprint.post("/export")
@needs("admin")
def export() -> Response:
    """All that is kept of a customer, as a file."""
    whom = _whom(request.form)
    document: Any = program().trigger.post("/api/v1/exports", whom.document, within=_PATIENCE)
    program().audit.note("customer", "export", whom.configuration, program().clock.now())
    body = msgspec.json.format(msgspec.json.encode(document), indent=2)
    headers = {"Content-Disposition": 'attachment; filename="customer.json"', "Cache-Control": "no-store"}
    return Response(body, content_type="application/json", headers=headers)


def _store_words(service: str, store: str) -> str:
    """What went, in words; a store of a newer service by its name."""
    key = f"customers.receipt.stores.{store}"
    return t(key) if known(key) else f"{service}: {store}"


def configuration_name(configuration_id: str) -> str:
    """The name of an audience configuration; empty where it was deleted."""
    try:
        return program().configurations.get(configuration_id).name
    except NotFound:
        return ""


def _whom(given: Any) -> Whom:
    """The customer that a form or an address names; raises Unprocessable."""
    whom = Whom(given.get("configuration", ""), given.get("idType", ""), given.get("id", ""))
    texts = (whom.configuration, whom.id_type, whom.profile)
    if not all(text and "\0" not in text and len(text) <= _LONGEST for text in texts):
        raise Unprocessable("This names no customer.")
    return whom


def erasure_url(configuration: str, id_type: str, profile: str) -> str:
    """The address of the page that asks before it erases."""
    return f"{url_for('erasure_pages.confirm')}?{Whom(configuration, id_type, profile).query}"
