"""Every row of the table of DOMAIN §4 through the real programs: REST, signals by HTTP, events at a bound queue."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid5

import pytest

from contracts.times import from_rfc3339
from tests.acceptance.program import Up
from tests.acceptance.stack import PATIENCE, Stack
from tests.acceptance.template_rows import DOMAIN, LENGTH, ROWS, Experiment, Row, declared_rows, domain_rows, recovered
from tests.support import postgres, rabbitmq
from tests.support.processes import free_port_base

pytestmark = pytest.mark.timeout(600)

EMBEDDED, SERVERS = "embedded", "servers"
ON_EACH = pytest.mark.parametrize(
    "name", [EMBEDDED, pytest.param(SERVERS, marks=(pytest.mark.rabbitmq, pytest.mark.postgresql))]
)


def rows(*effects: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", [row for row in ROWS if row.effect in effects], ids=str)


@pytest.fixture(scope="module")
def experiments(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Experiment]]:
    """The rows on the installations that can run here, side by side."""
    folder = tmp_path_factory.mktemp("rows")
    stacks = [Stack(EMBEDDED, Up(folder / EMBEDDED, free_port_base()), {})]
    if rabbitmq.available() is None and postgres.available() is None:
        node, store = request.getfixturevalue("_rabbitmq_session"), request.getfixturevalue("_postgres_session")
        node.ensure_running()
        changes = {
            "MOMENTS_BROKER_URL": node.url(node.fresh_vhost()),
            "MOMENTS_DATABASE_URL": store.create_database("template_rows"),
        }
        stacks.append(Stack(SERVERS, Up(folder / SERVERS, free_port_base(), changes=changes), changes, node))
    made = {stack.name: Experiment(stack) for stack in stacks}
    try:
        with ThreadPoolExecutor() as threads:
            list(threads.map(_start_and_run, made.values()))
        yield made
    finally:
        for stack in stacks:
            stack.up.stop()


def _start_and_run(experiment: Experiment) -> None:
    experiment.stack.up.start(timeout=PATIENCE)
    experiment.run()


@pytest.fixture
def experiment(name: str, experiments: dict[str, Experiment], request: pytest.FixtureRequest) -> Experiment:
    """All rows on one installation; without its servers the test is skipped, or fails where they are required."""
    if name != EMBEDDED:
        request.getfixturevalue("rabbitmq_node")
        request.getfixturevalue("postgres_node")
    return experiments[name]


def times(event: dict[str, Any]) -> tuple[int, ...]:
    """Opened, last activity and due, µs."""
    return tuple(from_rfc3339(event["data"][name]) for name in ("openedAt", "lastActivityAt", "dueAt"))


def test_the_templates_declare_the_table_of_the_domain() -> None:
    assert declared_rows() == domain_rows()


@ON_EACH
@rows("opens")
def test_what_opens_leads_to_a_raise_a_duration_or_delay_later(name: str, row: Row, experiment: Experiment) -> None:
    opened = experiment.sent[row.profile, row.signal]

    (event,) = experiment.of(row, row.profile)

    assert times(event) == (opened.time, opened.time, opened.time + LENGTH)
    assert event["data"]["signalIds"] == [opened.id]
    assert event["data"]["moment"]["id"] == experiment.moments[row.template]


@ON_EACH
@rows("slides")
def test_what_slides_is_the_last_activity_and_moves_the_due(name: str, row: Row, experiment: Experiment) -> None:
    opened, slid = experiment.sent[row.profile, row.opener], experiment.sent[row.profile, row.signal]

    (event,) = experiment.of(row, row.profile)

    assert times(event) == (opened.time, slid.time, slid.time + LENGTH)
    assert event["data"]["signalIds"] == [opened.id, slid.id]


@ON_EACH
@rows("ends", "completes")
def test_what_ends_or_completes_lets_nothing_raise_and_stands_in_the_ledger(
    name: str, row: Row, experiment: Experiment
) -> None:
    ledger = experiment.ledger(row.template)

    assert experiment.of(row, row.profile) == []
    assert ledger["ended"][row.signal] == 1
    assert ledger["balanced"]


@ON_EACH
@rows("completes")
def test_what_completes_after_the_raise_recovers_it(name: str, row: Row, experiment: Experiment) -> None:
    (raised,), (event,) = (experiment.of(row, recovered(row), suffix) for suffix in ("", ".recovered"))

    assert event["id"] == str(uuid5(UUID(raised["id"]), "recovered"))
    assert event["data"]["raiseId"] == raised["id"]
    assert event["data"]["recoveredBy"]["signal"] == row.signal
    assert event["data"]["recoveredBy"]["id"] == experiment.sent[recovered(row), row.signal].id


@ON_EACH
def test_nothing_else_comes_and_the_books_balance(name: str, experiment: Experiment) -> None:
    told = [(event["type"], event["data"]["profile"]["id"]) for event in experiment.events]
    ids = {event["id"] for event in experiment.events}

    assert len(told) == len(set(told)) == len(ids)
    assert sum(experiment.ledger(template)["raised"] for template in DOMAIN) == len(
        [type_ for type_, _ in told if not type_.endswith(".recovered")]
    )
    assert experiment.stack.audit() == []
