"""Why a moment was raised for a profile, and why it was not: read from the database, told by the engine."""

from __future__ import annotations

from typing import Any

import msgspec

from contracts.moments import MomentState
from services.trigger.api.readings import UnknownMoment
from services.trigger.engine.account import Account
from services.trigger.engine.application import ProfileId
from services.trigger.engine.explanation import explain
from services.trigger.store.accounts import Terms, read_case
from services.trigger.store.reading import moment_state, snapshot
from services.trigger.store.rows import Rows
from shared.http import Conflict
from shared.store import connected


class UnknownTemplate(Conflict):
    """The moment's type is none of the templates of this installation."""


class NoConfiguration(Conflict):
    """The moment has no audience configuration, so it has no profiles."""


class Explanations:
    """Explains for one request at a time per thread."""

    def __init__(self, rows: Rows, terms: Terms) -> None:
        self._rows = rows
        self._terms = terms

    def explain(
        self,
        moment: str,
        profile: tuple[str, str],
        *,
        process: str | None = None,
        before: int | None = None,
        limit: int,
    ) -> dict[str, Any]:
        """The account of a moment and a profile (idType, normalised value); of its entries a page, the last first.

        `before`: only entries of a smaller place.
        """
        with connected(self._rows.database), snapshot(self._rows.database) as rows:
            state = self._state(rows, moment)
            assert state.configuration_id is not None
            case, known = read_case(rows, state, ProfileId(state.configuration_id, *profile), self._terms)
        return _page(explain(case, known, process=process), before, limit)

    def _state(self, rows: Rows, moment: str) -> MomentState:
        state = moment_state(rows, moment) if "\0" not in moment else None  # PostgreSQL does not take it
        if state is None:
            raise UnknownMoment
        if state.type not in self._terms.templates:
            raise UnknownTemplate
        if state.configuration_id is None:
            raise NoConfiguration
        return state


def _page(account: Account, before: int | None, limit: int) -> dict[str, Any]:
    """The latest entries of smaller places; `earlier`: what to give as `before` for those that are left out."""
    entries = account.entries if before is None else account.entries[: max(0, before)]
    shown = entries[-limit:]
    document: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(account, entries=shown))
    document["earlier"] = shown[0].place if len(entries) > len(shown) else None
    return document
