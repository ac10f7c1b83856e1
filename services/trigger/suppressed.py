"""The customers whose signals are refused. Ingestion refuses what names them; what joins them by an anonymous id names
somebody else there, so that trigger leaves it out."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.erasures import subject_of
from contracts.suppressions import SuppressionState
from services.trigger.engine.application import ProfileId
from services.trigger.store.rows import Rows
from services.trigger.store.suppressions import save_suppressions, suppressions


class Suppressed:
    """Knows who they are. Used by the worker's thread."""

    def __init__(self, pepper: bytes) -> None:
        self._pepper = pepper
        self._versions: dict[bytes, int] = {}
        self._subjects: set[bytes] = set()

    def load(self, rows: Rows) -> None:
        """Learn who they are, as far as that is kept."""
        self._take(suppressions(rows))

    def keep(self, rows: Rows, states: Iterable[SuppressionState]) -> None:
        """Take what config tells of them, in one transaction. It tells of all whenever some service starts: what is
        known costs nothing.
        """
        news = [state for state in states if state.version > self._versions.get(bytes.fromhex(state.id), 0)]
        if news:
            with rows.database.atomic():
                save_suppressions(rows, news)
            self._take(news)

    def _take(self, states: Iterable[SuppressionState]) -> None:
        for state in states:
            subject = bytes.fromhex(state.id)
            if state.version > self._versions.get(subject, 0):
                self._versions[subject] = state.version
                (self._subjects.discard if state.deleted else self._subjects.add)(subject)

    def has(self, identity: ProfileId) -> bool:
        """Whether a customer's signals are refused."""
        return bool(self._subjects) and subject_of(self._pepper, *identity) in self._subjects
