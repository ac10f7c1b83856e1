"""The overview of all moments."""

from __future__ import annotations

from flask import Blueprint, redirect, request, url_for
from werkzeug.wrappers import Response

from services.config.access import needs
from services.config.program import program
from services.config.resources import Listing
from services.config.ui.frame import page

blueprint = Blueprint("moment_pages", __name__, template_folder="../templates")


@blueprint.get("/")
@needs("viewer")
def home() -> Response:
    """The first page is the list of moments."""
    return redirect(url_for("moment_pages.overview"))


@blueprint.get("/moments")
@needs("viewer")
def overview() -> tuple[str, int]:
    """The list of moments."""
    listing = Listing(search=request.args.get("search", ""))
    return page("pages/overview.html", found=program().moments.page(listing, {}), listing=listing)
