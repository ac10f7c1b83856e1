"""The profile of a signal, normalised once, before anything else uses it (DOMAIN §2.1)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import phonenumbers

from contracts.texts import composed

LONGEST = 255
_LONGEST_EMAIL = 254
_LARGEST_INTEGER = 2**53
_NAME = r"[^\s@<>()\[\],;:\\\"\x00-\x20\x7f"
_EMAIL = re.compile(rf"{_NAME}]{{1,64}}@(?:{_NAME}.]+\.)+{_NAME}.]+")


class InvalidProfile(ValueError):
    """The value is no profile of that idType; the text says why."""


def normalise_profile(id_type: str, value: Any) -> str:
    """The value that stands for the customer: e-mail trimmed, NFC, lower case; phone E.164; others exact."""
    if id_type == "email":
        return _email(value)
    if id_type == "phone":
        return _phone(value)
    if type(value) in (int, float) and abs(value) <= _LARGEST_INTEGER and not value % 1:
        return str(int(value))
    if type(value) is not str:
        raise InvalidProfile("must be a text or a whole number")
    if not 1 <= len(value) <= LONGEST:
        raise InvalidProfile(f"must have 1 to {LONGEST} characters")
    return value


def _email(value: Any) -> str:
    if type(value) is not str:
        raise InvalidProfile("must be an e-mail address")
    text = value.strip().lower()
    if not text.isascii():
        text = composed(composed(value.strip(), _LONGEST_EMAIL).lower(), _LONGEST_EMAIL)
    if len(text) > _LONGEST_EMAIL or _EMAIL.fullmatch(text) is None:
        raise InvalidProfile("must be an e-mail address")
    return text


def _phone(value: Any) -> str:
    if type(value) is not str or len(value) > 64:
        raise InvalidProfile("must be a phone number as text, in international form: +49 30 123456")
    number = _e164(value)
    if number is None:
        raise InvalidProfile("must be a phone number in international form: +49 30 123456")
    return number


@lru_cache(maxsize=4096)
def _e164(text: str) -> str | None:
    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException:
        return None
    if number.extension or not phonenumbers.is_possible_number(number):
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
