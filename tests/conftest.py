"""Fixtures that start private servers, once per session, and hand out fresh databases and vhosts."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.oracle.budget import FACTOR
from tests.support import postgres, rabbitmq
from tests.support.postgres import PostgresNode
from tests.support.rabbitmq import RabbitMQNode
from tests.support.scheduling import pytest_collection_modifyitems, pytest_xdist_make_scheduler

__all__ = ["pytest_collection_modifyitems", "pytest_xdist_make_scheduler"]

_numbers = count()

# Where `rich` is installed, as here, a logged exception is drawn with every local value of every frame: for seconds.
for _each in structlog.get_config()["processors"]:
    if isinstance(_each, structlog.dev.ConsoleRenderer):
        _each.exception_formatter = structlog.dev.plain_traceback

# A loaded machine is slow; how long an example takes says nothing of what is tested.
# What is drawn is the same each time: a change is judged by what it changes. `MOMENTS_EXAMPLES=50` draws anew.
settings.register_profile(
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=FACTOR == 1, database=None
)
settings.load_profile("patient")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--require-services`, also by the environment."""
    parser.addoption(
        "--require-services",
        action="store_true",
        default=os.environ.get("MOMENTS_REQUIRE_SERVICES") == "1",
        help="fail, instead of skipping, the tests whose server (RabbitMQ, PostgreSQL) or Chromium is not installed",
    )


def require(config: pytest.Config, missing: str | None) -> None:
    """Skip the test because of what is missing here, or fail it under --require-services."""
    if missing is None:
        return
    if config.getoption("--require-services"):
        pytest.fail(f"--require-services: {missing}", pytrace=False)
    pytest.skip(missing)


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A folder that an unprivileged server can reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="moments-servers-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def _rabbitmq_session(request: pytest.FixtureRequest, server_folder: Path) -> Iterator[RabbitMQNode]:
    require(request.config, rabbitmq.available())
    node = RabbitMQNode(server_folder / "rabbitmq")
    try:
        node.start()
        yield node
    finally:
        node.abandon()
        node.stop()


@pytest.fixture
def rabbitmq_node(_rabbitmq_session: RabbitMQNode) -> RabbitMQNode:
    """The session's node; a test may kill it, the next test finds it running."""
    _rabbitmq_session.ensure_running()
    return _rabbitmq_session


@pytest.fixture
def rabbitmq_url(rabbitmq_node: RabbitMQNode) -> Iterator[str]:
    """The URL of a vhost that no other test uses."""
    vhost = rabbitmq_node.fresh_vhost()
    yield rabbitmq_node.url(vhost)
    rabbitmq_node.give_back(vhost)


@pytest.fixture(scope="session")
def _postgres_session(request: pytest.FixtureRequest, server_folder: Path) -> Iterator[PostgresNode]:
    require(request.config, postgres.available())
    node = PostgresNode(server_folder / "postgres")
    try:
        node.start()
        yield node
    finally:
        node.abandon()


@pytest.fixture
def postgres_node(_postgres_session: PostgresNode) -> PostgresNode:
    """The session's cluster; a test may kill it, the next test finds it running."""
    _postgres_session.ensure_running()
    return _postgres_session


@pytest.fixture
def postgres_url(postgres_node: PostgresNode) -> str:
    """The URL of an empty database."""
    return postgres_node.create_database(f"test_{next(_numbers)}")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, on each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/test.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture(params=["embedded", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def broker_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty broker, of each kind."""
    if request.param == "embedded":
        return f"embedded://{tmp_path}/broker.db"
    return str(request.getfixturevalue("rabbitmq_url"))


@pytest.fixture
def sample_data() -> Path:
    """The folder of recorded shop logs."""
    folder = os.environ.get("MOMENTS_SAMPLE_DATA")
    if not folder:
        pytest.skip("MOMENTS_SAMPLE_DATA does not name the folder of recorded shop logs")
    return Path(folder)
