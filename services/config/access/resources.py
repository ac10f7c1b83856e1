"""Users, sessions, links and tokens, as values. Times are microseconds since 1970 on config's clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from contracts.texts import composed
from contracts.tokens import Scope

Role = Literal["viewer", "editor", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""From the least to the most; each may do what those before it may."""

Purpose = Literal["first", "invite", "reset"]
"""What a link is for: making the first administrator, taking up an invitation, a new password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person who may sign in. `password_hash`: argon2id, None until a password is set. `zone`: IANA, or empty.

    `subject`: who the person is at the identity provider, once signed in by it.
    """

    id: str
    name: str
    email: str
    role: Role
    disabled: bool
    version: int
    created_at: int
    updated_at: int
    password_hash: str | None = None
    subject: str | None = None
    zone: str = ""
    signed_in_at: int | None = None

    @property
    def status(self) -> Literal["active", "invited", "disabled"]:
        """Whether the person can sign in, has not yet, or must not."""
        if self.disabled:
            return "disabled"
        return "active" if self.password_hash or self.subject else "invited"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A browser that is signed in. The token itself is only in its cookie."""

    id: str
    token_hash: str
    user_id: str
    browser: str
    created_at: int
    seen_at: int
    expires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link that works once. `user_id`: whom it is for; None for the first administrator."""

    token_hash: str
    purpose: Purpose
    user_id: str | None
    created_at: int
    expires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token for programs. `beginning`: its first letters, to tell it from others; the rest is kept as a hash."""

    id: str
    name: str
    beginning: str
    hash: str
    scope: Scope
    version: int
    created_at: int
    created_by: str
    expires_at: int | None = None
    last_used_at: int | None = None
    revoked_at: int | None = None

    def is_in_force(self, now: int) -> bool:
        """Whether it is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """Attempts to sign in of one account or address that have not succeeded."""

    key: str
    failures: int
    last_at: int


LONGEST_EMAIL = 254


def email_key(email: str) -> str:
    """An e-mail address as it is compared."""
    return composed(email.strip(), LONGEST_EMAIL, "NFKC").casefold()
