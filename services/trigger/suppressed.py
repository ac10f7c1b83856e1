"""The customers whose signals are refused. Ingestion refuses what names them; what joins them by an anonymous id names
somebody else there, so that trigger leaves it out."""

from __future__ import annotations

from contracts.erasures import subject_of
from contracts.suppressions import SuppressionState
from services.trigger.engine.application import ProfileId
from services.trigger.store.rows import Rows
from services.trigger.store.suppressions import save_suppression, suppressed_subjects


class Suppressed:
    """Knows who they are. Used by the worker's thread."""

    def __init__(self, pepper: bytes) -> None:
        self._pepper = pepper
        self._subjects: set[bytes] = set()

    def load(self, rows: Rows) -> None:
        """Learn who they are, as far as that is kept."""
        self._subjects = suppressed_subjects(rows)

    def keep(self, rows: Rows, state: SuppressionState) -> None:
        """Take what config tells of one."""
        save_suppression(rows, state)
        self.load(rows)

    def has(self, identity: ProfileId) -> bool:
        """Whether a customer's signals are refused."""
        return bool(self._subjects) and subject_of(self._pepper, *identity) in self._subjects
