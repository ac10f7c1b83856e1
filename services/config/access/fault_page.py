"""What a person sees when a page cannot be shown: one function for all faults."""

from __future__ import annotations

from flask import Response, g, make_response, render_template
from markupsafe import Markup

from services.config.access.viewer import signed_in
from services.config.ui.texts import known, t
from shared.pages import PageFault


def fault_page(fault: PageFault) -> Response:
    """The page of a fault; for a script only its text."""
    own = f"frame.fault.{fault.status}"
    title = t(f"{own}.title") if known(f"{own}.title") else fault.title
    text = fault.detail or (t(f"{own}.text", request=g.get("request_id", "")) if known(f"{own}.text") else "")
    if fault.fragment:
        return make_response(Markup('<p role="alert">{}</p>').format(text or title))
    return make_response(render_template("fault.html", title=title, text=text, viewer=signed_in()))
