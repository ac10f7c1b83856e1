"""The suppression list: whose signals ingestion refuses, and does not keep. It holds keyed hashes and no names."""

from __future__ import annotations

from dataclasses import replace

from contracts.erasures import ProfileErased, subject_of
from services.config.access import actor
from services.config.audit import Audit
from services.config.publication import Publication
from services.config.resources import Listing, Page, Suppression
from services.config.store import ConfigStore
from shared.clock import Clock
from shared.http import NotFound

BY_ERASURE = "an erasure"
_NOBODY = "Nobody of this id is on the list."


class Suppressions:
    """Every change is one transaction with its audit entry and its published state."""

    def __init__(self, store: ConfigStore, publication: Publication, audit: Audit, clock: Clock, pepper: bytes) -> None:
        self._store = store
        self._publication = publication
        self._audit = audit
        self._clock = clock
        self._pepper = pepper

    def page(self, listing: Listing, configuration_id: str | None = None) -> Page[Suppression]:
        """A page of the list, the latest first."""
        with self._store.reading():
            found, total = self._store.suppressions.page(listing, configuration_id)
        return Page(items=tuple(found), page=listing.page, page_size=listing.page_size, total=total)

    def standing(self, configuration_id: str, id_type: str, profile: str) -> Suppression | None:
        """The entry of a customer, normalised, who is on the list now."""
        subject = subject_of(self._pepper, configuration_id, id_type, profile).hex()
        with self._store.reading():
            found = self._store.suppressions.find(subject)
        return found if found is not None and found.ended_at is None else None

    def get(self, suppression_id: str) -> Suppression:
        """An entry that stands; raises NotFound."""
        with self._store.reading():
            found = self._store.suppressions.find(suppression_id)
        if found is None or found.ended_at is not None:
            raise NotFound(_NOBODY)
        return found

    def add(self, configuration_id: str, id_type: str, profile: str) -> Suppression:
        """Refuse a customer's signals from now on; one who is on the list stays as it is. Raises NotFound."""
        with self._store.transaction():
            if self._store.configuration(configuration_id) is None:
                raise NotFound(f"There is no audience configuration {configuration_id}.")
            return self._add(
                subject_of(self._pepper, configuration_id, id_type, profile).hex(), configuration_id, actor()
            )

    def erase(self, told: ProfileErased) -> dict[str, int]:
        """A customer was erased. Config keeps nothing of customers but, where asked, whose signals are refused.

        Told once more, it does not undo that the customer was taken off the list since.
        """
        if told.suppress:
            subject = subject_of(self._pepper, told.configuration, told.id_type, told.profile).hex()
            with self._store.transaction():
                former = self._store.suppressions.find(subject, lock=True)
                if former is None or former.ended_at is None or former.ended_at < told.at:
                    self._add(subject, told.configuration, BY_ERASURE)
        return {}

    def remove(self, suppression_id: str) -> None:
        """Take a customer's signals again; raises NotFound."""
        with self._store.transaction():
            former = self._store.suppressions.find(suppression_id, lock=True)
            if former is None or former.ended_at is not None:
                raise NotFound(_NOBODY)
            now = self._clock.now()
            ended = replace(former, version=former.version + 1, ended_at=now)
            self._store.suppressions.save(ended)
            self._audit.event("suppression", "remove", suppression_id, now)
            self._publication.suppression(ended)

    def _add(self, subject: str, configuration_id: str, by: str) -> Suppression:
        former = self._store.suppressions.find(subject, lock=True)
        if former is not None and former.ended_at is None:
            return former
        now = self._clock.now()
        made = Suppression(
            id=subject,
            configuration_id=configuration_id,
            version=1 if former is None else former.version + 1,
            created_at=now,
            created_by=by,
            ended_at=None,
        )
        self._store.suppressions.save(made)
        if by != BY_ERASURE:
            self._audit.event("suppression", "create", subject, now)
        self._publication.suppression(made)
        return made
