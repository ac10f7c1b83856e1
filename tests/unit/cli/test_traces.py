"""What an audit of an erasure takes for a trace of the customer."""

from __future__ import annotations

import pytest

from services.cli.traces import Wanted


@pytest.mark.parametrize(
    ("value", "kept", "found"),
    [
        ("2026", '{"time":"2026-11-26T15:48:55Z","price":2026}', False),
        ("2026", '{"customerId":2026}', True),
        ("2026", '{"profile":{"idType":"external","id":"2026"}}', True),
        ("2026", "2026", True),
        ("2026", "12026", False),
        ("ada@example.com", "mailto:ADA@example.com", True),
        ("x1", "ax10", False),
        ("x1", b'"X1"', True),
        ("2026", None, False),
        ("2026", 2026, False),
    ],
)
def test_a_value_counts_where_it_is_the_customers(value: str, kept: object, found: bool) -> None:
    assert Wanted.of(value, b"a key of the profile").is_in(kept) is found


def test_the_key_of_the_profile_is_a_trace_wherever_it_stands() -> None:
    assert Wanted.of("2026", b"\x00key").is_in(b"...\x00key...")
