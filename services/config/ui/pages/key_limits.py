"""What a key of an audience configuration may send, and whether it signs: the form of its limits."""

from __future__ import annotations

from itertools import groupby
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, request
from werkzeug.wrappers import Response

from contracts.configurations import IDENTIFY, KeyType
from contracts.signals import KINDS, SignalKind
from services.config.access import needs
from services.config.configurations import sends
from services.config.program import program
from services.config.resources import AudienceConfiguration, Key
from services.config.ui.frame import done_at, page
from services.config.ui.pages.configurations import keep_signing_secret
from services.config.ui.snippets import current_key
from services.config.ui.texts import t
from shared.http import NotFound

blueprint = Blueprint("key_limit_pages", __name__, template_folder="../templates")

_PATH = "/configurations/<uuid:configuration_id>/keys/<any(web, app, server):type>/limits"


@blueprint.get(_PATH)
@needs("editor")
def ask(configuration_id: UUID, type: KeyType) -> tuple[str, int]:
    """What it may send now."""
    configuration, key = _found(configuration_id, type)
    return _page(configuration, key, key.kinds)


@blueprint.post(_PATH)
@needs("editor")
def limit(configuration_id: UUID, type: KeyType) -> Response | tuple[str, int]:
    """Limit it to the kinds that are ticked, or to none of them; the secret that signs is shown next, this once."""
    configuration, key = _found(configuration_id, type)
    ticked = set(request.form.getlist("kinds"))
    offered = (*(kind.name for _, group in _offered(type) for kind in group), IDENTIFY)
    kinds = tuple(name for name in offered if name in ticked)
    limited = request.form.get("which") == "some"
    if limited and not kinds:
        return _page(configuration, key, (), t("configurations.limits.none"), 422)
    changes: dict[str, Any] = {"kinds": kinds if limited else None}
    if type == "server":
        changes["signed"] = request.form.get("signed") == "on"
    keep_signing_secret(program().configurations.change_key(configuration.id, key.id, changes))
    return redirect(done_at("configuration_pages.show", "key_limited", configuration_id=configuration.id), code=303)


def _found(configuration_id: UUID, type: KeyType) -> tuple[AudienceConfiguration, Key]:
    configuration = program().configurations.get(str(configuration_id))
    key = current_key(configuration, type)
    if key is None:
        raise NotFound
    return configuration, key


def _page(
    configuration: AudienceConfiguration, key: Key, kinds: tuple[str, ...] | None, fault: str = "", status: int = 200
) -> tuple[str, int]:
    values = {"configuration": configuration, "key": key, "kinds": kinds, "fault": fault, "groups": _offered(key.type)}
    values["identify"] = IDENTIFY
    return page("pages/key_limits.html", status, **values)


def _offered(type: KeyType) -> list[tuple[str, list[SignalKind]]]:
    """The kinds that keys of a type may send at all, by their class."""
    kinds = [kind for kind in KINDS if sends(type, kind.name)]
    return [(group, list(each)) for group, each in groupby(kinds, lambda kind: kind.group)]
