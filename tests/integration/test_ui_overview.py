"""The list of moments, over the real application: what it shows, to whom, in which order, and what is missing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from shared.clock import ManualClock
from tests.support.browsing import Browser, make_administrator, make_user
from tests.support.configuring import Client, running_config

NOON = 1_790_000_000_000_000
SECOND = 1_000_000


@pytest.fixture
def clock() -> ManualClock:
    """A clock that the test moves."""
    return ManualClock(NOON)


@pytest.fixture
def config(tmp_path: Path, clock: ManualClock) -> Iterator[Client]:
    """The service on SQLite; trigger is not there."""
    with running_config(tmp_path, clock=clock, start=False) as client:
        yield client


@pytest.fixture
def editor(config: Client) -> Browser:
    """The browser of somebody who may change moments."""
    make_administrator(config.service)
    return make_user(config.service, "editor", "grace@example.com", "Grace")


def names(answer: Any) -> list[str]:
    """The moments of a page as they are listed."""
    return [unescape(each) for each in re.findall(r"data-panel title=\"([^\"]*)\"><bdi>", answer.text)]


def test_the_list_shows_moments(config: Client, editor: Browser, clock: ManualClock) -> None:
    shop = config.make_configuration()
    config.make_moment(shop["id"], name="Baskets", description="Left behind")

    page = editor.get("/moments")

    assert page.status_code == 200
    assert names(page) == ["Baskets"]
