"""The URLs of links, as people are given them."""

from __future__ import annotations

from urllib.parse import quote

from flask import request

from services.config.access.parts import access


def link_url(token: str) -> str:
    """Where a link is opened: at the address that people use, else at the one that was just used."""
    return url_of(token, access().public_url or request.host_url)


def url_of(token: str, base: str) -> str:
    """The URL of a link under an address."""
    return f"{base.rstrip('/')}/welcome/{quote(token)}"
