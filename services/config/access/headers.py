"""The headers of every page: what a browser may load for it, keep of it, and tell of it."""

from __future__ import annotations

from flask import Response

from shared.pages import wants_page

POLICY = "; ".join(
    (
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "font", "connect", "manifest")),
        "img-src 'self' data:",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=(), browsing-topics=()",
    "X-Content-Type-Options": "nosniff",
}


def add_page_headers(response: Response) -> Response:
    """For a page, a part of one or a file of it; a file says itself how long it is kept."""
    if wants_page():
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
    return response
