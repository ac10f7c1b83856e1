"""Settings: who changed what, when, from what to what."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import urlencode

from flask import Blueprint, request, url_for

from services.config.access import needs, viewer
from services.config.access.parts import access
from services.config.program import program
from services.config.resources import AuditEntry, Listing
from services.config.schemas import AUDITED
from services.config.ui.actors import actor_name
from services.config.ui.asked import page_number
from services.config.ui.differences import Difference, differences, is_instant
from services.config.ui.frame import page
from services.config.ui.pages.erasures import configuration_name
from services.config.ui.pages.settings import tabs_of
from services.config.ui.texts import known, t

blueprint = Blueprint("audit_pages", __name__, url_prefix="/settings/audit", template_folder="../templates")

PATH = "/settings/audit"
_PAGE_SIZE = 25
_SHOWN_AT_ONCE = 4
_OF_THEMSELVES = ("sign in", "change password", "accept invitation", "set password")
_OPEN_TO_ALL = ("moment", "configuration", "webhook", "replay")
"""What everybody may read of; users and tokens are for administrators."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks for."""

    actor: str = ""
    kind: str = ""
    resource: str = ""
    page: int = 1

    def url(self, **changes: str | int) -> str:
        """The address with changes; another filter begins at the first page."""
        wanted = replace(self, **{"page": 1, **changes})  # type: ignore[arg-type]
        usual = Asked()
        names = ("actor", "kind", "resource", "page")
        query = urlencode({n: getattr(wanted, n) for n in names if getattr(wanted, n) != getattr(usual, n)})
        return f"{PATH}?{query}" if query else PATH


@dataclass(frozen=True, slots=True)
class Told:
    """An entry as it is read. `of_other`: whether it is about something else than who did it.

    `opened`: whether its differences are few enough to be shown at once. `receipt`: where that of an erasure is.
    """

    entry: AuditEntry
    doing: str
    name: str
    differences: list[Difference]
    of_other: bool
    opened: bool
    receipt: str = ""


@blueprint.get("")
@needs("viewer")
def audit() -> tuple[str, int]:
    """A page of the log, the newest entry first."""
    asked = _asked()
    kinds = AUDITED if viewer().can("admin") else _OPEN_TO_ALL
    filters: dict[str, str | tuple[str, ...]] = {"kind": asked.kind if asked.kind in kinds else kinds}
    if asked.actor:
        filters["actor"] = asked.actor
    if asked.resource:
        filters["resource_id"] = asked.resource
    found = program().audit.page(Listing(page=asked.page, page_size=_PAGE_SIZE), filters)
    names = {user.id: user.name for user in access().people.all()}
    return page(
        "pages/audit.html",
        tabs=tabs_of(viewer()),
        asked=asked,
        found=found,
        told=[_told(each, names) for each in found.items],
        actors=sorted(program().audit.actors(kinds), key=lambda actor: actor_name(actor).casefold()),
        kinds=kinds,
        is_instant=is_instant,
    )


def _told(entry: AuditEntry, names: dict[str, str]) -> Told:
    changed = differences(entry.before, entry.after)
    document = entry.after or entry.before or {}
    action = entry.action.replace(" ", "_")
    doing = f"audit.doing.{action}"
    return Told(
        entry=entry,
        doing=t(doing) if known(doing) else entry.action,
        name=str(document.get("name") or names.get(entry.resource_id) or _short(entry)),
        differences=changed,
        of_other=entry.action not in _OF_THEMSELVES,
        opened=entry.before is not None and entry.after is not None and len(changed) <= _SHOWN_AT_ONCE,
        receipt=url_for("erasure_pages.receipt", erasure_id=entry.resource_id) if entry.action == "erase" else "",
    )


def _short(entry: AuditEntry) -> str:
    """What has no name, by its id; hashes as the suppression list shows them, exports by what they are from."""
    if entry.kind == "suppression":
        return f"{entry.resource_id[:12]}…"
    return configuration_name(entry.resource_id) or entry.resource_id if entry.action == "export" else entry.resource_id


def _asked() -> Asked:
    """What the arguments of the address ask for; what makes no sense is as if it were not there."""
    given = {name: request.args.get(name, "") for name in ("actor", "kind", "resource")}
    usable = {name: text for name, text in given.items() if len(text) <= 300 and text.isprintable()}
    return Asked(**usable, page=page_number(request.args))
