"""The keys and domains in force, as this process knows them: a copy of the read model."""

from __future__ import annotations

from typing import Any

import structlog

from contracts.erasures import subject_of
from services.ingestion.admission import Directory
from services.ingestion.minimisation import tellable
from services.ingestion.signing import Verifier
from services.ingestion.store import IngestionStore
from shared.store import STORE_FAULTS

_log = structlog.get_logger(__name__)


class Keys:
    """Holds the present directory; `refresh` takes over what another thread or process has stored."""

    def __init__(self, store: IngestionStore, verifier: Verifier) -> None:
        self._store = store
        self._verifier = verifier
        self._revision = 0
        self.directory = Directory.of((), verifier)

    @property
    def known(self) -> bool:
        """Whether config was ever heard: it has sent states, or has none to send."""
        return self._revision > 0

    def tellable(self, configuration: str, item: Any, kind: str) -> Any:
        """A refused item as far as its configuration wants it to be told of and kept."""
        listener = self.directory.listeners.get(configuration)
        if listener is None:
            return item
        return tellable(item, kind, consent_required=listener.consent_required, declared=listener.attributes)

    def suppresses(self, configuration: str, id_type: str, profile: str) -> bool:
        """Whether a configuration takes no signals of this customer."""
        listener = self.directory.listeners.get(configuration)
        if listener is None or not listener.suppressed or not profile:
            return False
        return subject_of(self._verifier.pepper, configuration, id_type, profile) in listener.suppressed

    def refresh(self) -> bool:
        """Read the states when their revision has changed. With the database away, the copy stays in force."""
        try:
            revision = self._store.revision()
            if revision == self._revision:
                return False
            states, suppressed = self._store.states(), self._store.suppressed()
        except STORE_FAULTS as error:
            _log.warning("keys_not_refreshed", reason=str(error))
            return False
        self.directory = Directory.of(states, self._verifier, suppressed)
        self._revision = revision
        _log.info("keys_refreshed", revision=revision, configurations=len(states))
        return True
