"""Who did something, in words: the actors of the audit log as people know them."""

from __future__ import annotations

from flask import g

from services.config.access.parts import access
from services.config.access.resources import email_key
from services.config.access.viewer import ADMIN_TOKEN, ITSELF
from services.config.ui.texts import t


def actor_name(actor: str) -> str:
    """`user:ada@example.com` → the person's name, or the address of somebody who is no user any more."""
    kind, _, name = actor.partition(":")
    if kind == "user":
        return _names().get(email_key(name), name)
    if kind == "token":
        return t("frame.actor.token", name=name)
    return {ADMIN_TOKEN: t("frame.actor.admin_token"), ITSELF: t("frame.actor.itself")}.get(actor, actor)


def _names() -> dict[str, str]:
    """E-mail address → name of all users, read once a request."""
    if "user_names" not in g:
        g.user_names = {email_key(user.email): user.name for user in access().people.all()}
    found: dict[str, str] = g.user_names
    return found
