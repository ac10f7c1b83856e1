"""What can be done with API tokens; every change is one transaction with its audit entry and its published state."""

from __future__ import annotations

import uuid
from dataclasses import replace

from contracts.tokens import TOKEN_PREFIX, Scope
from services.config.access.resources import Token
from services.config.access.viewer import actor
from services.config.audit import Audit
from services.config.keys import random_text
from services.config.publication import Publication
from services.config.store import ConfigStore
from shared.bearer import ApiToken, token_hash
from shared.clock import Clock
from shared.conditions import VersionConflict
from shared.http import Conflict, NotFound, Unprocessable
from shared.problems import Fault

_LENGTH = 32
_SHOWN = 8
_MINUTE = 60_000_000


class Tokens:
    """API tokens. The token itself is told once, to whoever makes it."""

    def __init__(self, store: ConfigStore, publication: Publication, audit: Audit, clock: Clock, pepper: bytes) -> None:
        self._store = store
        self._publication = publication
        self._audit = audit
        self._clock = clock
        self._pepper = pepper

    def all(self) -> list[Token]:
        """All tokens, the newest first, revoked ones too."""
        with self._store.reading():
            return self._store.access.tokens()

    def create(self, *, name: str, scope: Scope, expires_at: int | None) -> tuple[Token, str]:
        """A new token and its text; raises Conflict when another of the name is in force, and Unprocessable."""
        text, now = f"{TOKEN_PREFIX}_{random_text(_LENGTH)}", self._clock.now()
        if expires_at is not None and expires_at <= now:
            reason = "It would have expired already."
            raise Unprocessable(reason, faults=[Fault("/expiresAt", reason)])
        made = Token(
            id=str(uuid.uuid4()),
            name=name,
            beginning=text[:_SHOWN],
            hash=token_hash(self._pepper, text),
            scope=scope,
            version=1,
            created_at=now,
            created_by=actor(),
            expires_at=expires_at,
        )
        with self._store.transaction():
            if any(each.name == name and each.is_in_force(now) for each in self._store.access.tokens()):
                raise Conflict(f"A token is called {name!r} already. The audit log names tokens; choose another name.")
            self._store.access.add_token(made)
            self._audit.token("create", None, made, now)
            self._publication.token(made)
        return made, text

    def revoke(self, token_id: str) -> None:
        """End a token at once; raises NotFound. To do it again changes nothing."""
        with self._store.transaction():
            former = self._store.access.token(token_id, lock=True)
            if former is None:
                raise NotFound(f"There is no token {token_id}.")
            if former.revoked_at is not None:
                return
            now = self._clock.now()
            revoked = replace(former, revoked_at=now, version=former.version + 1)
            if not self._store.access.change_token(revoked, former.version):
                raise VersionConflict()
            self._audit.token("revoke", former, revoked, now)
            self._publication.token(revoked)

    def find(self, hash: str) -> ApiToken | None:
        """The token of a hash as the guard asks for it; its use is noted once a minute."""
        with self._store.reading():
            found = self._store.access.token_by_hash(hash)
        now = self._clock.now()
        if found is None or not found.is_in_force(now):
            return None
        if found.last_used_at is None or now - found.last_used_at >= _MINUTE:
            with self._store.transaction():
                self._store.access.use_token(found.id, now)
        return ApiToken(id=found.id, name=found.name, scope=found.scope, expires_at=found.expires_at)
