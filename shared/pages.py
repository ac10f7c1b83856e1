"""Pages beside an API: which requests want a page, and faults told as pages instead of problem documents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import flask
import msgspec
import structlog
from flask import Response, current_app, request

EXTENSION = "moments-pages"
FRAGMENT = "fragment"
"""The value of X-Requested-With by which a script asks for a part of a page."""

_log = structlog.get_logger("pages")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFault:
    """What a person is told instead of the page, as a problem document says it; `fragment`: a part was asked for."""

    status: int
    type: str
    title: str
    detail: str
    fragment: bool


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages of a service: plain blueprints, and how a fault is shown."""

    blueprints: Sequence[flask.Blueprint]
    show_fault: Callable[[PageFault], Response]


class _Document(msgspec.Struct):
    type: str = "about:blank"
    title: str = ""
    detail: str = ""


_document = msgspec.json.Decoder(_Document)


def wants_page() -> bool:
    """Whether the present request is for a page: by its route; without one, by what its sender would rather have."""
    pages: Pages | None = current_app.extensions.get(EXTENSION)
    if pages is None:
        return False
    if request.url_rule is not None:
        return bool({blueprint.name for blueprint in pages.blueprints} & set(request.blueprints))
    accepted = request.accept_mimetypes
    return not request.path.startswith("/api/") and accepted["text/html"] > accepted["application/json"]


def wants_fragment() -> bool:
    """Whether a script asks, for a part of a page."""
    return request.headers.get("X-Requested-With") == FRAGMENT


def shown(told: Response) -> Response:
    """A problem document as this request wants it: as it is, or as a page with the same status and headers."""
    if not wants_page():
        return told
    pages: Pages = current_app.extensions[EXTENSION]
    document = _document.decode(told.get_data())
    fault = PageFault(
        status=told.status_code,
        type=document.type,
        title=document.title,
        detail=document.detail,
        fragment=wants_fragment(),
    )
    try:
        page = pages.show_fault(fault)
    except Exception as error:
        _log.error("page.fault_not_shown", status=fault.status, exc_info=error)
        page = Response(f"{fault.title}\n{fault.detail}\n", content_type="text/plain; charset=utf-8")
    page.status_code = fault.status
    for name, value in told.headers.items():
        if name.lower() not in ("content-type", "content-length", "www-authenticate"):
            page.headers[name] = value
    return page
