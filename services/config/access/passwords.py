"""Passwords: what is accepted, how they are kept (argon2id) and compared."""

from __future__ import annotations

import threading
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from contracts.texts import composed
from services.config.access.resources import email_key
from shared.http import Unprocessable
from shared.problems import Fault

SHORTEST, LONGEST = 10, 200
_FEWEST_DIFFERENT = 5
_AT_A_TIME = 2
_KNOWN = frozenset(
    """
    1234567890 12345678910 0123456789 0987654321 1q2w3e4r5t 1qaz2wsx3edc qwertyuiop qwerty12345
    qwerty123456 password12 password123 password1234 password12345 passw0rd123 iloveyou123 iloveyou12
    abcdefghij abcdefghijk abcd123456 abc1234567 letmein123 letmein1234 welcome123 welcome1234
    admin12345 admin123456 administrator changeme123 changeme1234 superman123 football123 baseball123
    sunshine123 princess123 qazwsxedc1 qazwsxedcrfv asdfghjkl1 asdfghjkl123 zxcvbnm123 q1w2e3r4t5
    q1w2e3r4t5y6 1a2b3c4d5e monkey12345 dragon12345 trustno1234 moments123 moments1234 passwort123
    motdepasse contrasena123
    """.split()  # noqa: SIM905 - to be read
)


class Passwords:
    """Hashes and compares passwords. Argon2id takes 64 MiB at a time, so that few are done at once."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher(time_cost=3, memory_cost=65_536, parallelism=1)
        self._turns = threading.BoundedSemaphore(_AT_A_TIME)

    def hash(self, password: str) -> str:
        """The argon2id hash in its PHC form, with a salt of its own."""
        with self._turns:
            return self._hasher.hash(_normal(password))

    def fits(self, password: str, kept: str | None) -> bool:
        """Whether it is the password of a hash; takes as long, and says no, where there is none."""
        with self._turns:
            nobodys = self._nobodys  # made once, by whoever comes first, known or not
            try:
                self._hasher.verify(kept or nobodys, _normal(password))
            except (VerificationError, InvalidHashError):
                return False
        return kept is not None

    def is_outdated(self, kept: str) -> bool:
        """Whether a hash was made with other parameters than are used now."""
        return self._hasher.check_needs_rehash(kept)

    @cached_property
    def _nobodys(self) -> str:
        return self._hasher.hash("the password of nobody")


def check_password(password: str, email: str, pointer: str = "/password") -> None:
    """Raises Unprocessable when a password is too easy to guess."""
    text = _normal(password)
    reason = ""
    if len(text) < SHORTEST:
        reason = f"Use {SHORTEST} characters or more. A few words in a row are good."
    elif len(text) > LONGEST:
        reason = f"Use {LONGEST} characters or fewer."
    elif len(set(text)) < _FEWEST_DIFFERENT:
        reason = "It repeats too few characters."
    elif text.casefold() in _KNOWN or text.casefold() == email_key(email):
        reason = "It is one of the first that somebody would try."
    if reason:
        raise Unprocessable(reason, faults=[Fault(pointer, reason)])


def _normal(password: str) -> str:
    """The same characters, however the keyboard composed them (surrogates, which no keyboard makes, are replaced)."""
    return composed(password, LONGEST).encode("utf-8", "replace").decode()
