"""What `moments up` makes sure of before it starts anything: free ports, and servers that answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from contracts.times import SECOND
from services.cli.failures import Conflict, Unreachable
from services.cli.serve import SERVICES, port_of
from services.cli.supervisor import Wake, ports_taken
from shared.broker import BrokerError, connect_broker
from shared.clock import Clock
from shared.settings import Settings
from shared.store import STORE_FAULTS, close_database, connected, open_database

_PORTS_FREED_WITHIN = 3 * SECOND
_SERVERS_ANSWER_WITHIN = 30 * SECOND
_FAULTS: tuple[type[Exception], ...] = (BrokerError, *STORE_FAULTS)


def check_ports(host: str, port_base: int, clock: Clock, wake: Wake) -> None:
    """Raise Conflict when a port is taken. One that is being given up, after a hard end, is waited for briefly."""
    ports = {port: name for name in SERVICES if (port := port_of(name, port_base)) is not None}
    until = clock.now() + _PORTS_FREED_WITHIN
    while taken := ports_taken(host, tuple(ports)):
        if clock.now() >= until or wake.stops:
            lines = [f"Port {port} for {ports[port]} cannot be used on {host}: {why}." for port, why in taken.items()]
            raise Conflict(" ".join([*lines, "Choose other ports with --port-base PORT, or another --host."]))
        wake.wait(0.2)


def reach_servers(settings: Settings, clock: Clock, wake: Wake, say: Callable[[str], None]) -> None:
    """Return once RabbitMQ and PostgreSQL answer, where they are used; raises Unreachable after half a minute."""
    for name, url, ask in _servers(settings, clock):
        until, told = clock.now() + _SERVERS_ANSWER_WITHIN, False
        while not wake.stops:
            try:
                ask()
                break
            except _FAULTS as error:
                reason = " ".join(str(error).split())
            if clock.now() >= until:
                raise Unreachable(f"{name} at {place_of(url)} does not answer: {reason}")
            if not told:
                say(f"Waiting for {name} at {place_of(url)}.")
                told = True
            wake.wait(1.0)


def place_of(url: str) -> str:
    """Host, port and path of a URL, without user and password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _servers(settings: Settings, clock: Clock) -> Iterator[tuple[str, str, Callable[[], None]]]:
    if settings.broker_url.startswith("amqp"):
        yield "RabbitMQ", settings.broker_url, lambda: _ask_broker(settings.broker_url, clock)
    databases = (settings.config_database_url, settings.ingestion_database_url, settings.trigger_database_url)
    for url in dict.fromkeys(databases):
        if url.startswith("postgres"):
            yield "PostgreSQL", url, lambda url=url: _ask_database(url)  # type: ignore[misc]


def _ask_broker(url: str, clock: Clock) -> None:
    broker = connect_broker(url, clock)
    try:
        broker.ping()
    finally:
        broker.close()


def _ask_database(url: str) -> None:
    database = open_database(url, schema="public")
    try:
        with connected(database):
            database.execute_sql("SELECT 1")
    finally:
        close_database(database)
