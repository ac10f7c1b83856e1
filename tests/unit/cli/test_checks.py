"""What `moments test` decides before pytest runs."""

from __future__ import annotations

import pytest

from services.cli.checks import SERVERS, in_ci, missing_servers


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("1", True), ("false", False), ("", False)])
def test_ci_is_told_by_the_environment(value: str, expected: bool) -> None:
    assert in_ci({"CI": value}) is expected


def test_outside_of_ci_nothing_is_implied() -> None:
    assert not in_ci({})


def test_every_server_says_whether_it_can_be_started_here() -> None:
    missing = missing_servers()

    assert set(missing) <= set(SERVERS)
    assert all(reason for reason in missing.values())
