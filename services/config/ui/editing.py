"""Somebody's edit of a moment as one request brings it: what was typed, against what is saved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from werkzeug.datastructures import MultiDict

from contracts.moments import Status
from contracts.templates import Template, templates
from services.config.program import program
from services.config.resources import AuditEntry, Listing, Moment
from services.config.ui.meanwhile import Merged, merged
from services.config.ui.moment_form import Faults, Filled, Wanted, filled_by, wanted_by, with_faults
from shared.conditions import ANY_VERSION, Expected
from shared.http import Conflict, Unprocessable

_MOST_ENTRIES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """An edit. `version`: of the moment from which the form was made. `base`: less than that when the form holds
    what others changed since a form of `base`."""

    moment: Moment
    template: Template | None
    filled: Filled
    version: int
    base: int

    @property
    def is_stale(self) -> bool:
        """Whether somebody else has changed the moment since the form was made."""
        return self.version != self.moment.version

    @property
    def expected(self) -> Expected:
        """The version that the edit would replace."""
        return Expected(frozenset((str(self.version),)))

    def merged(self) -> Merged:
        """This edit on top of what others have changed since its form was made, else since it was begun."""
        base = self.version if self.is_stale else self.base
        return merged(self.filled, base, self.moment, self.template, _entries(self.moment.id))

    def wanted(self) -> Wanted:
        """The change that is asked for, on top of what others have changed, with every fault of it."""
        filled = self.merged().filled if self.is_stale else self.filled
        wanted = wanted_by(filled, self.moment, self.template)
        return Wanted(changes=wanted.changes, faults=self._judged(wanted))

    def foreseen(self, changes: dict[str, Any], status: Status | None) -> None:
        """Raises what the change and then the status would."""
        program().moments.foreseen(self.moment.id, changes, status, ANY_VERSION)

    def _judged(self, wanted: Wanted) -> Faults:
        try:
            if wanted.changes:
                self.foreseen(wanted.changes, None)
        except Unprocessable as error:
            return with_faults(wanted.faults, self.template, error.faults)
        except Conflict:
            return wanted.faults  # not of the fields; saving will say so
        return wanted.faults


def edit_of(moment: Moment, form: MultiDict[str, str]) -> Edit:
    """The edit that a form brings."""
    template = templates().get(moment.type)
    version = _number(form.get("version", ""), moment.version)
    return Edit(
        moment=moment,
        template=template,
        filled=filled_by(form, moment, template),
        version=version,
        base=_number(form.get("base", ""), version),
    )


def _entries(moment_id: str) -> tuple[AuditEntry, ...]:
    listing = Listing(page_size=_MOST_ENTRIES)
    return program().audit.page(listing, {"kind": "moment", "resource_id": moment_id}).items


def _number(text: str, otherwise: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else otherwise
