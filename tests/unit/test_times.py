"""Instants as text."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from contracts.times import from_rfc3339, to_datetime, to_rfc3339

YEAR_1 = -62_135_596_800_000_000
YEAR_10000 = 253_402_300_800_000_000


@given(st.integers(YEAR_1, YEAR_10000 - 1))
@example(-1)
@example(-1_000)
@example(1_700_000_000_999_999)
def test_an_instant_as_text_is_the_one_of_its_datetime(instant: int) -> None:
    text = to_rfc3339(instant)

    assert text.endswith("Z")
    assert len(text) == len("2026-11-23T10:15:30.123Z") + (3 if instant % 1000 else 0)
    assert text.removesuffix("Z") + "+00:00" == to_datetime(instant).isoformat(
        timespec="microseconds" if instant % 1000 else "milliseconds"
    )
    assert from_rfc3339(text) == instant
