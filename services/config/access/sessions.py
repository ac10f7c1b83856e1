"""Sessions of browsers: rows on the server, recognised by the hash of a random token in a cookie."""

from __future__ import annotations

import hashlib
import secrets
import uuid

from services.config.access.resources import Session, User
from services.config.access.viewer import Viewer
from services.config.store import ConfigStore
from shared.clock import Clock
from shared.http import NotFound

_MINUTE = 60_000_000
_LONGEST_BROWSER = 200


class Sessions:
    """Opens, recognises and ends sessions. `idle`, `longest`: µs after the latest use and after the sign-in."""

    def __init__(self, store: ConfigStore, clock: Clock, *, idle: int, longest: int) -> None:
        self._store = store
        self._clock = clock
        self._idle = idle
        self._longest = longest

    def open(self, user: User, browser: str) -> tuple[str, Session]:
        """A new session in the caller's transaction: its token, this once, and its row."""
        token, now = secrets.token_urlsafe(32), self._clock.now()
        made = Session(
            id=str(uuid.uuid4()),
            token_hash=token_hash(token),
            user_id=user.id,
            browser=browser[:_LONGEST_BROWSER],
            created_at=now,
            seen_at=now,
            expires_at=now + self._longest,
        )
        self._store.access.add_session(made)
        return token, made

    def recognise(self, token: str) -> Viewer | None:
        """Who is signed in by a token; None when the session has ended, or the person is disabled."""
        now = self._clock.now()
        with self._store.reading():
            found = self._store.access.session(token_hash(token))
            user = None if found is None or self._has_ended(found, now) else self._store.access.user(found.user_id)
        if found is None or user is None or user.disabled:
            return None
        if now - found.seen_at >= _MINUTE:
            with self._store.transaction():
                self._store.access.see_session(found.id, now)
        return viewer_of(user, found.id)

    def of(self, user_id: str) -> list[Session]:
        """A user's sessions that have not ended, the latest used first."""
        now = self._clock.now()
        with self._store.reading():
            return [each for each in self._store.access.sessions_of(user_id) if not self._has_ended(each, now)]

    def end(self, user_id: str, session_id: str) -> None:
        """End one session of a user; raises NotFound."""
        with self._store.transaction():
            if not self._store.access.remove_session(user_id, session_id):
                raise NotFound("This session has ended already.")

    def end_others(self, user_id: str, but: str) -> int:
        """End all of a user's sessions but one; how many."""
        with self._store.transaction():
            return self._store.access.remove_sessions(user_id, but)

    def forget(self) -> int:
        """Delete the rows of sessions that have ended."""
        now = self._clock.now()
        with self._store.transaction():
            return self._store.access.forget_sessions(now - self._idle, now)

    def _has_ended(self, session: Session, now: int) -> bool:
        return now >= session.expires_at or now - session.seen_at >= self._idle


def viewer_of(user: User, session_id: str) -> Viewer:
    """A user as the viewer of pages in a session."""
    return Viewer(id=user.id, name=user.name, email=user.email, role=user.role, zone=user.zone, session_id=session_id)


def token_hash(token: str) -> str:
    """The hash under which a token of 256 random bits is kept; it needs no salt and no stretching."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
