"""Config's tables: a write names the version it replaces, references hold."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from services.config.store import ConfigStore, ReferenceBroken
from tests.support.configuring import Client, running_config


@pytest.fixture
def config(tmp_path: Path, database_url: str) -> Iterator[Client]:
    """The service on each database, without its background work."""
    with running_config(tmp_path, database_url, start=False) as client:
        yield client


@pytest.fixture
def store(config: Client) -> ConfigStore:
    """Its tables."""
    return config.service.store


def test_a_configuration_is_written_only_over_the_version_it_was_made_from(config: Client, store: ConfigStore) -> None:
    known = config.service.program.configurations.get(config.make_configuration()["id"])
    second, third = (replace(known, version=number, name=str(number)) for number in (2, 3))

    with store.transaction():
        assert store.change_configuration(second, 1)
        assert not store.change_configuration(third, 1)
        assert not store.remove_configuration(known, 0)

    with store.reading():
        found = store.configuration(known.id)
        assert store.deletions() == []
    assert found is not None
    assert (found.name, len(found.keys)) == ("2", 3)


def test_a_moment_is_written_only_over_the_version_it_was_made_from(config: Client, store: ConfigStore) -> None:
    made = config.make_moment(config.make_configuration()["id"])
    known = config.service.program.moments.get(made["id"])
    second, third = (replace(known, version=number, name=str(number)) for number in (2, 3))

    with store.transaction():
        assert store.change_moment(second, 1)
        assert not store.change_moment(third, 1)
        assert not store.remove_moment(known, 0)

    with store.reading():
        assert store.moment(known.id) == second
        assert store.deletions() == []


def test_a_moment_cannot_refer_to_a_configuration_that_is_gone(config: Client, store: ConfigStore) -> None:
    made = config.make_moment(config.make_configuration()["id"])
    known = config.service.program.moments.get(made["id"])

    with pytest.raises(ReferenceBroken), store.transaction():
        store.change_moment(replace(known, configuration_id=str(uuid.UUID(int=1)), version=2), 1)

    with store.reading():
        assert store.moment(known.id) == known


def test_a_configuration_that_is_referred_to_cannot_be_removed_by_the_store_either(
    config: Client, store: ConfigStore
) -> None:
    made = config.make_configuration()
    config.make_moment(made["id"])
    known = config.service.program.configurations.get(made["id"])

    with pytest.raises(ReferenceBroken), store.transaction():
        store.remove_configuration(known, 0)

    assert config.get(f"/api/v1/audience-configurations/{made['id']}")["keys"]
