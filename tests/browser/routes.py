"""The routes of the app as config declares them: which are for people, and of which role."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from werkzeug.exceptions import HTTPException

from services.config.access.viewer import needed_role, why_public
from tests.support.configuring import running_config


def read_app(folder: Path) -> Flask:
    """The application of a config service that is not started; its routes can be read."""
    with running_config(folder, start=False) as client:
        return client.service.app


def pages_of(app: Flask) -> set[str]:
    """The endpoints that a browser can open."""
    return {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if "GET" in (rule.methods or ()) and _is_for_people(app.view_functions[rule.endpoint])
    }


def role_for(app: Flask, url: str, method: str = "GET") -> str | None:
    """The role that a URL needs; None where it is public, no page, or leads nowhere."""
    try:
        endpoint, _ = app.url_map.bind("app").match(urlsplit(url).path, method=method)
    except HTTPException:
        return None
    return needed_role(app.view_functions[endpoint])


def _is_for_people(view: Any) -> bool:
    return needed_role(view) is not None or why_public(view) is not None
