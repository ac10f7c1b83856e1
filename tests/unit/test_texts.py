"""Texts in one form, in a time that nobody who sends them can stretch."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Callable
from contextlib import suppress

import marshmallow as ma
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.configurations import InvalidDomain, normalise_domain
from contracts.profiles import InvalidProfile, normalise_profile
from contracts.texts import composed
from services.config.access.guard import local_path
from services.config.access.resources import email_key
from services.config.schemas import NewConfigurationSchema
from services.ingestion.segment.mapping import declared_table, to_signal
from services.trigger.webhooks.schemas import NewWebhookSchema
from shared.http import Unprocessable
from tests.support.browsing import QUICK
from tests.support.processes import stretched

MARKS = "a" + "\u0316\u0301" * 40_000
"""Ten seconds of composing."""


@given(st.text(max_size=40), st.integers(0, 12))
def test_a_text_that_is_short_enough_in_nfc_is_told_in_nfc_and_any_other_stays_too_long(
    text: str, longest: int
) -> None:
    whole = unicodedata.normalize("NFC", text)

    found = composed(text, longest)

    assert found == whole if len(whole) <= longest else len(found) > longest


def test_the_letter_of_the_most_marks_is_composed_whatever_the_bound() -> None:
    assert composed("α\u0313\u0300\u0345", 1) == "\u1f82"


def _wrong_password(text: str) -> None:
    QUICK.fits(text, QUICK.hash("four words in a row"))


def _call_of(url: str) -> object:
    """A call of a Segment client from a page of that address."""
    call = {"event": "Product Viewed", "properties": {"product_id": "mug"}, "context": {"page": {"url": url}}}
    return to_signal(call, "track", frozenset(("email",)), None, declared_table(), {})


@pytest.mark.parametrize(
    "judge",
    [
        lambda text: normalise_profile("email", f"{text}@example.com"),
        lambda text: normalise_domain(f"{text}.example.com"),
        lambda text: NewConfigurationSchema().load({"name": text}),
        lambda text: NewWebhookSchema().load({"name": text}),
        _wrong_password,
        email_key,
        lambda text: local_path(f"//{text}"),
        lambda text: local_path(f"/{text}"),
        lambda text: _call_of(f"https://{text}"),
        lambda text: _call_of(f"https://shop.example.com/?{text}"),
    ],
)
def test_half_a_megabyte_of_marks_on_one_letter_takes_no_time(judge: Callable[[str], object]) -> None:
    began = time.process_time()

    with suppress(InvalidProfile, InvalidDomain, ma.ValidationError, Unprocessable):
        judge(MARKS)

    assert time.process_time() - began < stretched(1)
