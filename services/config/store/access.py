"""The tables of access: users, sessions, links, attempts to sign in, API tokens."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import peewee

from services.config.access.resources import Attempts, Link, Purpose, Session, Token, User, email_key
from services.config.resources import folded
from services.config.store.rows import Row, Rows

_USER_COLUMNS = (
    *("id", "name", "name_key", "email", "email_key", "role", "password_hash", "subject", "disabled", "zone"),
    *("version", "created_at", "updated_at", "signed_in_at"),
)
_SESSION_COLUMNS = ("id", "token_hash", "user_id", "browser", "created_at", "seen_at", "expires_at")
_TOKEN_COLUMNS = (
    *("id", "name", "beginning", "hash", "scope", "version", "created_at", "created_by"),
    *("expires_at", "last_used_at", "revoked_at"),
)
_LINK_COLUMNS = ("token_hash", "purpose", "user_id", "created_at", "expires_at")


class AccessStore:
    """The tables of access. Every call needs the config store's `reading()` or `transaction()` around it."""

    def __init__(self, database: peewee.Database) -> None:
        self._users = Rows(database, "users", _USER_COLUMNS)
        self._sessions = Rows(database, "sessions", _SESSION_COLUMNS)
        self._links = Rows(database, "links", _LINK_COLUMNS)
        self._tokens = Rows(database, "api_tokens", _TOKEN_COLUMNS)
        self._attempts = Rows(database, "attempts", ("key", "failures", "last_at"))

    # Users.

    def has_administrator(self) -> bool:
        """Whether an administrator can sign in."""
        return any(user_of(row).status == "active" for row in self._users.find(self._users.table.role == "admin"))

    def user(self, user_id: str, *, lock: bool = False) -> User | None:
        """One user."""
        return _one(self._users.find(self._users.table.id == user_id, lock=lock))

    def user_by_email(self, email: str) -> User | None:
        """The user of an e-mail address, without regard to case."""
        if "\0" in email:  # PostgreSQL does not take it
            return None
        return _one(self._users.find(self._users.table.email_key == email_key(email)))

    def user_by_subject(self, subject: str) -> User | None:
        """The user of an identity at the provider."""
        return _one(self._users.find(self._users.table.subject == subject))

    def users(self) -> list[User]:
        """All users, by name."""
        return [user_of(row) for row in sorted(self._users.find(), key=lambda row: (row["name_key"], row["email_key"]))]

    def administrators(self) -> list[User]:
        """The users of the highest role, held until the transaction ends."""
        return [user_of(row) for row in self._users.find(self._users.table.role == "admin", lock=True)]

    def add_user(self, value: User) -> None:
        """Write a new user; another of the same e-mail address breaks the transaction."""
        self._users.table.insert(**user_row(value)).execute()

    def change_user(self, value: User, former: int) -> bool:
        """Write a user; False when it has not the `former` version any more."""
        table = self._users.table
        changed = table.update(**user_row(value)).where(table.id == value.id, table.version == former)
        return bool(changed.execute())

    def remove_user(self, value: User) -> bool:
        """Delete a user with sessions and links; False when it has another version by now."""
        table = self._users.table
        return bool(table.delete().where(table.id == value.id, table.version == value.version).execute())

    # Sessions.

    def session(self, token_hash: str) -> Session | None:
        """The session of a token."""
        rows = self._sessions.find(self._sessions.table.token_hash == token_hash)
        return Session(**rows[0]) if rows else None

    def sessions_of(self, user_id: str) -> list[Session]:
        """A user's sessions, the latest used first."""
        rows = self._sessions.find(self._sessions.table.user_id == user_id)
        return [Session(**row) for row in sorted(rows, key=lambda row: (-int(row["seen_at"]), row["id"]))]

    def add_session(self, value: Session) -> None:
        """Write a new session."""
        self._sessions.table.insert(**asdict(value)).execute()

    def see_session(self, session_id: str, now: int) -> None:
        """Note that a session is in use."""
        table = self._sessions.table
        table.update(seen_at=now).where(table.id == session_id).execute()

    def remove_session(self, user_id: str, session_id: str) -> bool:
        """Delete one session of a user."""
        table = self._sessions.table
        return bool(table.delete().where(table.id == session_id, table.user_id == user_id).execute())

    def remove_sessions(self, user_id: str, but: str = "") -> int:
        """Delete a user's sessions, all but one."""
        table = self._sessions.table
        return int(table.delete().where(table.user_id == user_id, table.id != but).execute())

    def forget_sessions(self, idle_since: int, now: int) -> int:
        """Delete the sessions that have ended."""
        table = self._sessions.table
        return int(table.delete().where((table.expires_at <= now) | (table.seen_at <= idle_since)).execute())

    # Links.

    def link(self, token_hash: str) -> Link | None:
        """The link of a token."""
        rows = self._links.find(self._links.table.token_hash == token_hash)
        return Link(**rows[0]) if rows else None

    def add_link(self, value: Link) -> None:
        """Write a new link."""
        self._links.table.insert(**asdict(value)).execute()

    def take_links(self, purpose: Purpose, user_id: str | None) -> list[Link]:
        """Delete all links of a purpose for a user and return them: whoever comes at the same time gets none."""
        table = self._links.table
        owner = table.user_id.is_null() if user_id is None else table.user_id == user_id
        taken = [Link(**row) for row in self._links.find(table.purpose == purpose, owner, lock=True)]
        table.delete().where(table.purpose == purpose, owner).execute()
        return taken

    def remove_links(self, user_id: str) -> None:
        """Delete all links for a user."""
        table = self._links.table
        table.delete().where(table.user_id == user_id).execute()

    def forget_links(self, now: int) -> int:
        """Delete the links that have expired."""
        table = self._links.table
        return int(table.delete().where(table.expires_at <= now).execute())

    # Tokens.

    def tokens(self) -> list[Token]:
        """All tokens, the newest first."""
        rows = sorted(self._tokens.find(), key=lambda row: (-int(row["created_at"]), row["id"]))
        return [Token(**row) for row in rows]

    def token(self, token_id: str, *, lock: bool = False) -> Token | None:
        """One token."""
        rows = self._tokens.find(self._tokens.table.id == token_id, lock=lock)
        return Token(**rows[0]) if rows else None

    def token_by_hash(self, hash: str) -> Token | None:
        """The token of a hash."""
        rows = self._tokens.find(self._tokens.table.hash == hash)
        return Token(**rows[0]) if rows else None

    def add_token(self, value: Token) -> None:
        """Write a new token."""
        self._tokens.table.insert(**asdict(value)).execute()

    def change_token(self, value: Token, former: int) -> bool:
        """Write when a token was revoked; False when it has not the `former` version any more."""
        table = self._tokens.table
        changed = table.update(version=value.version, revoked_at=value.revoked_at)
        return bool(changed.where(table.id == value.id, table.version == former).execute())

    def use_token(self, token_id: str, now: int) -> None:
        """Note that a token was used."""
        table = self._tokens.table
        table.update(last_used_at=now).where(table.id == token_id).execute()

    # Attempts to sign in.

    def attempts(self, key: str) -> Attempts:
        """The attempts of an account or address, made if need be and held until the transaction ends."""
        table = self._attempts.table
        table.insert(key=key, failures=0, last_at=0).on_conflict_ignore().execute()
        return Attempts(**self._attempts.find(table.key == key, lock=True)[0])

    def set_attempts(self, value: Attempts) -> None:
        """Write the attempts of an account or address."""
        table = self._attempts.table
        table.update(failures=value.failures, last_at=value.last_at).where(table.key == value.key).execute()

    def forget_attempts(self, before: int) -> int:
        """Delete the counts whose last attempt is older."""
        table = self._attempts.table
        return int(table.delete().where(table.last_at <= before).execute())


def user_row(value: User) -> Row:
    """The row of a user."""
    return {**asdict(value), "name_key": folded(value.name), "email_key": email_key(value.email)}


def user_of(row: Row) -> User:
    """The user of a row."""
    fields: dict[str, Any] = {name: value for name, value in row.items() if name not in ("name_key", "email_key")}
    return User(**{**fields, "disabled": bool(row["disabled"])})


def _one(rows: list[Row]) -> User | None:
    return user_of(rows[0]) if rows else None
