"""Proxies in front of a service, which tell who really asked."""

from __future__ import annotations

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix


def trust_proxies(app: Flask, count: int) -> None:
    """Believe the nearest `count` proxies about the asker's address, the scheme and the host; 0: nobody."""
    if count:
        inner = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=count, x_port=0, x_prefix=0)
        app.wsgi_app = inner  # type: ignore[method-assign]  # as Flask's documentation wraps it
