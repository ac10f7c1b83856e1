"""The audit log: every change with the documents before and after, in the transaction of the change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from services.config.access import actor
from services.config.access.resources import Token, User
from services.config.access.schemas import TokenSchema, UserSchema
from services.config.resources import AudienceConfiguration, AuditEntry, Listing, Moment, Page
from services.config.schemas import ConfigurationSchema, MomentSchema
from services.config.store import ConfigStore


class Audit:
    """Writes and lists the audit log. Secrets and their hashes are not in it."""

    def __init__(self, store: ConfigStore) -> None:
        self._store = store

    def configuration(
        self, action: str, before: AudienceConfiguration | None, after: AudienceConfiguration | None, now: int
    ) -> None:
        """A configuration or one of its keys was changed."""
        self._write("configuration", action, before, after, now)

    def moment(self, action: str, before: Moment | None, after: Moment | None, now: int) -> None:
        """A moment was changed."""
        self._write("moment", action, before, after, now)

    def user(self, action: str, before: User | None, after: User | None, now: int) -> None:
        """A user was invited, made, changed or deleted."""
        self._write("user", action, before, after, now)

    def token(self, action: str, before: Token | None, after: Token | None, now: int) -> None:
        """An API token was made or revoked."""
        self._write("token", action, before, after, now)

    def document(
        self, kind: str, action: str, before: dict[str, Any] | None, after: dict[str, Any] | None, now: int
    ) -> None:
        """Something that another service keeps was changed, as its documents show it; secrets are left out."""
        known = after or before or {}
        self._store.add_audit(
            at=now,
            actor=actor(),
            action=action,
            kind=kind,
            resource_id=str(known["id"]),
            before=_without_secret(before),
            after=_without_secret(after),
        )

    def event(self, kind: str, action: str, resource_id: str, now: int) -> None:
        """Something happened that changes no document: a sign-in, another password."""
        self._store.add_audit(
            at=now, actor=actor(), action=action, kind=kind, resource_id=resource_id, before=None, after=None
        )

    def note(self, kind: str, action: str, resource_id: str, now: int) -> None:
        """The same for what another service did, in a transaction of its own."""
        with self._store.transaction():
            self.event(kind, action, resource_id, now)

    def page(self, listing: Listing, filters: Mapping[str, str | tuple[str, ...]]) -> Page[AuditEntry]:
        """A page of the log, the newest entry first."""
        with self._store.reading():
            found, total = self._store.audit_page(listing, filters)
        return Page(items=tuple(found), page=listing.page, page_size=listing.page_size, total=total)

    def actors(self, kinds: tuple[str, ...]) -> list[str]:
        """Who stands in the log for changes of these kinds."""
        with self._store.reading():
            return self._store.audit_actors(kinds)

    def forget(self, before: int) -> int:
        """Delete what was written before an instant, a chunk to a transaction; returns how many entries."""
        forgotten = 0
        while True:
            with self._store.transaction():
                gone = self._store.forget_audit(before)
            forgotten += gone
            if not gone:
                return forgotten

    def _write(self, kind: str, action: str, before: Any, after: Any, now: int) -> None:
        self._store.add_audit(
            at=now,
            actor=actor(),
            action=action,
            kind=kind,
            resource_id=(after or before).id,
            before=None if before is None else document_of(before),
            after=None if after is None else document_of(after),
        )


def _without_secret(document: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if document is None else {name: value for name, value in document.items() if name != "secret"}


def document_of(value: AudienceConfiguration | Moment | User | Token) -> dict[str, Any]:
    """The REST document of a resource, without secrets."""
    if isinstance(value, User | Token):
        shown: dict[str, Any] = (UserSchema() if isinstance(value, User) else TokenSchema()).dump(value)
        return shown
    if isinstance(value, Moment):
        document: dict[str, Any] = MomentSchema().dump(value)
    else:
        keys = tuple(replace(key, secret=None) for key in value.keys)
        document = ConfigurationSchema().dump(replace(value, keys=keys))
    return document
