"""What a person sees when a page cannot be shown: one function for all faults."""

from __future__ import annotations

from flask import Response, make_response
from markupsafe import Markup

from shared.pages import PageFault

_PAGE = Markup(
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>{title} · Moments</title>'
    '<main><h1>{title}</h1><p>{detail}</p><p><a href="/">Moments</a></p></main></html>\n'
)


def fault_page(fault: PageFault) -> Response:
    """The page of a fault; for a script only its text."""
    if fault.fragment:
        return make_response(Markup('<p role="alert">{}</p>').format(fault.detail or fault.title))
    return make_response(_PAGE.format(title=fault.title, detail=fault.detail))
