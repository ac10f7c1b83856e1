"""What can be done with users: inviting, links, roles, passwords (each in one transaction with its audit entry)."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass, replace
from typing import Any

from services.config.access.errors import EmailTaken, LastAdministrator, LinkSpent, WrongPassword
from services.config.access.oidc import Identity
from services.config.access.passwords import Passwords, check_password
from services.config.access.resources import Link, Purpose, Role, Session, User
from services.config.access.sessions import Sessions, token_hash, viewer_of
from services.config.access.throttle import Throttle
from services.config.access.viewer import Viewer, acts, signed_in
from services.config.audit import Audit
from services.config.store import ConfigStore, ReferenceBroken
from shared.clock import Clock
from shared.conditions import ANY_VERSION, Expected, VersionConflict
from shared.http import Conflict, NotAllowed, NotFound, Unprocessable
from shared.problems import Fault
from shared.settings import OidcSettings

_HOUR = 3_600_000_000
LINK_LASTS: dict[Purpose, int] = {"first": 24 * _HOUR, "invite": 7 * 24 * _HOUR, "reset": 24 * _HOUR}

_TAKEN_UP: dict[Purpose, str] = {"invite": "accept invitation", "reset": "set password"}


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A person who has just signed in; `token` is for the cookie and nowhere else."""

    token: str
    user: User
    session: Session


