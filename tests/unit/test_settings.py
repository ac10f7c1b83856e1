"""Settings: read once, checked, secrets kept."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from shared.settings import InvalidSetting, Settings, documented_settings, kept_secret


def settings(folder: Path, **environ: str) -> Settings:
    """The settings of an environment with its data in `folder`."""
    return Settings.from_environment({"MOMENTS_DATA": str(folder), **environ})


def test_the_defaults_need_nothing_but_a_folder(tmp_path: Path) -> None:
    found = settings(tmp_path)

    assert found.broker_url == f"embedded://{tmp_path}/broker.db"
    assert found.config_database_url == f"sqlite://{tmp_path}/config.db"
    assert found.trigger_database_url == f"sqlite://{tmp_path}/trigger.db"
    assert (found.host, found.port_base, found.partitions, found.ingestion_workers) == ("127.0.0.1", 8081, 16, 2)
    assert found.expiry == 86_400 * 1_000_000
    assert found.retention == 30 * 86_400 * 1_000_000
    assert found.signals_retention == 30 * 86_400 * 1_000_000
    assert found.profiles_retention == found.audit_retention == 400 * 86_400 * 1_000_000
    assert found.housekeeping == 3_600 * 1_000_000
    assert not list(tmp_path.iterdir())


def test_one_database_url_serves_all_and_each_service_may_have_its_own(tmp_path: Path) -> None:
    found = settings(
        tmp_path,
        MOMENTS_DATABASE_URL="postgresql://db/all",
        MOMENTS_TRIGGER_DATABASE_URL="postgresql://db/trigger",
        MOMENTS_BROKER_URL="amqp://broker/",
    )

    assert found.config_database_url == found.ingestion_database_url == "postgresql://db/all"
    assert found.trigger_database_url == "postgresql://db/trigger"
    assert found.broker_url == "amqp://broker/"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MOMENTS_BROKER_URL", "redis://x"),
        ("MOMENTS_BROKER_URL", "embedded://x"),
        ("MOMENTS_DATABASE_URL", "mysql://x"),
        ("MOMENTS_DATABASE_URL", "sqlite:///one-file-for-three-services.db"),
        ("MOMENTS_PORT_BASE", "0"),
        ("MOMENTS_PORT_BASE", "65534"),
        ("MOMENTS_PARTITIONS", "0"),
        ("MOMENTS_PARTITIONS", "1.5"),
        ("MOMENTS_EXPIRY", "-1"),
        ("MOMENTS_RETENTION_DAYS", "٣"),
        ("MOMENTS_SIGNALS_DAYS", "6"),
        ("MOMENTS_PROFILES_DAYS", "0"),
        ("MOMENTS_AUDIT_DAYS", "0"),
        ("MOMENTS_HOUSEKEEPING_SECONDS", "0"),
        ("MOMENTS_LOG_LEVEL", "loud"),
        ("MOMENTS_ADMIN_TOKEN", "short"),
        ("MOMENTS_ADMIN_TOKEN", "with a space in the middle"),
        ("MOMENTS_SECRET_PEPPER", "pépper-pépper-pépper"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, variable: str, value: str) -> None:
    with pytest.raises(InvalidSetting, match=variable):
        settings(tmp_path, **{variable: value})


def test_an_empty_variable_is_as_if_unset(tmp_path: Path) -> None:
    assert settings(tmp_path, MOMENTS_PORT_BASE="", MOMENTS_DATABASE_URL=" ") == settings(tmp_path)


def test_given_secrets_are_used_and_nothing_is_written(tmp_path: Path) -> None:
    found = settings(tmp_path, MOMENTS_ADMIN_TOKEN="a-long-admin-token", MOMENTS_SECRET_PEPPER="a-long-pepper-too")

    assert (found.admin_token, found.secret_pepper) == ("a-long-admin-token", b"a-long-pepper-too")
    assert not list(tmp_path.iterdir())


def test_missing_secrets_are_made_once_and_readable_by_the_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "new"

    first, second = settings(folder), settings(folder)

    assert first.admin_token == second.admin_token
    assert first.secret_pepper == second.secret_pepper
    assert len(first.admin_token) >= 32
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {
        "admin-token": 0o600,
        "pepper": 0o600,
    }
    assert folder.stat().st_mode & 0o777 == 0o700  # the databases lie beside them


def test_two_that_make_a_secret_at_once_agree(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)
    found: list[str] = []

    def make(number: int) -> None:
        barrier.wait()
        found.append(kept_secret(tmp_path / "secret", lambda: f"secret {number}"))

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 8
    assert len(set(found)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_every_setting_tells_what_it_is_for() -> None:
    assert all(help_ for _, _, help_ in documented_settings())
    assert len({variable for variable, _, _ in documented_settings()}) == len(documented_settings())
