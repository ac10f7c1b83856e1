"""The settings: where each page of them is, and the first one that a person may see."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, redirect, url_for
from werkzeug.wrappers import Response

from services.config.access import Viewer, needs, viewer
from services.config.access.resources import Role

blueprint = Blueprint("settings_pages", __name__)


@dataclass(frozen=True, slots=True)
class Tab:
    """A page of the settings, and the least role that sees it."""

    name: str
    endpoint: str
    role: Role


TABS = (
    Tab("account", "account_pages.account", "viewer"),
    Tab("users", "user_pages.users", "admin"),
    Tab("tokens", "token_pages.tokens", "admin"),
    Tab("audit", "audit_pages.audit", "viewer"),
)


@blueprint.get("/settings")
@needs("viewer")
def overview() -> Response:
    """For administrators the users, for others their own account."""
    return redirect(url_for("user_pages.users" if viewer().can("admin") else "account_pages.account"))


def tabs_of(person: Viewer) -> list[Tab]:
    """The pages of the settings that a person sees."""
    return [tab for tab in TABS if person.can(tab.role)]