class People:
    """Users and how they come in."""

    def __init__(
        self,
        store: ConfigStore,
        audit: Audit,
        clock: Clock,
        passwords: Passwords,
        sessions: Sessions,
        throttle: Throttle,
        oidc: OidcSettings | None = None,
    ) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock
        self._passwords = passwords
        self._sessions = sessions
        self._throttle = throttle
        self._oidc = oidc

    # Looking.

    def all(self) -> list[User]:
        """All users, by name."""
        with self._store.reading():
            return self._store.access.users()

    def get(self, user_id: str) -> User:
        """One user; raises NotFound."""
        with self._store.reading():
            return self._known(user_id)

    def have_an_administrator(self) -> bool:
        """Whether an administrator can sign in."""
        with self._store.reading():
            return self._store.access.has_administrator()

    # Coming in.

    def sign_in(self, email: str, password: str, address: str, browser: str) -> SignedIn:
        """Open a session by a password; raises WrongPassword and TooOften, alike for any e-mail address."""
        self._throttle.begin(email, address)
        with self._store.reading():
            user = self._store.access.user_by_email(email)
        kept = None if user is None or user.disabled else user.password_hash
        if not self._passwords.fits(password, kept) or user is None or kept is None:
            raise WrongPassword("The e-mail address or the password is not right.")
        self._throttle.succeeded(email, address)
        newer = self._passwords.hash(password) if self._passwords.is_outdated(kept) else kept
        with self._store.transaction():
            present = self._known(user.id, lock=True)
            if present.disabled or present.password_hash != kept:
                raise WrongPassword("The e-mail address or the password is not right.")
            return self._enter(replace(present, password_hash=newer), browser)

    def enter_by(self, identity: Identity, browser: str) -> SignedIn:
        """Open a session for whom the identity provider names; raises NotAllowed.

        A user is found by the identity, else by an e-mail address that the provider has verified; else one is made,
        where there is a role for them. What the provider says of the role counts at each sign-in.
        """
        assert self._oidc is not None
        try:
            with self._store.transaction():
                user = self._identified(identity)
                if user.disabled:
                    raise NotAllowed("You are disabled here. Ask an administrator.")
                return self._enter(self._with_role(user, identity.role), browser)
        except ReferenceBroken as error:  # the same person came in by another browser at this moment
            raise Conflict("Try again.") from error

    def _identified(self, identity: Identity) -> User:
        found = self._store.access.user_by_subject(identity.subject)
        if found is not None:
            return found
        known = self._store.access.user_by_email(identity.email)
        if known is None:
            return self._made_for(identity)
        if not identity.email_is_verified or known.subject is not None:
            raise NotAllowed("Somebody else has your e-mail address here. Ask an administrator.")
        return self._write("link identity", known, replace(known, subject=identity.subject))

    def _made_for(self, identity: Identity) -> User:
        role = identity.role or (self._oidc.default_role if self._oidc is not None else None)
        if role is None:
            raise NotAllowed("You have no role here. Ask an administrator for an invitation.")
        now = self._clock.now()
        made = User(
            id=str(uuid.uuid4()),
            name=identity.name,
            email=identity.email,
            role=role,
            disabled=False,
            version=1,
            created_at=now,
            updated_at=now,
            subject=identity.subject,
        )
        self._store.access.add_user(made)
        acts(viewer_of(made, ""))
        self._audit.user("create", None, made, now)
        return made

    def _with_role(self, user: User, role: Role | None) -> User:
        """The user with the role that the provider tells; the last administrator stays one."""
        if role is None or role == user.role:
            return user
        if user.role == "admin":
            others = [each for each in self._store.access.administrators() if each.id != user.id]
            if not any(each.status == "active" for each in others):
                return user
        self._store.access.remove_sessions(user.id)
        return self._write("change", user, replace(user, role=role))

    def sign_out(self, viewer: Viewer) -> None:
        """End the viewer's session."""
        with self._store.transaction():
            self._store.access.remove_session(viewer.id, viewer.session_id)

    def _enter(self, user: User, browser: str) -> SignedIn:
        """Open a session in the caller's transaction; the browser's former one ends, the person acts from here on."""
        former = signed_in()
        if former is not None:
            self._store.access.remove_session(former.id, former.session_id)
        entered = replace(user, signed_in_at=self._clock.now(), version=user.version + 1)
        if not self._store.access.change_user(entered, user.version):
            raise VersionConflict()
        token, session = self._sessions.open(entered, browser)
        acts(viewer_of(entered, session.id))
        self._audit.event("user", "sign in", entered.id, self._clock.now())
        return SignedIn(token, entered, session)

    # Links.

    def first_link(self) -> str | None:
        """The token of a link that makes the first administrator; None when there is one."""
        with self._store.transaction():
            return None if self._store.access.has_administrator() else self._make_link("first", None)

    def invite(self, *, name: str, email: str, role: Role) -> tuple[User, str]:
        """A new user and the token of the link by which they set a name and a password; raises EmailTaken."""
        now = self._clock.now()
        made = User(
            id=str(uuid.uuid4()),
            name=name,
            email=email,
            role=role,
            disabled=False,
            version=1,
            created_at=now,
            updated_at=now,
        )
        try:
            with self._store.transaction():
                self._add(made)
                self._audit.user("invite", None, made, now)
                return made, self._make_link("invite", made.id)
        except ReferenceBroken as error:  # invited by somebody else at this moment
            raise EmailTaken(f"{email} is a user already.") from error

    def link_for(self, user_id: str) -> str:
        """The token of a new link for a password (or for an invitation once more); former ones stop working."""
        with self._store.transaction():
            user = self._known(user_id, lock=True)
            if user.disabled:
                raise Conflict("The user is disabled. Enable them first.")
            self._store.access.remove_links(user.id)
            self._audit.event("user", "make link", user.id, self._clock.now())
            return self._make_link("invite" if user.status == "invited" else "reset", user.id)

    def link(self, token: str) -> tuple[Link, User | None]:
        """What a link is for, and for whom; raises LinkSpent."""
        with self._store.reading():
            return self._link(token)

    def welcome(self, token: str, *, name: str, email: str, password: str, browser: str) -> SignedIn:
        """Take a link up: set the password and come in; of two at once one succeeds. Raises LinkSpent, Unprocessable.

        `name` and `email` are those of the first administrator; one who was invited keeps the e-mail address.
        """
        _, invited = self.link(token)
        check_password(password, invited.email if invited is not None else email)
        hashed = self._passwords.hash(password)
        with self._store.transaction():
            link, user = self._link(token)
            taken = self._store.access.take_links(link.purpose, link.user_id)
            if token_hash(token) not in {each.token_hash for each in taken}:
                raise LinkSpent()
            if user is None:
                user = self._first_administrator(name, email, hashed)
            entered = self._take_up(user, name if link.purpose == "invite" else user.name, hashed, browser)
            if link.purpose in _TAKEN_UP:
                self._audit.event("user", _TAKEN_UP[link.purpose], user.id, self._clock.now())
            return entered

    def _link(self, token: str) -> tuple[Link, User | None]:
        found = self._store.access.link(token_hash(token))
        if found is None or self._clock.now() >= found.expires_at:
            raise LinkSpent("It was used already, or is too old. Ask for a new one.")
        user = None if found.user_id is None else self._store.access.user(found.user_id, lock=True)
        if user is not None and user.disabled:
            raise LinkSpent("Ask an administrator to enable you.")
        return found, user

    def _make_link(self, purpose: Purpose, user_id: str | None) -> str:
        token, now = secrets.token_urlsafe(32), self._clock.now()
        self._store.access.add_link(
            Link(
                token_hash=token_hash(token),
                purpose=purpose,
                user_id=user_id,
                created_at=now,
                expires_at=now + LINK_LASTS[purpose],
            )
        )
        return token

    def _first_administrator(self, name: str, email: str, hashed: str) -> User:
        if self._store.access.has_administrator():
            raise LinkSpent("There is an administrator already. Ask them for an invitation.")
        now = self._clock.now()
        made = User(
            id=str(uuid.uuid4()),
            name=name,
            email=email,
            role="admin",
            disabled=False,
            version=1,
            created_at=now,
            updated_at=now,
            password_hash=hashed,
        )
        self._add(made)
        acts(viewer_of(made, ""))
        self._audit.user("create", None, made, now)
        return made

    def _take_up(self, user: User, name: str, hashed: str, browser: str) -> SignedIn:
        self._store.access.remove_sessions(user.id)
        self._store.access.remove_links(user.id)
        changed = replace(user, name=name, password_hash=hashed, updated_at=self._clock.now(), version=user.version + 1)
        if not self._store.access.change_user(changed, user.version):
            raise VersionConflict()
        return self._enter(changed, browser)

    # Changing.

    def change(self, user_id: str, changes: dict[str, Any], expected: Expected = ANY_VERSION) -> User:
        """Change a name, role, zone or `disabled`. A new role and disabling end all sessions.

        Raises NotFound, VersionConflict, LastAdministrator.
        """
        with self._store.transaction():
            others = [each for each in self._store.access.administrators() if each.id != user_id]
            former = self._known(user_id, lock=True)
            expected.check(former)
            wanted = replace(former, **changes)
            if wanted == former:
                return former
            if former.role == "admin" and (wanted.role != "admin" or wanted.disabled):
                _keep_an_administrator(others)
            if (wanted.role, wanted.disabled) != (former.role, former.disabled):
                self._store.access.remove_sessions(user_id)
            if wanted.disabled:
                self._store.access.remove_links(user_id)
            return self._write("change", former, wanted)

    def change_password(self, viewer: Viewer, present: str, password: str, address: str, browser: str) -> SignedIn:
        """Set another password; every session ends and a new one begins here. Raises Unprocessable, TooOften."""
        self._throttle.begin(viewer.email, address)
        former = self.get(viewer.id)
        if not self._passwords.fits(present, former.password_hash):
            reason = "It is not your present password."
            raise Unprocessable(reason, faults=[Fault("/present", reason)])
        self._throttle.succeeded(viewer.email, address)
        check_password(password, former.email)
        hashed = self._passwords.hash(password)
        with self._store.transaction():
            user = self._known(viewer.id, lock=True)
            if user.password_hash != former.password_hash:
                raise VersionConflict()
            self._audit.event("user", "change password", user.id, self._clock.now())
            return self._take_up(user, user.name, hashed, browser)

    def remove(self, user_id: str) -> None:
        """Delete a user who has never come in; raises NotFound, Conflict."""
        with self._store.transaction():
            user = self._known(user_id, lock=True)
            if user.status != "invited" and user.signed_in_at is not None:
                raise Conflict("They have signed in before; disable them instead.")
            if not self._store.access.remove_user(user):
                raise VersionConflict()
            self._audit.user("delete", user, None, self._clock.now())

    def forget(self) -> None:
        """Delete the links that have expired."""
        with self._store.transaction():
            self._store.access.forget_links(self._clock.now())

    def _known(self, user_id: str, *, lock: bool = False) -> User:
        found = self._store.access.user(user_id, lock=lock)
        if found is None:
            raise NotFound(f"There is no user {user_id}.")
        return found

    def _add(self, made: User) -> None:
        """Write a new user in the caller's transaction."""
        if self._store.access.user_by_email(made.email) is not None:
            reason = f"{made.email} is a user already."
            raise EmailTaken(reason, faults=[Fault("/email", reason)])
        self._store.access.add_user(made)

    def _write(self, action: str, former: User, wanted: User) -> User:
        now = max(self._clock.now(), former.updated_at + 1)
        changed = replace(wanted, version=former.version + 1, updated_at=now)
        if not self._store.access.change_user(changed, former.version):
            raise VersionConflict()
        self._audit.user(action, former, changed, now)
        return changed


def _keep_an_administrator(others: list[User]) -> None:
    if not any(each.status == "active" for each in others):
        raise LastAdministrator("Make somebody else an administrator first.")
