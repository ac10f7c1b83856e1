"""Passwords: how they are kept, compared and judged."""

from __future__ import annotations

import time

import pytest
from argon2 import PasswordHasher, Type, extract_parameters

from services.config.access.passwords import Passwords, check_password
from services.config.access.throttle import ACCOUNT, ADDRESS
from shared.http import Unprocessable
from tests.support.browsing import QUICK


def test_a_password_is_kept_as_argon2id_with_64_mib_in_three_passes_and_a_salt_of_its_own() -> None:
    passwords = Passwords()

    kept = passwords.hash("four words in a row")

    found = extract_parameters(kept)
    assert found.type is Type.ID
    assert (found.time_cost, found.memory_cost, found.salt_len, found.hash_len) == (3, 65_536, 16, 32)
    assert passwords.hash("four words in a row") != kept
    assert passwords.fits("four words in a row", kept)
    assert not passwords.fits("four words in a Row", kept)
    assert not passwords.is_outdated(kept)
    assert passwords.is_outdated(QUICK.hash("four words in a row"))


def test_nobody_takes_as_long_as_somebody_and_fits_never() -> None:
    passwords = Passwords(PasswordHasher(time_cost=2, memory_cost=16_384, parallelism=1))
    kept = passwords.hash("four words in a row")
    passwords.fits("x", None)

    def seconds(against: str | None) -> float:
        began = time.process_time()
        assert not passwords.fits("the password of somebody", against)
        return time.process_time() - began

    known, unknown = (min(seconds(each) for _ in range(5)) for each in (kept, None))

    assert not passwords.fits("the password of nobody", None)
    assert known / 2 < unknown < known * 2


def test_a_password_is_the_same_however_a_keyboard_composes_it() -> None:
    kept = QUICK.hash("caf\u00e9 au lait \u5199")

    assert QUICK.fits("cafe\u0301 au lait \u5199", kept)
    assert not QUICK.fits("cafe au lait \u5199", kept)
    assert not QUICK.fits("\ud800", kept)
    assert not QUICK.fits("anything", "no hash")


@pytest.mark.parametrize("password", ["ten tokens", "четыре слова", "😀🎉🚀🌍🔥💧🌱⭐🎈🍀", "a" * 195 + "bcdef"])
def test_a_password_that_is_hard_to_guess_is_taken(password: str) -> None:
    check_password(password, "ada@example.com")


@pytest.mark.parametrize(
    "password", ["nine char", "", "abababababab", "a" * 196 + "bcdef", "PASSWORD1234", "Ada@Example.com", "1q2w3e4r5t"]
)
def test_a_password_that_is_easy_to_guess_is_refused(password: str) -> None:
    with pytest.raises(Unprocessable) as refused:
        check_password(password, "ada@example.com")
    assert refused.value.faults[0].pointer == "/password"


def test_pauses_double_up_to_a_longest() -> None:
    assert [ACCOUNT.pause(failures) // 1_000_000 for failures in (0, 4, 5, 6, 12, 13, 14, 10_000)] == [
        *(0, 0, 1, 2, 128, 256, 300, 300),
    ]
    assert [ADDRESS.pause(failures) // 1_000_000 for failures in (19, 20, 29, 30, 10_000)] == [0, 1, 512, 900, 900]
